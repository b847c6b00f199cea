"""The ways that packets of ours take through others' rules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address

from alongside.doctor.facts import Firewall, Wanted
from alongside.doctor.foreign.rules import STOPS, Base, Fate, Packet, fate
from alongside.domain.port import Port
from alongside.router.protocol import HostTarget, InstanceTarget, RoutedPort

# Our chains' priority in prerouting (router.compile). Among equals the later comes first.
OURS = -110
MOST = 64  # ports that are followed: each goes through thousands of rules on a big host


SOME: dict[int, IPv4Address | IPv6Address] = {
    4: IPv4Address("192.0.2.1"),  # stands for the host's own, where rules do not name it
    6: IPv6Address("2001:db8::1"),
}


@dataclass(frozen=True, slots=True)
class Stopped:
    """A packet of ours, and what somebody else's rules did to it."""

    port: Port
    fate: Fate
    packet: Packet
    to_host: bool = False  # to what listens on the host itself


def arrivals(
    routed: Iterable[RoutedPort], rules: Firewall, addresses: Iterable[IPv4Address | IPv6Address]
) -> Iterator[Stopped]:
    """What a stranger sends to public ports, as far as alongside's rules."""
    for one in list(routed)[:MOST]:
        for packet in _arriving(one.port, addresses, _uplinks(rules)):
            for end in _through(rules.bases, packet, "prerouting"):
                if end.base.priority <= OURS:
                    yield Stopped(one.port, end, packet)


def forwarded(rules: Firewall, wanted: Wanted) -> Iterator[Stopped]:
    """What goes on from the wire to an instance."""
    running = {one.reference for one in wanted.instances if one.state in ("running", "paused")}
    for routed in wanted.ruleset.ports[:MOST]:
        for choice in routed.choices:
            target = choice.target
            # An engine's own rules are there while the container runs.
            if not isinstance(target, InstanceTarget) or target.name not in running:
                continue
            for address in _targets(routed, target, wanted):
                for uplink in _uplinks(rules):
                    packet = Packet(
                        routed.port.protocol,
                        address,
                        target.port,
                        came_in=uplink,
                        goes_out=target.subnet.bridge,
                        here=False,
                        translated=True,
                    )
                    for end in _through(rules.bases, packet, "forward"):
                        yield Stopped(routed.port, end, packet)
                    # The same packet, before it was known where it leaves.
                    for end in _through(rules.bases, replace(packet, goes_out=""), "prerouting"):
                        if end.base.priority > OURS and end.verdict in STOPS:
                            yield Stopped(routed.port, end, packet)


def inwards(rules: Firewall, wanted: Wanted) -> Iterator[Stopped]:
    """What containers send, by local ports; and what is redirected to the host itself."""
    running = {one.reference for one in wanted.instances if one.state in ("running", "paused")}
    for routed in wanted.ruleset.ports[:MOST]:
        port = routed.port
        for choice in routed.choices:
            target = choice.target
            packets: list[Packet] = []
            if isinstance(target, InstanceTarget) and target.name in running:
                for address in (target.subnet.gateway4, target.subnet.proxy6):
                    if _of_family(port, address.version) and _has(wanted, address.version):
                        packets.append(
                            Packet(
                                port.protocol,
                                address,
                                target.local_port,
                                came_in=target.subnet.bridge,
                                translated=True,
                            )
                        )
            elif isinstance(target, HostTarget):
                packets += [
                    Packet(port.protocol, SOME[4], target.port, came_in=uplink, translated=True)
                    for uplink in _uplinks(rules)
                ]
            for packet in packets:
                for end in _through(rules.bases, packet, "input"):
                    yield Stopped(port, end, packet, isinstance(target, HostTarget))


def _arriving(
    port: Port, addresses: Iterable[IPv4Address | IPv6Address], uplinks: Iterable[str]
) -> Iterator[Packet]:
    """What a stranger sends, to the port's address or to one of the host's of each family."""
    where: dict[int, IPv4Address | IPv6Address] = {}
    for address in sorted(addresses, key=str):
        if not (address.is_loopback or address.is_link_local):
            where.setdefault(address.version, address)
    own = [port.address] if port.address else [where.get(family, SOME[family]) for family in (4, 6)]
    for address in own:
        for uplink in uplinks:
            yield Packet(port.protocol, address, port.number, came_in=uplink)


def _through(bases: Iterable[Base], packet: Packet, hook: str) -> Iterator[Fate]:
    for base in bases:
        end = fate(base, packet) if base.hook == hook else None
        if end is not None and (end.verdict in STOPS or hook == "prerouting"):
            yield end


def once(found: Iterable[Stopped], *, by_port: bool = False) -> list[Stopped]:
    """One finding a rule and port, or a rule and family."""
    kept: dict[tuple[object, ...], Stopped] = {}
    for one in found:
        rule = one.fate.rule.name if one.fate.rule else ""
        of = str(one.port) if by_port else one.packet.to.version
        kept.setdefault((str(one.fate.base), one.fate.chain, rule, of), one)
    return list(kept.values())


def _targets(
    routed: RoutedPort, target: InstanceTarget, wanted: Wanted
) -> list[IPv4Address | IPv6Address]:
    return [
        one
        for one in (target.ipv4, target.ipv6)
        if _of_family(routed.port, one.version) and _has(wanted, one.version)
    ]


def _of_family(port: Port, version: int) -> bool:
    return port.address is None or port.address.version == version


def _has(wanted: Wanted, version: int) -> bool:
    return version == 4 or wanted.pool6 is not None


def _uplinks(rules: Firewall) -> tuple[str, ...]:
    return rules.uplinks or ("",)
