"""Each check, from facts to findings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import pytest

from alongside.doctor.catalogue import CHECKS
from alongside.doctor.facts import (
    Answer,
    EngineOptions,
    Facts,
    Failed,
    Firewall,
    Hooks,
    ImageProblem,
    InstanceState,
    Kernel,
    PartProblem,
    Ports,
    Socket,
    Space,
    StateFolder,
    Tools,
    Unseen,
    Wanted,
)
from alongside.doctor.finding import Checked, Outcome
from alongside.doctor.foreign.rules import Base, Match, Rule
from alongside.domain.instance import Subnet
from alongside.domain.port import Protocol, parse_port
from alongside.engine.protocol import EngineInfo, Published
from alongside.host.listeners import Listener
from alongside.host.requirements import Missing
from alongside.router.protocol import Choice, HostTarget, InstanceTarget, RoutedPort, Ruleset

OK, UNSEEN, WARNING, PROBLEM = Outcome.OK, Outcome.UNSEEN, Outcome.WARNING, Outcome.PROBLEM

SUBNET = Subnet("al-1", IPv4Network("10.213.0.0/28"), IPv6Network("fd00:1:2::/64"))
TARGET = InstanceTarget("web@1", SUBNET, SUBNET.address4, SUBNET.address6, 8080, 20000)
WEB = RoutedPort(parse_port("80/tcp"), (Choice(TARGET, 1),))
INSTANCE = InstanceState("web-1", "web@1", "running", "al-1", SUBNET.proxy6, (("tcp", 20000),))
WANTED = Wanted(Ruleset((WEB,)), (INSTANCE,), pool6=IPv6Network("fd00:1:2::/48"))
FAILING = PartProblem("It failed.", hangs=False)
HANGING = PartProblem("It hangs.", hangs=True)
ENGINE = EngineInfo("28.5.2", "1.51", "Debian", "/var/lib/docker")
NFT = EngineInfo("29.7.0", "1.53", "Debian", "/var/lib/docker", firewall="nftables")
HOST = ip_address("198.51.100.1")
PORTS = Ports(
    (Listener(Protocol.TCP, IPv4Address("127.0.0.1"), 20000, "docker-proxy", 9),),
    (Published("web-1", Protocol.TCP, IPv4Address("127.0.0.1"), 20000, "web-1-aaaa"),),
    frozenset({HOST, SUBNET.proxy6, IPv4Address("127.0.0.1")}),
)
SETTINGS = {
    "net.ipv4.ip_forward": "1",
    "net.ipv6.conf.all.forwarding": "1",
    "net.ipv6.conf.all.disable_ipv6": "0",
}
KERNEL = Kernel((6, 1), SETTINGS, conntrack=(10, 1000))
SOCKET = Socket("/run/a.sock", 0o660, "alongside", "eve", False, True, True, True)
HOOKS = Hooks("site", True, "/r/.git/hooks", socket="/run/a.sock", wanted_socket="/run/a.sock")
WELL = Facts(
    kernel=KERNEL,
    tools=Tools({"/usr/sbin/nft": "1.0.6"}, "2.26.1", "0.13.1"),
    engine=ENGINE,
    engine_host="unix:///var/run/docker.sock",
    options=EngineOptions(),
    wanted=WANTED,
    table=True,
    ports=PORTS,
    images=(),
    routes="",
    firewall=Firewall(uplinks=("eth0",)),
    space=(Space("/var/lib/alongside", "the state folder", 9 << 30, 99 << 30),),
    state=StateFolder("/var/lib/alongside", 0, 0o700),
    socket=SOCKET,
    answer=Answer("1.0.0", "1.0.0", 812),
    hooks=HOOKS,
)


def look(check: str, facts: Facts) -> Checked:
    (found,) = [one(facts) for one in CHECKS if one.id == check]
    return found


def test_ids_are_distinct_and_about_something() -> None:
    assert len({one.id for one in CHECKS}) == len(CHECKS)
    assert all(one.about for one in CHECKS)


@pytest.mark.parametrize("check", [one.id for one in CHECKS])
def test_all_is_well_where_all_is_well(check: str) -> None:
    found = look(check, WELL)
    assert (found.outcome, found.findings) == (OK, ())
    assert found.said


@pytest.mark.parametrize("check", [one.id for one in CHECKS])
def test_what_was_not_seen_is_not_well(check: str) -> None:
    found = look(check, Facts())
    assert found.outcome is UNSEEN


def sysctl(**settings: str) -> Kernel:
    return replace(KERNEL, settings={**SETTINGS, **_dotted(settings)})


def _dotted(settings: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("__", "."): value for name, value in settings.items()}


def listening(program: str, number: int, address: str | None = "0.0.0.0") -> Ports:
    there = ip_address(address) if address else None
    one = Listener(Protocol.TCP, there, number, program, 812)
    return replace(PORTS, listeners=(*PORTS.listeners, one))


def publishing(address: str, number: int) -> Ports:
    one = Published("shop-web-1", Protocol.TCP, ip_address(address), number, "shop")
    return replace(PORTS, published=(*PORTS.published, one))  # type: ignore[misc]


def state(word: str, **more: bool) -> Wanted:
    return replace(WANTED, instances=(replace(INSTANCE, state=word, **more),))


RULES = {
    "redirect": Rule((Match("number", ("80",)),), "redirect", name="handle 8"),
    "drop": Rule((Match("to", ("10.213.0.0/16",)),), "drop", name="handle 9"),
    "doubt": Rule((Match(None),), "accept", name="handle 7"),
}


def wall(hook: str, priority: int, *rules: str, policy: str = "accept", **more: str) -> Firewall:
    base = Base(
        more.get("family", "inet"),
        "t",
        "c",
        hook,  # type: ignore[arg-type]
        "filter",
        priority,
        policy,
        {"c": tuple(RULES[one] for one in rules)} | dict.fromkeys(more.get("also", ""), ()),
        more.get("by", "nft"),  # type: ignore[arg-type]
    )
    return Firewall((base,), uplinks=("eth0",))


FOREIGN = replace(
    WANTED, ruleset=Ruleset((replace(WEB, choices=(Choice(HostTarget("h", 81), 1),)),))
)


@pytest.mark.parametrize(
    ("check", "facts", "outcome", "words"),
    [
        ("engine", {"engine": Failed("It does not answer.")}, PROBLEM, "systemctl start docker"),
        ("engine", {"engine": replace(ENGINE, rootless=True)}, PROBLEM, "rootless"),
        ("engine", {"engine": replace(ENGINE, version="19.03.1")}, WARNING, "19.03.1 is older"),
        ("engine", {"engine_host": "tcp://10.0.0.1:2375"}, WARNING, "very host"),
        ("engine-firewall", {"engine": NFT}, WARNING, "experimental"),
        ("engine-firewall", {"engine": replace(ENGINE, firewall="iptables")}, OK, "iptables"),
        (
            "engine-firewall",
            {"options": EngineOptions(iptables=False)},
            WARNING,
            "nobody masquerades",
        ),
        ("engine-firewall", {"options": EngineOptions(ip6tables=False)}, WARNING, "IPv6"),
        (
            "engine-firewall",
            {
                "options": EngineOptions(ip6tables=False),
                "engine": replace(ENGINE, version="20.10.24+dfsg1"),
            },
            OK,  # there it is what everybody has
            "",
        ),
        ("userland-proxy", {"options": EngineOptions(userland_proxy=False)}, PROBLEM, "[::1]"),
        ("userland-proxy", {"options": Unseen("not root")}, UNSEEN, "not root"),
        ("userland-proxy", {"options": Unseen(), "ports": Ports()}, PROBLEM, "127.0.0.1"),
        ("requirements", {"tools": Tools(missing=(Missing("nft 1.0.2", "Go."),))}, PROBLEM, "Go."),
        ("nft-versions", {"tools": Tools({"/a": "1.0.6", "/b": "1.1.3"})}, WARNING, "/b 1.1.3"),
        ("nft-versions", {"tools": Tools({"/a": "1.0.6", "/b": "1.0.6"})}, OK, ""),
        ("buildx", {"tools": Tools()}, WARNING, "docker-buildx"),
        ("kernel", {"kernel": replace(KERNEL, release=(5, 4))}, PROBLEM, "5.9"),
        ("kernel", {"kernel": replace(KERNEL, release=(5, 15))}, OK, "a change later"),
        ("ip-forward", {"kernel": sysctl(net__ipv4__ip_forward="0")}, PROBLEM, "ip_forward=1"),
        (
            "ip-forward",
            {"kernel": sysctl(net__ipv4__ip_forward="0"), "engine": Failed("down")},
            OK,
            "when it starts",
        ),
        (
            "ip-forward",
            {"kernel": sysctl(net__ipv4__ip_forward="0"), "engine": NFT},
            PROBLEM,
            "does not turn it on",
        ),
        (
            "ip-forward",
            {"kernel": sysctl(net__ipv4__ip_forward="0"), "engine": Failed("down")},
            OK,
            "with its nftables backend it does not",
        ),
        (
            "ipv6-forward",
            {"kernel": sysctl(net__ipv6__conf__all__forwarding="0"), "wanted": Unseen()},
            OK,
            "first instance",
        ),
        (  # with nftables it is the first instance that would fail
            "ipv6-forward",
            {
                "kernel": sysctl(
                    net__ipv6__conf__all__forwarding="0", net__ipv6__conf__default__forwarding="0"
                ),
                "wanted": Wanted(Ruleset()),
                "engine": NFT,
            },
            PROBLEM,
            "sysctl -w net.ipv6.conf.all.forwarding=1\n"
            "sysctl -w net.ipv6.conf.default.forwarding=1",
        ),
        (
            "ipv6-forward",
            {"kernel": sysctl(net__ipv6__conf__default__forwarding="0"), "engine": NFT},
            PROBLEM,
            "no version can be started",
        ),
        (
            "ipv6-forward",
            {"kernel": sysctl(net__ipv6__conf__default__forwarding="0")},
            OK,
            "is forwarded",
        ),
        (
            "ipv6-forward",
            {
                "kernel": replace(sysctl(net__ipv6__conf__all__forwarding="0"), bridges=True),
                "wanted": Unseen(),
            },
            PROBLEM,
            "IPv6",
        ),
        (
            "ipv6-forward",
            {"kernel": sysctl(net__ipv6__conf__all__forwarding="0")},
            PROBLEM,
            "sysctl -w net.ipv6.conf.all.forwarding=1",
        ),
        (
            "ipv6-forward",
            {
                "kernel": sysctl(
                    net__ipv6__conf__all__forwarding="0", net__ipv6__conf__eth0__accept_ra="1"
                )
            },
            PROBLEM,
            "sysctl -w net.ipv6.conf.eth0.accept_ra=2\nsysctl -w net.ipv6.conf.all.forwarding=1",
        ),
        (
            "ipv6-forward",
            {"kernel": sysctl(net__ipv6__conf__all__forwarding="0"), "wanted": Wanted(Ruleset())},
            OK,
            "first instance",
        ),
        (
            "ipv6-forward",
            {
                "kernel": sysctl(
                    net__ipv6__conf__all__forwarding="0", net__ipv6__conf__all__disable_ipv6="1"
                )
            },
            OK,
            "off",
        ),
        (
            "accept-ra",
            {
                "kernel": replace(
                    sysctl(**{"net__ipv6__conf__eth0.7__accept_ra": "1"}), advertised=("eth0.7",)
                )
            },
            WARNING,
            "sysctl -w net/ipv6/conf/eth0.7/accept_ra=2",
        ),
        (
            "accept-ra",
            {"kernel": replace(sysctl(net__ipv6__conf__eth0__accept_ra="2"), advertised=("eth0",))},
            OK,
            "",
        ),
        ("rp-filter", {"kernel": sysctl(net__ipv4__conf__eth0__rp_filter="1")}, OK, "on eth0"),
        ("rp-filter", {"kernel": sysctl(net__ipv4__conf__eth0__rp_filter="2")}, OK, "not strict"),
        ("conntrack", {"kernel": replace(KERNEL, conntrack=(850, 1000))}, WARNING, "=2000"),
        ("conntrack", {"kernel": replace(KERNEL, conntrack=(990, 1000))}, PROBLEM, "99%"),
        ("conntrack", {"kernel": replace(KERNEL, conntrack=None)}, OK, ""),
        ("table", {"table": False}, PROBLEM, "nft monitor"),
        ("instances", {"wanted": state("exited", routed=True)}, PROBLEM, "alongside up web@1"),
        ("instances", {"wanted": state("none")}, WARNING, "has no container"),
        ("instances", {"wanted": state("paused")}, OK, ""),
        ("instances", {"wanted": state("exited", wanted=False)}, OK, "none is to run"),
        ("instances", {"engine": Unseen("down")}, UNSEEN, "down"),
        ("images", {"images": (ImageProblem("Gone.", "Tag.", True),)}, PROBLEM, "started anew"),
        ("images", {"images": (ImageProblem("Gone.", "Tag.", False),)}, WARNING, "rolled back"),
        (
            "proxy-address",
            {"ports": replace(PORTS, addresses=frozenset())},
            PROBLEM,
            "ip -6 address replace fd00:1:2:ffff::1/128 dev lo",
        ),
        ("parts", {"wanted": replace(WANTED, parts=(FAILING,))}, WARNING, "whole error"),
        ("parts", {"wanted": replace(WANTED, parts=(FAILING, HANGING))}, PROBLEM, "restart"),
        ("daemon-problems", {"wanted": replace(WANTED, problems=("It failed.",))}, PROBLEM, "log"),
        ("listeners", {"ports": listening("nginx", 80)}, WARNING, "nginx (pid 812) listens on"),
        ("listeners", {"ports": listening("nginx", 80, None)}, WARNING, "deactivate web"),
        ("listeners", {"ports": listening("nginx", 81)}, OK, ""),
        ("listeners", {"ports": listening("systemd-resolve", 80, "127.0.0.53")}, OK, ""),
        ("listeners", {"ports": listening("docker-proxy", 80)}, OK, ""),
        ("listeners", {"ports": listening("x", 80), "wanted": FOREIGN}, WARNING, "goes to h"),
        ("published", {"ports": publishing("0.0.0.0", 80)}, WARNING, "project shop"),
        ("published", {"ports": publishing("198.51.100.1", 80)}, WARNING, "docker stop shop-web-1"),
        ("published", {"ports": publishing("0.0.0.0", 81)}, OK, ""),
        ("published", {"ports": replace(PORTS, published=Unseen("down"))}, UNSEEN, "down"),
        ("local-ports", {"ports": listening("etcd", 20000)}, PROBLEM, "local port of web@1"),
        ("local-ports", {"ports": listening("dockerd", 20000)}, OK, ""),
        ("pool", {"routes": "The address pool overlaps."}, PROBLEM, "--pool"),
        (
            "pool",
            {"engine": replace(ENGINE, pools=(IPv4Network("10.0.0.0/8"),))},
            WARNING,
            "10.0.0.0/8",
        ),
        ("pool", {"engine": replace(ENGINE, pools=(IPv4Network("172.30.0.0/16"),))}, OK, ""),
        (
            "foreign-nat",
            {"firewall": wall("prerouting", -150, "redirect")},
            PROBLEM,
            "nft delete rule inet t c handle 8",
        ),
        ("foreign-nat", {"firewall": wall("prerouting", -100, "redirect")}, OK, "nothing"),
        ("foreign-nat", {"firewall": wall("prerouting", -110, "redirect")}, PROBLEM, "80/tcp"),
        (
            "foreign-nat",
            {"firewall": wall("prerouting", -300, "doubt", policy="drop")},
            WARNING,
            "dropped before",
        ),
        (
            "foreign-forward",
            {"firewall": wall("forward", 0, policy="drop", family="ip")},
            PROBLEM,
            "nft insert rule ip t c ip daddr 10.213.0.0/16 ct status dnat accept\n"
            "nft insert rule ip t c ip saddr 10.213.0.0/16 ct state established,related accept",
        ),
        (
            "foreign-forward",
            {"firewall": wall("forward", 0, policy="drop", family="ip6", by="iptables")},
            PROBLEM,
            "ip6tables -t t -I c -d fd00:1:2::/48 -m conntrack --ctstate DNAT -j ACCEPT",
        ),
        ("foreign-forward", {"firewall": wall("forward", 0, "drop")}, PROBLEM, "over IPv4"),
        ("foreign-forward", {"firewall": wall("prerouting", -90, "drop")}, PROBLEM, "over IPv4"),
        ("foreign-forward", {"firewall": wall("prerouting", -300, "drop")}, OK, ""),
        (
            "foreign-forward",
            {"firewall": wall("forward", 0, "doubt", policy="drop", family="ip")},
            WARNING,
            "",
        ),
        (
            "foreign-forward",
            {"firewall": wall("forward", 0, policy="drop"), "wanted": state("exited")},
            OK,  # an engine's own rules for it are not there
            "",
        ),
        (
            "foreign-input",
            {"firewall": wall("input", 0, "drop")},
            PROBLEM,
            "nft insert rule inet t c ip daddr 10.213.0.0/16 ct status dnat accept",
        ),
        (
            "foreign-input",
            {"firewall": wall("input", 0, policy="drop", family="ip"), "wanted": FOREIGN},
            PROBLEM,
            "nft insert rule ip t c tcp dport 81 ct status dnat accept",
        ),
        ("foreign-input", {"firewall": wall("forward", 0, "drop")}, OK, ""),
        (
            "firewalls",
            {"firewall": Firewall(unreadable=("inet x: it crashed",))},
            WARNING,
            "inet x",
        ),
        ("firewalls", {"firewall": Firewall(ufw=True)}, WARNING, "ufw is active"),
        ("firewalls", {"firewall": Firewall(firewalld=True)}, WARNING, "firewalld is active"),
        ("state-folder", {"state": StateFolder("/s", 1000, 0o700)}, PROBLEM, "chown root: /s"),
        ("state-folder", {"state": StateFolder("/s", 0, 0o755)}, PROBLEM, "chmod 0700 /s"),
        ("space", {"space": (Space("/s", "state", 500 << 20, 9 << 30),)}, WARNING, "500 MiB"),
        ("space", {"space": (Space("/s", "state", 5 << 20, 9 << 30),)}, PROBLEM, "prune"),
        ("daemon", {"answer": Answer(error="It is down.")}, PROBLEM, "systemctl start alongside"),
        (
            "daemon",
            {"answer": Answer(error="You may not speak to it.", hint="Use sudo.")},
            PROBLEM,
            "Use sudo.",
        ),
        ("daemon", {"answer": Answer("1.0.0", "1.1.0", 8)}, WARNING, "systemctl restart alongside"),
        ("socket", {"socket": replace(SOCKET, mode=0o666)}, PROBLEM, "chmod 0660 /run/a.sock"),
        ("socket", {"socket": replace(SOCKET, has_group=False)}, PROBLEM, "groupadd"),
        ("socket", {"socket": replace(SOCKET, member=False)}, PROBLEM, "usermod -aG alongside eve"),
        ("socket", {"socket": replace(SOCKET, in_session=False)}, PROBLEM, "newgrp"),
        ("socket", {"socket": replace(SOCKET, member=False, is_root=True)}, OK, "0660"),
        (
            "hooks",
            {"hooks": replace(HOOKS, missing=("reference-transaction",), origin="/r/.git/config")},
            PROBLEM,
            "/r/.git/config says (core.hooksPath)",
        ),
        ("hooks", {"hooks": replace(HOOKS, not_executable=("post-receive",))}, PROBLEM, "chmod +x"),
        ("hooks", {"hooks": replace(HOOKS, python="/gone")}, PROBLEM, "start /gone"),
        ("hooks", {"hooks": replace(HOOKS, exposed=("post-receive",))}, PROBLEM, "select.py"),
        ("hooks", {"hooks": replace(HOOKS, socket="/b.sock")}, WARNING, "the daemon on /b.sock"),
        ("hooks", {"hooks": replace(HOOKS, stale=("post-receive",))}, WARNING, "another version"),
        ("hooks", {"hooks": replace(HOOKS, there=False)}, OK, "not installed"),
        ("hooks", {"hooks": replace(HOOKS, there=False, released=True)}, WARNING, "build TAG"),
    ],
)
def test_a_check(check: str, facts: dict[str, object], outcome: Outcome, words: str) -> None:
    found = look(check, replace(WELL, **facts))  # type: ignore[arg-type]
    text = "\n".join(
        (
            found.said,
            *(line for one in found.findings for line in (one.what, one.means, one.remedy)),
        )
    )
    commands = "\n".join(command for one in found.findings for command in one.commands)
    assert found.outcome is outcome, text
    assert words in f"{text}\n{commands}"
    for one in found.findings:
        assert one.what.endswith((".", ")"))
        assert one.means.endswith(".")
        assert one.remedy or one.commands


def test_ufw_is_told_in_its_own_words() -> None:
    chains = {"FORWARD": (), "ufw-user-forward": ()}
    base = Base("ip", "filter", "FORWARD", "forward", "filter", 0, "drop", chains, "iptables")
    rules = Firewall((base, replace(base, chain="INPUT", hook="input")), uplinks=("eth0",))
    forward = look("foreign-forward", replace(WELL, firewall=rules)).findings
    inwards = look("foreign-input", replace(WELL, firewall=rules)).findings
    assert [one.commands for one in forward] == [("ufw route allow to 10.213.0.0/16",)]
    assert [one.commands for one in inwards] == [
        tuple(f"ufw allow proto {p} to 10.213.0.0/16 port 20000:29999" for p in ("tcp", "udp"))
    ]


def test_many_ports_are_not_all_followed_and_it_is_said() -> None:
    ports = tuple(replace(WEB, port=parse_port(f"{number}/tcp")) for number in range(1, 201))
    wanted = replace(WANTED, ruleset=Ruleset(ports))
    assert "64 of 200 ports" in look("foreign-nat", replace(WELL, wanted=wanted)).said


def test_one_rule_that_drops_all_is_one_finding_a_family() -> None:
    ports = tuple(replace(WEB, port=parse_port(f"{number}/tcp")) for number in range(1, 20))
    facts = replace(
        WELL,
        wanted=replace(WANTED, ruleset=Ruleset(ports)),
        firewall=wall("forward", 0, policy="drop"),
    )
    assert len(look("foreign-forward", facts).findings) == 2


def test_an_ipv6_address_is_not_asked_for_where_there_is_no_ipv6() -> None:
    wanted = replace(WANTED, pool6=None, instances=(replace(INSTANCE, proxy6=None),))
    rules = wall("forward", 0, policy="drop", family="ip6")
    assert look("foreign-forward", replace(WELL, wanted=wanted, firewall=rules)).outcome is OK
    addresses: frozenset[IPv4Address | IPv6Address] = frozenset({HOST})
    ports = replace(PORTS, addresses=addresses)
    assert look("proxy-address", replace(WELL, wanted=wanted, ports=ports)).outcome is OK
