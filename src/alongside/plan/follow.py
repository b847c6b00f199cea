"""Ports beside the service's own, each of which reaches the highest release of a range."""

from __future__ import annotations

from dataclasses import replace

from alongside.domain.range import select
from alongside.domain.release import Release
from alongside.domain.route import Follows, Route, Split
from alongside.domain.version import Dated
from alongside.plan.beside import is_singleton
from alongside.plan.observed import Observed
from alongside.plan.steps import Plan, Step
from alongside.plan.switch import switch_to
from alongside.plan.up import running


def also_routes(release: Release, observed: Observed) -> tuple[list[Route], list[Release]]:
    """The routes that a release's `also` asks for, and the releases that they lead to, each
    once. A range that no release matches leads to none: its port rejects."""
    routes = [
        _leading(
            Route(one.port, release.service, Split(()), Follows(one.range, one.target)), observed
        )
        for one in release.spec.also
    ]
    versions = dict.fromkeys(version for route in routes for version in route.split.versions)
    return routes, [observed.release(release.service, version) for version in versions]


def followed(service: str, observed: Observed) -> tuple[Route, ...]:
    """The service's routes, those that follow a range led to what matches now."""
    routes = observed.routes_of(service)
    return tuple(_leading(one, observed) if one.follows else one for one in routes)


def plan_follow(service: str, observed: Observed) -> Plan:
    """Lead them there, once what they lead to is ready."""
    before, routes = observed.routes_of(service), followed(service, observed)
    moved = [(old, new) for old, new in zip(before, routes, strict=True) if old != new]
    plan = Plan("follow", service, before=_versions(moved, 0), after=_versions(moved, 1))
    if not moved:
        return replace(plan, reason="Every port reaches what its range says.")
    steps: list[Step] = []
    for version in dict.fromkeys(one for _, new in moved for one in new.split.versions):
        release = observed.release(service, version)
        steps += running(release, observed.with_allocated(steps), for_ports=True)[1]
    return replace(plan, steps=[*steps, *switch_to(service, routes, observed)])


def _versions(moved: list[tuple[Route, Route]], which: int) -> str:
    found = dict.fromkeys(str(one) for pair in moved for one in pair[which].split.versions)
    return " ".join(found)


def _leading(route: Route, observed: Observed) -> Route:
    assert route.follows is not None  # noqa: S101 - what is asked is what it follows
    target, protocol = route.follows.target, route.port.protocol
    candidates = [
        Dated(release.version, release.created)
        for release in observed.releases
        if release.service == route.service
        and release.version not in observed.bad
        and not is_singleton(release)  # from when it was one: it would run beside others
        and any((one.target, one.port.protocol) == (target, protocol) for one in release.spec.ports)
    ]
    version = select(route.follows.range, candidates)
    return replace(route, split=Split.all_to(version) if version else Split(()))
