"""Rulesets for tests: a few by name, and any by Hypothesis."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network, ip_address

from hypothesis import strategies as st

from alongside.domain.instance import Subnet
from alongside.domain.port import Port, Protocol, parse_port
from alongside.domain.route import Assign
from alongside.router.protocol import (
    AddressTarget,
    Choice,
    HostTarget,
    InstanceTarget,
    RoutedPort,
    Ruleset,
)

HOST = frozenset(
    map(ip_address, ("198.51.100.1", "192.0.2.7", "2001:db8::1", "10.213.0.1", "10.213.0.17"))
)


def subnet(number: int) -> Subnet:
    return Subnet(
        f"al-{number:010x}",
        IPv4Network(f"10.213.0.{16 * number}/28"),
        IPv6Network(f"fd00:a1:51de:{number:x}::/64"),
    )


def target(number: int, port: int = 53, service: str = "dns") -> InstanceTarget:
    own = subnet(number)
    return InstanceTarget(
        f"{service}@1.{number}.0", own, own.address4, own.address6, port, 20000 + number * 100
    )


def routed(
    port: str, *weights: tuple[int, int], to: int = 53, assign: Assign = Assign.RANDOM
) -> RoutedPort:
    """`weights`: instances by number, each with its weight."""
    choices = tuple(Choice(target(number, to), weight) for number, weight in weights)
    return RoutedPort(parse_port(port), choices, assign)


def ruleset(*ports: RoutedPort, instances: int = 3) -> Ruleset:
    return Ruleset(
        ports,
        tuple(subnet(number) for number in range(instances)),
        frozenset({"docker0"}),
        frozenset(20000 + number * 100 for number in range(instances)),
    )


def unproxied(ruleset: Ruleset) -> Ruleset:
    return replace(ruleset, proxied=False)


def assigned(port: str, target: HostTarget | AddressTarget) -> RoutedPort:
    return RoutedPort(parse_port(port), (Choice(target, 1),))


EXAMPLES = {
    "nothing": Ruleset(),
    "any-address": ruleset(routed("53/udp", (0, 1)), routed("53/tcp", (0, 1)), instances=1),
    "one-ipv4-address": ruleset(routed("192.0.2.7:80/tcp", (0, 1), to=8080), instances=1),
    "one-ipv6-address": ruleset(routed("[2001:db8::1]:80/tcp", (0, 1), to=8080), instances=1),
    "weights": ruleset(routed("80/tcp", (0, 70), (1, 20), (2, 10))),
    "weights-by-client": ruleset(routed("80/tcp", (0, 70), (1, 20), (2, 10), assign=Assign.CLIENT)),
    "address-over-any": ruleset(
        routed("80/tcp", (0, 1)),
        routed("192.0.2.7:80/tcp", (1, 1)),
        routed("[2001:db8::1]:80/tcp", (2, 1)),
    ),
    "without-proxy": unproxied(
        ruleset(routed("80/tcp", (0, 70), (1, 30)), routed("[::1]:53/udp", (0, 1)), instances=2)
    ),
    "empty-split": ruleset(
        routed("80/tcp"), routed("192.0.2.7:80/tcp", (0, 1)), routed("53/udp"), instances=1
    ),
    "two-services": ruleset(routed("53/udp", (0, 1)), routed("443/tcp", (1, 1), to=8443)),
    "host-network": Ruleset(
        (assigned("53/udp", HostTarget("dns@1.0.0", 20000)),),
        local_ports=frozenset({20000}),
        host_ports=frozenset({(Protocol.UDP, 20000), (Protocol.TCP, 20000)}),
    ),
    "assigned": Ruleset(
        (
            assigned("80/tcp", HostTarget("host:50080", 50080)),
            assigned("53/udp", AddressTarget("10.0.3.2:5353", ip_address("10.0.3.2"), 5353)),
            assigned("81/tcp", AddressTarget("192.0.2.7:81", ip_address("192.0.2.7"), 8081, True)),
        )
    ),
    "loopback-only": ruleset(routed("127.0.0.1:5432/tcp", (0, 1), to=5432), instances=1),
}

_addresses = st.sampled_from(
    [None, *map(ip_address, ("192.0.2.7", "198.51.100.1", "2001:db8::1", "127.0.0.1", "::1"))]
)
ports = st.builds(
    Port, st.sampled_from(Protocol), st.sampled_from([53, 80, 443, 20000]), _addresses
)


@st.composite
def routed_ports(draw: st.DrawFn, port: Port) -> RoutedPort:
    numbers = draw(st.lists(st.integers(0, 3), unique=True, max_size=4))
    to = draw(st.sampled_from([53, 80, 8080]))
    if not numbers and draw(st.booleans()):
        address = draw(st.sampled_from(["192.0.2.7", "203.0.113.9", "2001:db8::9"]))
        other = AddressTarget("other", ip_address(address), to, address == "192.0.2.7")
        return RoutedPort(
            port, (Choice(draw(st.sampled_from([HostTarget("host", to), other])), 1),)
        )
    return RoutedPort(
        port,
        tuple(Choice(target(number, to), draw(st.integers(1, 100))) for number in numbers),
        draw(st.sampled_from(Assign)),
    )


@st.composite
def rulesets(draw: st.DrawFn) -> Ruleset:
    chosen = draw(st.lists(ports, unique=True, max_size=5))
    return Ruleset(
        tuple(draw(routed_ports(port)) for port in chosen),
        tuple(subnet(number) for number in range(draw(st.integers(4, 6)))),
        frozenset(draw(st.sets(st.sampled_from(["docker0", "br-1", "br-2"])))),
        frozenset({20000, 20100, 20200, 20300}),
    )
