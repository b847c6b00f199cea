"""The steps of a switch, once what it leads to is ready."""

from __future__ import annotations

from alongside.domain.port import Protocol
from alongside.domain.route import Route
from alongside.plan.observed import Observed
from alongside.plan.steps import CleanUdp, RecordRoutes, Step, Switch


def switch_to(service: str, routes: tuple[Route, ...], observed: Observed) -> list[Step]:
    """The service's routes become these."""
    before = observed.routes_of(service)
    steps: list[Step] = [RecordRoutes(service, routes, before), Switch()]
    if any(route.port.protocol is Protocol.UDP for route in (*before, *routes)):
        # Looking through conntrack takes a quarter of a second where it has 100,000 entries.
        steps.append(CleanUdp())
    return steps
