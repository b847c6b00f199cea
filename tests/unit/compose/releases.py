"""A release of a service and its instance, as the daemon would have them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from ipaddress import IPv4Network, IPv6Network
from typing import Any

from alongside.compose.services import services_from
from alongside.domain.instance import Instance, LocalPort, Subnet, bridge_name
from alongside.domain.release import Release
from alongside.domain.version import Version

CREATED = datetime(2026, 11, 23, 12, 30, 15, 999, tzinfo=UTC)
COMMIT = "5" * 39 + "e"


def release(
    model: Mapping[str, Any], service: str, version: str = "1.0.0", repository: str = "app"
) -> Release:
    (spec,) = [one for one in services_from(model) if one.name == service]
    return Release(
        service=service,
        version=Version(version),
        repository=repository,
        source="/srv/app",
        commit=COMMIT,
        tree="t" * 40,
        image=f"{spec.image}:{version}",
        image_id="sha256:" + "a" * 64,
        compose_file="compose.yaml",
        created=CREATED,
        spec=spec,
    )


def instance(of: Release, number: int = 0) -> Instance:
    """In the `number`th subnet; local ports from 20000 on, one for each target."""
    targets = {publish.target: None for publish in of.spec.ports}
    numbers = {target: 20000 + 100 * number + place for place, target in enumerate(targets)}
    return Instance(
        service=of.service,
        version=of.version,
        subnet=Subnet(
            bridge_name(of.service, of.version),
            IPv4Network((f"10.213.0.{16 * number}", 28)),
            IPv6Network(f"fd00:1:2:{number}::/64"),
        ),
        local_ports=tuple(
            LocalPort(one.port.protocol, one.target, numbers[one.target]) for one in of.spec.ports
        ),
    )
