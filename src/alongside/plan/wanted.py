"""From the routes wanted to the ruleset that says so to the kernel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from alongside.domain.instance import Instance
from alongside.domain.release import Release
from alongside.domain.route import Route
from alongside.domain.version import Version
from alongside.router.protocol import Choice, RoutedPort, Ruleset, Target


def wanted_ruleset(
    routes: Sequence[Route],
    instances: Sequence[Instance],
    releases: Iterable[Release],
    container_bridges: frozenset[str],
) -> Ruleset:
    """A version without an instance gets no traffic; a port left with none rejects."""
    specs = {(release.service, release.version): release for release in releases}
    by_version = {
        (instance.service, instance.version): instance
        for instance in instances
        if instance.ordinal == 1
    }
    return Ruleset(
        ports=tuple(_routed(route, by_version, specs) for route in routes),
        subnets=tuple(instance.subnet for instance in instances),
        container_bridges=container_bridges,
        local_ports=frozenset(
            local.number for instance in instances for local in instance.local_ports
        ),
    )


def _routed(
    route: Route,
    instances: Mapping[tuple[str, Version], Instance],
    releases: Mapping[tuple[str, Version], Release],
) -> RoutedPort:
    choices = []
    for share in route.split.shares:
        instance = instances.get((route.service, share.version))
        release = releases.get((route.service, share.version))
        target = _target(route, instance, release) if instance and release else None
        if target:
            choices.append(Choice(target, share.weight))
    return RoutedPort(route.port, tuple(choices), route.split.assign)


def _target(route: Route, instance: Instance, release: Release) -> Target | None:
    for publish in release.spec.ports:
        if publish.port == route.port:
            return Target(
                name=release.reference,
                subnet=instance.subnet,
                ipv4=instance.subnet.address4,
                ipv6=instance.subnet.address6,
                port=publish.target,
                local_port=instance.local_port(route.port.protocol, publish.target) or 0,
            )
    return None
