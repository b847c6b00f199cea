"""Who has left the ports, written down in the transaction that takes them away."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from alongside.daemon.context import Context
from alongside.domain.deployment import Former
from alongside.domain.route import Route
from alongside.domain.service import Service
from alongside.plan.steps import RecordRoutes

ITSELF = "alongside"  # who does what nobody asked for, in the history


def record_former(context: Context, step: RecordRoutes, *, by_hand: bool) -> None:
    """A version that has no port any more is kept as the one that has them now says; one that
    has a port again is former no longer. Where none has them, a person took them away, and it
    is left as it is."""
    policy = _spec(context, step.service, step.routes)
    now = datetime.now(UTC)
    after = {version for route in step.routes for version in route.split.versions}
    left = {version for route in step.seen for version in route.split.versions} - after
    former = [
        one
        for one in context.former.all(step.service)
        if one.version not in after and one.version not in left
    ]
    if policy is not None:
        deadline = None if policy.drain is None else now + timedelta(seconds=policy.drain)
        former += [
            Former(step.service, version, now, deadline, by_hand=by_hand)
            for version in sorted(left, key=lambda one: one.text)
        ]
    context.former.replace(step.service, former)


def _spec(context: Context, service: str, routes: tuple[Route, ...]) -> Service | None:
    """What the version says that has the service's own ports."""
    for route in routes:
        if route.follows is None and route.split.shares:
            release = context.releases.get(service, route.split.versions[0])
            return release.spec if release else None
    return None
