"""A small world for plans: the service dns in three versions."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network, IPv6Network

from alongside.domain.instance import Instance
from alongside.domain.port import Publish, parse_port
from alongside.domain.release import Release
from alongside.domain.route import Route, Split
from alongside.domain.service import Ready, ReadyKind, Service
from alongside.domain.version import Version
from alongside.engine.protocol import Container
from alongside.plan.addresses import allocate
from alongside.plan.observed import Observed, Pool

POOL = Pool(IPv4Network("10.213.0.0/16"), IPv6Network("fd00:1:2::/48"))


def service(name: str = "dns", ports: tuple[str, ...] = ("53/udp", "53/tcp")) -> Service:
    return Service(
        name=name,
        image=f"repo/{name}",
        ports=tuple(Publish(port := parse_port(text), port.number) for text in ports),
        ready=Ready(ReadyKind.TCP, port=53),
    )


def release(reference: str, *, day: int = 1, spec: Service | None = None) -> Release:
    name, _, version = reference.partition("@")
    spec = spec or service(name)
    return Release(
        service=name,
        version=Version(version),
        repository="app",
        source="/srv/app",
        commit="c" * 40,
        tree="t" * 40,
        image=f"{spec.image}:{version}",
        image_id=f"sha256:{version}",
        compose_file="compose.yaml",
        created=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=day),
        spec=spec,
    )


def container(instance: Instance, state: str = "running") -> Container:
    return Container(
        id=instance.name,
        name=instance.name,
        image_id=f"sha256:{instance.version}",
        state=state,
        health="",
        exit_code=0,
        restarts=0,
        pid=1 if state == "running" else 0,
        started=None,
        labels={},
    )


def world(*references: str, running: tuple[str, ...] = (), routed: str = "") -> Observed:
    """Releases as named, oldest first; those `running` have instances that run."""
    releases = [release(text, day=day) for day, text in enumerate(references)]
    observed = Observed(
        pool=POOL,
        releases=releases,
        image_ids={one.image: one.image_id for one in releases},
    )
    for one in releases:
        if one.reference in running:
            instance = allocate(one, observed)
            observed = replace(
                observed,
                instances=(*observed.instances, instance),
                containers={**observed.containers, instance.name: container(instance)},
            )
    if routed:
        name, _, version = routed.partition("@")
        observed = replace(observed, routes=routes(name, version))
    return observed


def routes(name: str, version: str, ports: tuple[str, ...] = ("53/udp", "53/tcp")) -> list[Route]:
    return [Route(parse_port(port), name, Split.all_to(Version(version))) for port in ports]
