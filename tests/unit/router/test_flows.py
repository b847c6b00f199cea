from __future__ import annotations

from ipaddress import ip_address

import pytest
from rulesets import HOST, routed, ruleset, subnet, unproxied

from alongside.domain.port import Protocol
from alongside.router.flows import Flow, Routes
from alongside.router.protocol import Ruleset

CLIENT = "198.51.100.2:40000"
FIRST = ruleset(routed("53/udp", (0, 1)))
SECOND = ruleset(routed("53/udp", (1, 1)))


def flow(source: str, destination: str, reply_source: str, reply_destination: str = "") -> Flow:
    """`address:port`, as `conntrack -L` has src, dst, then src and dst of the reply."""
    ends = []
    for text in (source, destination, reply_source, reply_destination or source):
        address, _, port = text.rpartition(":")
        ends += [ip_address(address).packed, int(port)]
    return Flow(*ends)  # type: ignore[arg-type]


def stale(wanted: Ruleset, *ends: str) -> bool:
    return Routes(Protocol.UDP, wanted, HOST).is_stale(flow(*ends))


@pytest.mark.parametrize(
    ("destination", "far_end"),
    [
        ("198.51.100.1:53", "10.213.0.2:53"),
        ("2001:db8::1:53", "fd00:a1:51de::2:53"),
        ("127.0.0.1:53", "127.0.0.1:20000"),
        ("::1:53", "::1:20000"),
        ("198.51.100.1:53", "10.213.0.1:20000"),  # from a container
        ("2001:db8::1:53", "fd00:a1:51de:ffff::1:20000"),
        ("10.213.0.17:53", "10.213.0.1:20000"),  # a container's gateway is the host, too
    ],
)
def test_a_flow_is_stale_once_its_port_leads_elsewhere_or_nowhere(
    destination: str, far_end: str
) -> None:
    source = "198.51.100.2:40000" if "." in destination else "2001:db8::2:40000"
    assert not stale(FIRST, source, destination, far_end)
    assert stale(SECOND, source, destination, far_end)
    assert stale(ruleset(routed("53/udp")), source, destination, far_end)
    assert stale(ruleset(), source, destination, far_end)


def test_without_the_engines_proxy_no_flow_goes_by_it() -> None:
    """A client that asks on for ever would stay with a proxy that is gone."""
    for destination, far_end in (
        ("127.0.0.1:53", "127.0.0.1:20000"),
        ("198.51.100.1:53", "10.213.0.1:20000"),
    ):
        assert stale(unproxied(FIRST), CLIENT, destination, far_end)
        assert not stale(unproxied(FIRST), CLIENT, destination, "10.213.0.2:53")
        assert stale(unproxied(SECOND), CLIENT, destination, "10.213.0.2:53")


def test_a_split_explains_all_of_its_targets() -> None:
    both = ruleset(routed("53/udp", (0, 1), (1, 1)))
    assert not stale(both, CLIENT, "198.51.100.1:53", "10.213.0.2:53")
    assert not stale(both, CLIENT, "198.51.100.1:53", "10.213.0.18:53")
    assert stale(both, CLIENT, "198.51.100.1:53", "10.213.0.34:53")
    assert stale(both, CLIENT, "198.51.100.1:53", "10.213.0.2:5353")


def test_an_address_s_route_is_its_own() -> None:
    wanted = ruleset(routed("53/udp", (0, 1)), routed("192.0.2.7:53/udp", (1, 1)))
    assert not stale(wanted, CLIENT, "192.0.2.7:53", "10.213.0.18:53")
    assert stale(wanted, CLIENT, "192.0.2.7:53", "10.213.0.2:53")
    assert not stale(wanted, CLIENT, "198.51.100.1:53", "10.213.0.2:53")


def test_a_flow_from_before_the_port_was_routed_is_stale() -> None:
    assert stale(FIRST, CLIENT, "198.51.100.1:53", "198.51.100.1:53")
    assert stale(FIRST, CLIENT, "198.51.100.1:53", "172.17.0.2:53")  # Docker's own publishing
    assert not stale(ruleset(), CLIENT, "198.51.100.1:53", "198.51.100.1:53")
    assert not stale(ruleset(), CLIENT, "198.51.100.1:53", "172.17.0.2:53")


def test_a_late_reply_tracked_as_a_flow_is_stale_if_its_sender_is() -> None:
    reverse = ("10.213.0.2:53", CLIENT, CLIENT, "198.51.100.1:53")
    assert stale(SECOND, *reverse)
    assert not stale(FIRST, *reverse)
    unmasked = ("10.213.0.2:53", CLIENT, CLIENT, "10.213.0.2:53")
    assert not stale(SECOND, *unmasked)  # the client's next packet does not match it


@pytest.mark.parametrize(
    "ends",
    [
        ("10.213.0.2:40000", "203.0.113.5:53", "203.0.113.5:53", "198.51.100.1:40000"),
        ("198.51.100.1:40000", "10.213.0.34:53", "10.213.0.34:53"),  # a probe of the host's
        ("127.0.0.1:40000", "127.0.0.1:20200", "127.0.0.1:20200"),  # a local port
        ("198.51.100.1:40000", "10.213.0.33:20200", "10.213.0.34:53"),  # published by the engine
        ("127.0.0.1:40000", "127.0.0.53:53", "127.0.0.53:53"),  # somebody's resolver
        ("127.0.0.1:40000", "127.0.0.1:5000", "127.0.0.1:5001"),  # somebody's redirect
        ("203.0.113.2:53", "203.0.113.3:53", "203.0.113.3:53"),  # forwarded for others
        ("198.51.100.1:53", "203.0.113.3:53", "203.0.113.3:53"),  # the host's own, outgoing
    ],
)
def test_flows_of_others_are_never_stale(ends: tuple[str, ...]) -> None:
    for wanted in (FIRST, SECOND, ruleset()):
        assert not stale(wanted, *ends)


def test_tcp_ports_explain_nothing_and_want_nothing() -> None:
    tcp = ruleset(routed("53/tcp", (0, 1)))
    assert not stale(tcp, CLIENT, "198.51.100.1:53", "198.51.100.1:53")


def test_subnets_are_looked_up_by_their_size() -> None:
    many = Ruleset(subnets=tuple(subnet(number) for number in range(15)))
    assert stale(many, CLIENT, "198.51.100.1:53", "10.213.0.226:53")
    assert not stale(many, CLIENT, "198.51.100.1:53", "10.213.1.2:53")
