"""Giving out subnets and local ports."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network

from alongside.domain.errors import Conflict
from alongside.domain.instance import Instance, LocalPort, Subnet, bridge_name
from alongside.domain.port import Protocol
from alongside.domain.release import Release
from alongside.plan.beside import is_singleton
from alongside.plan.observed import Observed

SUBNET4_BITS = 28  # the gateway, the instance, and the upper half for dependencies of its own


def allocate(release: Release, observed: Observed) -> Instance:
    """A new instance of the release, with a subnet and local ports that nobody has.

    Raises Conflict where the pool is used up.
    """
    ipv4, ipv6 = _subnet(observed)
    return Instance(
        service=release.service,
        version=release.version,
        subnet=Subnet(bridge_name(release.service, release.version), ipv4, ipv6),
        local_ports=_local_ports(release, observed),
        singleton=is_singleton(release),
    )


def _subnet(observed: Observed) -> tuple[IPv4Network, IPv6Network]:
    """The first free place. Its number chooses both families' subnets, so that a person who
    sees one knows the other."""
    pool = observed.pool
    taken = {instance.subnet.ipv4 for instance in observed.instances}
    first4 = int(pool.ipv4.network_address)
    first6 = int(pool.ipv6.network_address)
    for number in range(2 ** (SUBNET4_BITS - pool.ipv4.prefixlen)):
        ipv4 = IPv4Network((first4 + number * 2 ** (32 - SUBNET4_BITS), SUBNET4_BITS))
        if ipv4 not in taken:
            return ipv4, IPv6Network((first6 + (number << 64), 64))
    raise Conflict(
        f"All {len(taken)} subnets of {pool.ipv4} are given out.",
        hint="Remove versions that are not needed any more: alongside rm SERVICE@VERSION.",
    )


def _local_ports(release: Release, observed: Observed) -> tuple[LocalPort, ...]:
    """One number a container port, the same for TCP and UDP where it has both."""
    given = {local.number for instance in observed.instances for local in instance.local_ports} | {
        number for _, number in observed.busy_ports
    }
    free = (number for number in observed.pool.local_ports if number not in given)
    numbers: dict[int, int] = {}
    ports: dict[tuple[Protocol, int], LocalPort] = {}
    for publish in release.spec.ports:
        number = numbers.get(publish.target) or next(free, None)
        if number is None:
            raise Conflict(
                "All local ports are given out.",
                hint="Remove versions that are not needed any more: alongside rm SERVICE@VERSION.",
            )
        numbers[publish.target] = number
        ports[publish.port.protocol, publish.target] = LocalPort(
            publish.port.protocol, publish.target, number
        )
    return tuple(ports.values())
