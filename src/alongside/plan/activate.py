"""Giving the ports to a version."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from alongside.domain.assignment import Assignment
from alongside.domain.errors import Conflict, InvalidInput, PortTaken
from alongside.domain.port import Port
from alongside.domain.release import Release
from alongside.domain.route import Route, Split
from alongside.domain.version import Version
from alongside.plan.beside import refuse_beside
from alongside.plan.follow import also_routes
from alongside.plan.observed import Observed
from alongside.plan.steps import Plan, Start, Wake
from alongside.plan.switch import switch_to
from alongside.plan.up import running


def plan_activate(
    service: str,
    version: Version,
    observed: Observed,
    *,
    take: bool = False,
    force: bool = False,
    verb: str = "activate",
) -> Plan:
    """Raises Conflict, PortTaken, InvalidInput; and then nothing has been touched."""
    release = observed.release(service, version)
    if not force:
        observed.refuse_bad(release)
    before = observed.main(service)
    refuse_beside(release, observed)
    following, others = also_routes(release, observed)
    wanted = [*routes_of(release), *following]
    ports = [route.port for route in wanted]
    check_free(service, ports, observed.routes, observed.assignments)
    instance, steps = running(release, observed, for_ports=True)
    for other in others:
        if other != release:
            steps += running(other, observed.with_allocated(steps), for_ports=True)[1]
    had = {route.port for route in observed.routes_of(service)}
    if not take:
        check_holders(release, [port for port in ports if port not in had], observed)
    plan = Plan(
        verb,
        service,
        before=" ".join(map(str, before)),
        after=str(version),
        notes=[
            *(
                f"{release.reference} does not publish {port}, so nothing answers there any more."
                for port in sorted(had - set(ports), key=lambda port: port.sort_key)
            ),
            *(
                f"{route.port} follows {route.follows.range}, and no release of {service} matches."
                for route in following
                if route.follows and not route.split.shares
            ),
        ],
    )
    container = observed.containers.get(instance.name)
    starts = any(isinstance(step, Start | Wake) for step in steps)
    if set(wanted) == set(observed.routes_of(service)) and container and not starts:
        return replace(plan, reason=f"{release.reference} has {_list(ports)} already.")
    return replace(plan, steps=[*steps, *switch_to(service, tuple(wanted), observed)])


def plan_deactivate(service: str, version: Version | None, observed: Observed) -> Plan:
    """Take the ports from a version; None is whichever has them."""
    routed = observed.routed(service)
    before = " ".join(map(str, observed.main(service) or routed))
    if version is not None:
        observed.release(service, version)
    plan = Plan("deactivate", service, before=before, after="")
    if not routed:
        return replace(plan, reason=f"No version of {service} has any port; nothing was changed.")
    if version is not None and version not in routed:
        return replace(
            plan,
            reason=f"{service}@{version} does not have the ports, {service}@{before} has; "
            "nothing was changed.",
        )
    left = tuple(
        route
        for route in observed.routes_of(service)
        if version is not None and version not in route.split.versions
    )
    return replace(plan, steps=switch_to(service, left, observed))


def routes_of(release: Release) -> list[Route]:
    """Every port of the release, all to it. Raises InvalidInput where it has none."""
    if not release.spec.ports:
        raise InvalidInput(
            f"{release.reference} publishes no port, so there is none to give it.",
            hint="Add `ports:` to the service in the compose file, and tag a new version.",
        )
    split = Split.all_to(release.version)
    return [
        Route(port, release.service, split)
        for port in dict.fromkeys(publish.port for publish in release.spec.ports)
    ]


def check_free(
    service: str,
    ports: Iterable[Port],
    routes: Iterable[Route],
    assignments: Iterable[Assignment],
) -> None:
    """Raises Conflict for a port that overlaps one that is another service's, or assigned."""
    ports, assignments = list(ports), list(assignments)
    numbers = {port.number for port in ports}
    routes = [one for one in routes if one.port.number in numbers and one.service != service]
    for port in ports:
        for one in assignments:
            if one.port.overlaps(port):
                raise Conflict(
                    f"{service} wants {port}, and {one.port} is assigned to {one.target}.",
                    hint=f"Take it from there first: alongside port unassign {one.port}",
                )
        for route in routes:
            if route.port.overlaps(port):
                raise Conflict(
                    f"{service} wants {port}, which {route.service} has"
                    f"{'' if route.port == port else f' as {route.port}'}.",
                    hint=f"Take it from there first: alongside deactivate {route.service}. "
                    "Or give one of them another port or an address of its own.",
                )


def check_holders(release: Release, ports: list[Port], observed: Observed) -> None:
    """Raises PortTaken for a port that a program, or a container that is not ours, has."""
    held = [holder for holder in observed.holders if holder.wanted in ports]
    if not held:
        return
    names = "; ".join(f"{holder.port} is held by {holder.program}" for holder in held)
    raise PortTaken(
        f"{release.reference} cannot have {_list([holder.wanted for holder in held])}: {names}.",
        hint="Stop that program, or say --take: new connections then reach "
        f"{release.reference}, and what listens there now gets no more of them.",
    )


def _list(ports: Iterable[Port]) -> str:
    return " and ".join(str(port) for port in dict.fromkeys(ports))
