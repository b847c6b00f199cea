from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rulesets import EXAMPLES, HOST, routed, ruleset, rulesets, subnet, unproxied

from alongside.domain.port import Protocol
from alongside.domain.route import Assign
from alongside.router.compile import compile_table
from alongside.router.jhash import jhash, scale
from alongside.router.protocol import AddressTarget, HostTarget, Ruleset, Target
from alongside.router.rules import HASH_SEED, IPAddress
from alongside.router.tracer import (
    Delivered,
    Dropped,
    Landing,
    Packet,
    Rejected,
    Untouched,
    trace,
)

OUTSIDE = {4: ip_address("198.51.100.2"), 6: ip_address("2001:db8::2")}


def land(
    wanted: Ruleset,
    to: str,
    port: int,
    protocol: str = "tcp",
    interface: str | None = "eth0",
    source: str = "",
    draws: tuple[int, ...] = (0,),
) -> Landing:
    destination = ip_address(to)
    packet = Packet(
        ip_address(source) if source else OUTSIDE[destination.version],
        destination,
        Protocol(protocol),
        port,
        interface,
        draws=draws,
    )
    return trace(compile_table(wanted), packet, HOST)


def end(landing: Landing) -> str:
    assert isinstance(landing, Delivered), landing
    return f"{landing.address} {landing.port}"


ANY = EXAMPLES["any-address"]


@pytest.mark.parametrize(
    ("to", "interface", "reached"),
    [
        ("198.51.100.1", "eth0", "10.213.0.2 53"),
        ("2001:db8::1", "eth0", "fd00:a1:51de::2 53"),
        ("198.51.100.1", None, "10.213.0.2 53"),
        ("2001:db8::1", None, "fd00:a1:51de::2 53"),
        ("127.0.0.1", None, "127.0.0.1 20000"),
        ("::1", None, "::1 20000"),
        ("198.51.100.1", "docker0", "10.213.0.1 20000"),
        ("2001:db8::1", "docker0", "fd00:a1:51de:ffff::1 20000"),
        ("198.51.100.1", subnet(0).bridge, "10.213.0.1 20000"),  # its own public port
        ("10.213.0.1", subnet(0).bridge, "10.213.0.1 20000"),  # by its gateway
    ],
)
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_the_ways_to_a_port(to: str, interface: str | None, reached: str, protocol: str) -> None:
    assert end(land(ANY, to, 53, protocol, interface)) == reached


@pytest.mark.parametrize(
    ("to", "interface", "reached"),
    [
        ("198.51.100.1", "eth0", "10.213.0.2 53"),
        ("2001:db8::1", None, "fd00:a1:51de::2 53"),
        ("127.0.0.1", None, "10.213.0.2 53"),
        ("198.51.100.1", "docker0", "10.213.0.2 53"),
        ("2001:db8::1", "docker0", "fd00:a1:51de::2 53"),
        ("198.51.100.1", subnet(0).bridge, "10.213.0.2 53"),
    ],
)
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_without_the_engines_proxy_all_ways_lead_straight(
    to: str, interface: str | None, reached: str, protocol: str
) -> None:
    assert end(land(unproxied(ANY), to, 53, protocol, interface)) == reached


def test_without_the_engines_proxy_the_one_way_that_is_none_is_refused() -> None:
    both = ruleset(routed("53/udp", (0, 1), (1, 1)), routed("80/tcp", (0, 1)))
    assert land(unproxied(both), "::1", 53, "udp", None) == Rejected(reset=False)
    assert land(unproxied(both), "::1", 80, "tcp", None) == Rejected(reset=True)


@pytest.mark.parametrize(
    ("to", "port", "interface"),
    [
        ("127.0.0.53", 53, None),  # somebody's resolver
        ("203.0.113.9", 53, subnet(0).bridge),  # a server elsewhere
        ("198.51.100.1", 54, "eth0"),
        ("127.0.0.1", 20000, None),  # a local port, for people
        ("10.213.0.2", 53, None),  # the instance, for a probe
        ("10.213.0.1", 20000, subnet(0).bridge),
    ],
)
def test_what_is_left_alone(to: str, port: int, interface: str | None) -> None:
    assert land(ANY, to, port, "udp", interface) == Untouched()
    closed = ruleset(routed("53/udp"), instances=1)
    if port != 53 or to != "198.51.100.1":
        assert land(closed, to, port, "udp", interface) == Untouched()


@pytest.mark.parametrize(
    ("to", "port", "interface"),
    [
        ("10.213.0.2", 53, "eth0"),
        ("10.213.0.2", 53, "docker0"),
        ("10.213.0.2", 53, subnet(1).bridge),
        ("10.213.0.5", 5432, "eth0"),  # a dependency of the instance's
        ("10.213.0.1", 20000, "eth0"),
        ("10.213.0.1", 20000, subnet(1).bridge),
        ("fd00:a1:51de::2", 53, "eth0"),
        ("fd00:a1:51de:ffff::1", 20000, "eth0"),
        ("fd00:a1:51de:ffff::1", 20000, subnet(0).bridge),
        ("127.0.0.1", 20000, "eth0"),
        ("127.0.0.1", 53, "eth0"),
        ("::1", 53, "eth0"),
    ],
)
def test_outsiders_never_reach_an_instance_or_a_local_port(
    to: str, port: int, interface: str
) -> None:
    wanted = ruleset(*EXAMPLES["any-address"].ports, instances=2)
    assert isinstance(land(wanted, to, port, "udp", interface), Dropped)
    assert isinstance(land(ruleset(instances=2), to, port, "tcp", interface), Dropped)


def test_an_address_wins_over_any() -> None:
    wanted = EXAMPLES["address-over-any"]
    assert end(land(wanted, "198.51.100.1", 80)) == "10.213.0.2 53"
    assert end(land(wanted, "192.0.2.7", 80)) == "10.213.0.18 53"
    assert end(land(wanted, "2001:db8::1", 80)) == "fd00:a1:51de:2::2 53"


def test_an_empty_split_rejects_but_not_what_an_address_has() -> None:
    wanted = EXAMPLES["empty-split"]
    for interface in ("eth0", None, "docker0"):
        assert land(wanted, "198.51.100.1", 80, "tcp", interface) == Rejected(reset=True)
        assert land(wanted, "2001:db8::1", 53, "udp", interface) == Rejected(reset=False)
        assert isinstance(land(wanted, "192.0.2.7", 80, "tcp", interface), Delivered)
    assert land(wanted, "127.0.0.1", 80, "tcp", None) == Rejected(reset=True)
    reverse = ruleset(routed("192.0.2.7:80/tcp"), routed("80/tcp", (0, 1)))
    assert land(reverse, "192.0.2.7", 80) == Rejected(reset=True)
    assert end(land(reverse, "198.51.100.1", 80)) == "10.213.0.2 53"


def test_a_packet_of_a_known_connection_is_not_looked_at() -> None:
    packet = Packet(OUTSIDE[4], ip_address("198.51.100.1"), Protocol.TCP, 53, "eth0", new=False)
    assert trace(compile_table(ANY), packet, HOST) == Untouched()
    empty = compile_table(ruleset(routed("53/tcp")))
    assert trace(empty, packet, HOST) == Untouched()


def test_late_replies_are_dropped() -> None:
    table = compile_table(ANY)
    retired = replace(table.collections["retired4"], elements={"10.213.0.2 . 53": ""})
    table = replace(table, collections={**table.collections, "retired4": retired})
    late = Packet(
        ip_address("10.213.0.2"),
        OUTSIDE[4],
        Protocol.UDP,
        40000,
        subnet(0).bridge,
        source_port=53,
    )
    assert trace(table, late, HOST) == Dropped("late replies")
    for other in (
        replace(late, new=False),
        replace(late, source_port=5353),
        replace(late, source=ip_address("10.213.0.18")),
        replace(late, protocol=Protocol.TCP),
    ):
        assert trace(table, other, HOST) == Untouched()


def test_parts_of_a_split_are_of_what_is_left_over() -> None:
    wanted = EXAMPLES["weights"]  # 70, 20, 10

    def reached(*draws: float) -> str:
        bits = tuple(int(draw * 2**32) for draw in draws)
        return end(land(wanted, "198.51.100.1", 80, draws=bits))

    assert reached(0.69) == "10.213.0.2 53"
    assert reached(0.71, 0.66) == "10.213.0.18 53"  # 20 of 30
    assert reached(0.71, 0.67) == "10.213.0.34 53"


@given(st.ip_addresses(), st.integers(0, 2**32 - 1))
def test_a_client_keeps_its_version_whatever_is_drawn(client: object, draw: int) -> None:
    wanted = EXAMPLES["weights-by-client"]
    source = ip_address(str(client))
    to = "198.51.100.1" if source.version == 4 else "2001:db8::1"
    place = scale(jhash(source.packed, HASH_SEED), 100)
    number = 0 if place < 70 else 1 if place < 90 else 2
    got = end(land(wanted, to, 80, source=str(source), draws=(draw,)))
    address = subnet(number).address4 if source.version == 4 else subnet(number).address6
    assert got == f"{address} 53"


@given(
    rulesets(),
    st.sampled_from([*map(str, HOST), "127.0.0.1", "::1"]),
    st.sampled_from([53, 80, 443, 22]),
    st.sampled_from(list(Protocol)),
    st.sampled_from(["eth0", "docker0", subnet(0).bridge, None]),
    st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=3),
)
def test_a_port_reaches_only_what_its_route_names(
    wanted: Ruleset, to: str, port: int, protocol: Protocol, interface: str | None, draws: list[int]
) -> None:
    landing = land(wanted, to, port, protocol, interface, draws=tuple(draws))
    own = [one for one in wanted.ports if (one.port.protocol, one.port.number) == (protocol, port)]
    bound = [one for one in own if one.port.address == ip_address(to)]
    anywhere = [one for one in own if one.port.address is None]
    (route,) = bound or anywhere or [None]
    if isinstance(landing, Dropped):
        assert interface is not None
        assert to in ("127.0.0.1", "::1") or to.startswith("10.213.")
    elif route is None:
        assert landing == Untouched()
    elif not route.choices:
        assert landing == Rejected(reset=protocol is Protocol.TCP)
    else:
        targets = [choice.target for choice in route.choices]
        if isinstance(landing, Rejected):  # there is no way from here to that address
            (only,) = targets
            assert isinstance(only, AddressTarget)
            loopback = ip_address(to).is_loopback and not only.on_host
            assert loopback or only.address.version != ip_address(to).version
            return
        ends = {end for one in targets for end in far_ends(one, ip_address(to))}
        assert isinstance(landing, Delivered)
        assert (landing.address, landing.port) in ends
        assert landing.by.startswith(tuple(one.name for one in targets))


def far_ends(target: Target, to: IPAddress) -> set[tuple[IPAddress, int]]:
    here = ip_address("127.0.0.1" if to.version == 4 else "::1")
    match target:
        case HostTarget(port=port):
            return {(to, port), (here, port)}
        case AddressTarget(address=address, port=port):
            return {(address, port)}
    return {
        (target.ipv4, target.port),
        (target.ipv6, target.port),
        (target.subnet.gateway4, target.local_port),
        (target.subnet.proxy6, target.local_port),
        (to, target.local_port),
    }


def test_a_rule_by_client_and_one_at_random_differ_in_words() -> None:
    random, client = (
        compile_table(ruleset(routed("80/tcp", (0, 1), (1, 1), assign=assign))) for assign in Assign
    )
    assert "numgen random mod 2 < 1" in str(random.chains["port-80-tcp"].rules[0])
    assert "jhash ip saddr mod 2 seed 0x61c88647 < 1" in str(client.chains["port-80-tcp"].rules[0])
