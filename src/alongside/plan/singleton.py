"""A service of which one instance runs on the whole host: the old one ends before the new begins.

The name is the lock: every version's container is called `scheduler-current`, and the engine has
each name once. The new container is made while the old one runs under another name, so that the
gap between them is no longer than one stop and one start.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from alongside.domain.errors import Conflict
from alongside.domain.port import Port, Protocol
from alongside.domain.release import Release
from alongside.domain.route import Route
from alongside.domain.version import Version
from alongside.plan.activate import check_free, check_holders, routes_of
from alongside.plan.addresses import allocate
from alongside.plan.observed import Observed
from alongside.plan.steps import (
    Allocate,
    AwaitReady,
    CleanUdp,
    Plan,
    PrepareSingleton,
    RecordSingleton,
    ReplaceSingleton,
    RunBefore,
    Step,
    Switch,
    TidySingleton,
)
from alongside.plan.up import prepare
from alongside.plan.well import Kind


def plan_singleton(
    service: str,
    version: Version,
    observed: Observed,
    *,
    take: bool = False,
    force: bool = False,
    verb: str = "activate",
) -> Plan:
    """This version runs, and no other. Raises Conflict, PortTaken; and then nothing has been
    touched."""
    release = observed.release(service, version)
    if not force:
        observed.refuse_bad(release)
    old = observed.current(service)
    _refuse_copies(release, observed)
    routes = tuple(routes_of(release)) if release.spec.ports else ()
    ports = [route.port for route in routes]
    check_free(service, ports, observed.routes, observed.assignments)
    had = {route.port for route in observed.routes_of(service)}
    if not take:
        check_holders(release, [port for port in ports if port not in had], observed)
    plan = Plan(verb, service, before=str(old.version) if old else "", after=str(version))
    new = observed.instance(service, version)
    container = observed.container(new) if new else None
    found = observed.ill(release, new) if new else None
    broken = found is not None and found.kind in (Kind.LOST, Kind.NEEDY)
    runs = container is not None and container.running and not broken
    if old is not None and old == new and runs:
        return replace(plan, reason=f"{release.reference} is the one that runs already.")
    steps: list[Step] = []
    if new is None:
        new = allocate(release, observed)
        steps.append(Allocate(new))
    observed.refuse_foreign(new)
    steps += prepare(release, observed)
    if version in observed.unprepared:
        steps.append(RunBefore(release, new))
    steps += [
        PrepareSingleton(release, new),
        RecordSingleton(service, old, new, routes, observed.routes_of(service)),
        *_switch(routes, observed.routes_of(service)),
        ReplaceSingleton(service),
        AwaitReady(release, new),
        *_clean(routes, observed.routes_of(service)),
        TidySingleton(service),
    ]
    return replace(plan, steps=steps)


def plan_end_singleton(service: str, observed: Observed) -> Plan:
    """None of its versions runs."""
    old = observed.current(service)
    plan = Plan("deactivate", service, before=str(old.version) if old else "", after="")
    if old is None:
        return replace(plan, reason=f"No version of {service} runs; nothing was changed.")
    seen = observed.routes_of(service)
    return replace(
        plan,
        steps=[
            RecordSingleton(service, old, None, (), seen),
            *_switch((), seen),
            ReplaceSingleton(service),
            *_clean((), seen),
            TidySingleton(service),
        ],
    )


def _refuse_copies(release: Release, observed: Observed) -> None:
    if observed.copies:
        names = ", ".join(observed.copies)
        raise Conflict(
            f"{release.service} is a singleton, and copies of it run that were started by hand: "
            f"{names}.",
            hint=f"End them first: docker rm --force {' '.join(observed.copies)}",
        )
    for instance in observed.instances:
        container = observed.containers.get(instance.name)
        if instance.service == release.service and not instance.singleton and container:
            raise Conflict(
                f"{instance.name} is there, from when {release.service} was no singleton.",
                hint=f"Remove it first: alongside rm {instance.service}@{instance.version}",
            )


def _switch(routes: tuple[Route, ...], seen: tuple[Route, ...]) -> Iterable[Step]:
    """Before the gap: a client that comes within it waits for the new one, and is not refused."""
    return [Switch()] if routes or seen else []


def _clean(routes: tuple[Route, ...], seen: tuple[Route, ...]) -> Iterable[Step]:
    ports: list[Port] = [route.port for route in (*routes, *seen)]
    return [CleanUdp()] if any(port.protocol is Protocol.UDP for port in ports) else []
