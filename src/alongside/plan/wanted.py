"""From the routes wanted to the ruleset that says so to the kernel."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

from alongside.domain.assignment import Assignment
from alongside.domain.instance import Instance
from alongside.domain.port import Protocol
from alongside.domain.release import Release
from alongside.domain.route import Route
from alongside.domain.version import Version
from alongside.made import Each, Made
from alongside.router.protocol import (
    AddressTarget,
    Choice,
    HostTarget,
    InstanceTarget,
    RoutedPort,
    Ruleset,
    Target,
)

_ROUTED: Each[Route, RoutedPort] = Each()
_BEFORE: Made[RoutedPort] = Made()  # with other instances or releases beside it
_ASSIGNED: Each[Assignment, RoutedPort] = Each()
_RUNNING: Made[_Running] = Made()


def wanted_ruleset(
    routes: Sequence[Route],
    instances: Sequence[Instance],
    releases: Sequence[Release],
    container_bridges: frozenset[str],
    assigned: Iterable[Assignment] = (),
    *,
    proxied: bool = True,
    astray: frozenset[tuple[str, Version]] = frozenset(),
) -> Ruleset:
    """A version without an instance, and one that is `astray`, gets no traffic; a port left with
    none rejects."""
    running = _RUNNING.of(
        None, (astray, *instances, *releases), partial(_Running, instances, releases, astray)
    )
    routed = _ROUTED.of(tuple(routes), partial(_routed, running), under=running)
    return Ruleset(
        ports=(*routed, *_ASSIGNED.of(tuple(assigned), _assigned)),
        subnets=running.subnets,
        container_bridges=container_bridges,
        proxied=proxied,
        local_ports=running.local_ports,
        host_ports=running.host_ports,
    )


class _Running:
    """What follows from instances and releases, whichever of them the routes name."""

    def __init__(
        self,
        instances: Sequence[Instance],
        releases: Sequence[Release],
        astray: frozenset[tuple[str, Version]],
    ) -> None:
        self.releases = {(one.service, one.version): one for one in releases}
        self.instances = {
            key: one
            for one in instances
            if one.ordinal == 1 and (key := (one.service, one.version)) not in astray
        }
        on_host = [one for one in instances if self._on_host(one)]
        self.subnets = tuple(one.subnet for one in instances if one not in on_host)
        self.local_ports = frozenset(local.number for one in instances for local in one.local_ports)
        self.host_ports = frozenset(
            (protocol, local.number)
            for one in on_host
            for local in one.local_ports
            for protocol in Protocol  # it may listen on both, whatever it publishes
        )

    def _on_host(self, instance: Instance) -> bool:
        release = self.releases.get((instance.service, instance.version))
        return release is not None and release.spec.host_network


def _assigned(one: Assignment) -> RoutedPort:
    target: Target
    if one.address is None:
        target = HostTarget(f"host:{one.number}", one.number)
    else:
        target = AddressTarget(one.target, one.address, one.number, one.on_host)
    return RoutedPort(one.port, (Choice(target, 1),))


def _routed(running: _Running, route: Route) -> RoutedPort:
    sources: list[Instance | Release | None] = []
    for share in route.split.shares:
        key = (route.service, share.version)
        sources += [running.instances.get(key), running.releases.get(key)]

    def make() -> RoutedPort:
        choices = []
        for share, instance, release in zip(
            route.split.shares, sources[::2], sources[1::2], strict=True
        ):
            if isinstance(instance, Instance) and isinstance(release, Release):
                target = _target(route, instance, release)
                if target:
                    choices.append(Choice(target, share.weight))
        return RoutedPort(route.port, tuple(choices), route.split.assign)

    return _BEFORE.of(id(route), (route, *sources), make)


def _target(route: Route, instance: Instance, release: Release) -> Target | None:
    target = _container_port(route, release)
    local_port = instance.local_port(route.port.protocol, target) if target else None
    if target is None or local_port is None:
        return None
    if release.spec.host_network:
        return HostTarget(release.reference, local_port)
    return InstanceTarget(
        name=release.reference,
        subnet=instance.subnet,
        ipv4=instance.subnet.address4,
        ipv6=instance.subnet.address6,
        port=target,
        local_port=local_port,
    )


def _container_port(route: Route, release: Release) -> int | None:
    if route.follows is not None:
        return route.follows.target
    return next((one.target for one in release.spec.ports if one.port == route.port), None)
