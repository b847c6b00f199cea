"""Others' rules, and the way of a packet through them."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest

from alongside.doctor.foreign import iptables, nftables
from alongside.doctor.foreign.rules import Base, Fate, Packet, fate
from alongside.domain.port import Protocol

ARRIVING = Packet(Protocol.TCP, ip_address("198.51.100.1"), 80, came_in="eth0")
FORWARDED = Packet(
    Protocol.TCP,
    ip_address("10.213.0.2"),
    80,
    came_in="eth0",
    goes_out="al-1",
    here=False,
    translated=True,
)


def saved(*lines: str, policy: str = "ACCEPT", table: str = "filter") -> Base:
    """iptables' FORWARD, or PREROUTING of another table."""
    hook = "FORWARD" if table == "filter" else "PREROUTING"
    text = f"# by iptables-nft-save\n*{table}\n:{hook} {policy} [0:0]\n:own - [0:0]\n"
    (base,) = iptables.bases(text + "".join(f"{line}\n" for line in lines), "ip", "iptables")
    return base


def verdict(base: Base, packet: Packet) -> str | None:
    end = fate(base, packet)
    return end.verdict if end else None


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("-A FORWARD -j DROP", "drop"),
        ("-A FORWARD -p tcp -m tcp --dport 80 -j REJECT --reject-with tcp-reset", "reject"),
        ("-A FORWARD -p tcp -m multiport --dports 22,79:81 -j DROP", "drop"),
        ("-A FORWARD -p udp -m udp --dport 80 -j DROP", None),
        ("-A FORWARD -p tcp -m tcp ! --dport 80 -j DROP", None),
        ("-A FORWARD -i eth+ -o al-+ -j DROP", "drop"),
        ("-A FORWARD ! -i eth0 -j DROP", None),
        ("-A FORWARD -i wlan0 -j DROP", None),
        ("-A FORWARD -d 10.213.0.0/16 -j DROP", "drop"),
        ("-A FORWARD -d 10.214.0.0/16 -j DROP", None),
        ("-A FORWARD -m iprange --dst-range 10.213.0.1-10.213.0.3 -j DROP", "drop"),
        ("-A FORWARD -s 192.0.2.7/32 -j DROP", None),  # a stranger is not that one
        ("-A FORWARD -m conntrack --ctstate NEW -j DROP", "drop"),
        ("-A FORWARD -m conntrack --ctstate INVALID -j DROP", None),
        ("-A FORWARD -m conntrack ! --ctstate DNAT -j DROP", None),
        ("-A FORWARD -m addrtype --dst-type LOCAL -j DROP", None),
        ("-A FORWARD -m set --match-set banned src -j DROP", None),
        ('-A FORWARD -m comment --comment "no -j ACCEPT" -j DROP', "drop"),
        ("-A FORWARD -j LOG", None),
        ("-A FORWARD -g own\n-A own -j RETURN\n-A FORWARD -j DROP", None),
        ("-A FORWARD -j own\n-A own -j RETURN\n-A FORWARD -j DROP", "drop"),
        ("-A FORWARD -j own\n-A own -p tcp -j DROP", "drop"),
        ("-A FORWARD -m conntrack --ctstate DNAT -j ACCEPT\n-A FORWARD -j DROP", None),
        ("-A FORWARD -j own\n-A own -j own\n-A FORWARD -j DROP", "drop"),  # no way to loop
    ],
)
def test_iptables(line: str, expected: str | None) -> None:
    assert verdict(saved(line), FORWARDED) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("-A PREROUTING -p tcp -m tcp --dport 80 -j NOTRACK", "notrack"),
        ("-A PREROUTING -p tcp -m tcp --dport 80 -j CT --notrack", "notrack"),
        ("-A PREROUTING -p tcp -j CT --helper ftp", None),
        ("-A PREROUTING -m addrtype --dst-type LOCAL -p tcp -j TPROXY --on-port 22", "tproxy"),
    ],
)
def test_iptables_of_other_tables(line: str, expected: str | None) -> None:
    base = saved(line, table="raw")
    assert base.priority == -300
    assert verdict(base, ARRIVING) == expected


# As engine 28.0 writes them (moby/moby#49518), with an instance's network for the example's.
ENGINE_28 = """\
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-FORWARD
-A DOCKER -d 10.213.0.2/32 ! -i al-1 -o al-1 -p tcp -m tcp --dport 80 -j ACCEPT
-A DOCKER ! -i al-1 -o al-1 -j DROP
-A DOCKER ! -i docker0 -o docker0 -j DROP
-A DOCKER-FORWARD -m set --match-set docker-ext-bridges-v4 dst -m conntrack --ctstate \
RELATED,ESTABLISHED -j ACCEPT
-A DOCKER-FORWARD -j DOCKER-ISOLATION-STAGE-1
-A DOCKER-FORWARD -m set --match-set docker-ext-bridges-v4 dst -j DOCKER
-A DOCKER-FORWARD -i al-1 -j ACCEPT
-A DOCKER-ISOLATION-STAGE-1 -i al-1 ! -o al-1 -j DOCKER-ISOLATION-STAGE-2
-A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP
-A DOCKER-USER -j RETURN
"""


def test_an_engines_own_rules_let_its_published_ports_pass_and_no_others() -> None:
    base = saved(*ENGINE_28.splitlines(), policy="DROP")
    assert fate(base, FORWARDED) is None
    end = fate(base, replace(FORWARDED, number=81))
    assert end
    assert (end.verdict, end.chain, end.doubt) == ("drop", "DOCKER", False)


def test_a_policy_is_what_is_left_and_says_so() -> None:
    base = saved("-A FORWARD -p udp -j ACCEPT", policy="DROP")
    end = fate(base, FORWARDED)
    assert str(end) == "the policy drop of iptables' chain FORWARD (table filter)"
    assert end
    assert not end.doubt


def test_what_is_not_understood_and_may_let_it_pass_is_a_doubt() -> None:
    for line in ("-A FORWARD -m mark --mark 0x1 -j ACCEPT", "-A FORWARD -s 10.0.0.0/8 -j ACCEPT"):
        end = fate(saved(line, policy="DROP"), FORWARDED)
        assert end
        assert end.doubt
    end = fate(saved("-A FORWARD -j EXTENSION", policy="DROP"), FORWARDED)
    assert end
    assert end.doubt
    sure = fate(saved("-A FORWARD -m mark --mark 0x1 -j DROP", policy="DROP"), FORWARDED)
    assert sure
    assert not sure.doubt


def test_the_other_familys_packets_pass_by() -> None:
    ipv6 = replace(FORWARDED, to=ip_address("fd00::2"))
    assert verdict(saved(policy="DROP"), ipv6) is None


TABLE: list[dict[str, Any]] = [
    {"metainfo": {"version": "1.0.6"}},
    {"table": {"family": "inet", "name": "f"}},
    {"set": {"name": "ports", "elem": [80, {"range": [8000, 8010]}]}},
    {"chain": {"family": "inet", "table": "f", "name": "own"}},
    {
        "chain": {
            "family": "inet",
            "table": "f",
            "name": "wall",
            "type": "filter",
            "hook": "forward",
            "prio": 5,
            "policy": "accept",
        }
    },
    {"rule": {"chain": "own", "handle": 3, "expr": [{"reject": None}]}},
]


def listed(*statements: Any) -> Base:
    """As nft 1.0.6 prints a forward chain with one rule."""
    rule = {"rule": {"chain": "wall", "handle": 8, "expr": [*statements]}}
    (base,) = nftables.bases({"nftables": [*TABLE, rule]})
    return base


def match(left: Any, right: Any, op: str = "==") -> Any:
    return {"match": {"op": op, "left": left, "right": right}}


DPORT = {"payload": {"protocol": "tcp", "field": "dport"}}
UDP = {"payload": {"protocol": "udp", "field": "dport"}}
DADDR = {"payload": {"protocol": "ip", "field": "daddr"}}
SADDR = {"payload": {"protocol": "ip", "field": "saddr"}}
STATE = {"ct": {"key": "state"}}
NET = {"prefix": {"addr": "10.213.0.0", "len": 16}}
L4 = {"meta": {"key": "l4proto"}}
TYPE = {"fib": {"result": "type", "flags": ["daddr"]}}


@pytest.mark.parametrize(
    ("matches", "dropped"),
    [
        ([], True),
        ([{"counter": {"packets": 0}}, {"log": {"prefix": "x"}}], True),
        ([match(DPORT, 80)], True),
        ([match(DPORT, {"set": [79, {"range": [80, 90]}]})], True),
        ([match(DPORT, "@ports")], True),
        ([match(DPORT, "@unknown")], False),
        ([match(UDP, 80)], False),
        ([match(L4, {"set": ["tcp", "udp"]}), match(DPORT, 80, "!=")], False),
        ([match(L4, 6)], True),
        ([match({"meta": {"key": "iifname"}}, "eth*")], True),
        ([match({"meta": {"key": "oifname"}}, "br-*", "!=")], True),
        ([match({"meta": {"key": "iif"}}, "lo")], False),
        ([match({"meta": {"key": "nfproto"}}, "ipv6")], False),
        ([match(DADDR, NET)], True),
        ([match(DADDR, {"set": ["1.1.1.1", {"elem": {"val": NET}}]})], True),
        ([match(DADDR, {"range": ["10.213.0.1", "10.213.0.9"]})], True),
        ([match({"payload": {"protocol": "ip6", "field": "daddr"}}, "fd00::2")], False),
        ([match(SADDR, "192.0.2.1")], False),
        ([match(STATE, ["established", "related"], "in")], False),
        ([match(STATE, {"set": ["new", "untracked"]})], True),
        ([match(STATE, "new", "!=")], False),
        ([match({"ct": {"key": "status"}}, "dnat", "in")], True),
        ([match(TYPE, "local")], False),
        ([match({"meta": {"key": "mark"}}, 1)], False),
        ([{"limit": {"rate": 3, "per": "second"}}], False),
        ([{"xt": {"type": "match", "name": "set"}}], False),
    ],
)
def test_nft(matches: list[Any], dropped: bool) -> None:
    assert verdict(listed(*matches, {"drop": None}), FORWARDED) == ("drop" if dropped else None)


def test_nft_jumps_and_names_the_rule() -> None:
    end = fate(listed({"jump": {"target": "own"}}), FORWARDED)
    assert isinstance(end, Fate)
    assert str(end) == "`reject` in chain wall of table inet f (chain own), handle 3"


def test_a_verdict_map_is_a_doubt() -> None:
    vmap = {"vmap": {"key": STATE, "data": {"set": [["new", {"accept": None}]]}}}
    end = fate(replace(listed(vmap), policy="drop"), FORWARDED)
    assert end
    assert end.doubt


def test_chains_of_other_hooks_are_left_out() -> None:
    output = {"chain": {"name": "out", "hook": "output", "type": "filter", "prio": 0}}
    assert [base.chain for base in nftables.bases({"nftables": [*TABLE, output]})] == ["wall"]
