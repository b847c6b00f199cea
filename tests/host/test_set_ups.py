"""Firewalls and other set-ups of a host, each made for real: the rows of docs/hosts.md."""

from __future__ import annotations

import re
import shlex
import socket
from collections.abc import Callable, Iterator

import pytest

from alongside.router.netlink import NETLINK_NETFILTER, open_netlink, ruleset_generation
from support import ask
from support.firewall import Firewall
from support.host import Client, Host
from support.installation import Installation
from support.load import Load
from support.namespace import Namespace
from support.questions import NOTHING, OTHER, Inside, Site, expected

pytestmark = pytest.mark.host

Hosts = Callable[..., Host]


# Without the engine's own ways.


def test_without_the_userland_proxy(make_host: Hosts) -> None:
    host = make_host("--userland-proxy=false")
    site = Site(host)
    works = expected(
        host_tcp4=OTHER,  # the engine masquerades what comes from the host itself
        host_udp4=OTHER,
        loopback_tcp6=NOTHING,
        loopback_udp6=NOTHING,
    )
    answers = site.answers()
    # Whether the engine keeps its networks apart is its own affair, and differs by release.
    across = {one: works.pop(one) for one in list(works) if one.startswith("container ")}
    assert {one: answers[one] for one in works} == works
    assert {answers[one] for one in across} <= {OTHER, NOTHING}
    with pytest.raises(ConnectionRefusedError):  # at once, so that programs try 127.0.0.1 next
        ask.line(host, "::1", 7)
    assert not site.reached_by_outsiders()
    site.switches_lose_nothing()
    (said,) = site.problems()
    assert "without its userland proxy" in said
    assert "[::1]" in said
    assert said in site.said, "who gives the ports to a version is told"

    # A daemon that starts knows it, and leaves the table as it is.
    before = commits(host)
    site.alongside.stop()
    site.alongside.start()
    site.alongside("up", "web@1")  # it runs, and the daemon has met the engine
    assert site.answers(["loopback"]).items() <= works.items()
    assert commits(host) == before
    assert site.problems() == [said]

    # With the proxy again all is as it should be, and nobody need tell the daemon.
    host.engine.restart()
    site.running()
    site.wait_for_problem("userland proxy", there=False)
    # The engine leaves its old masquerading rule behind until the host starts anew.
    assert site.answers() == expected(host_tcp4=OTHER, host_udp4=OTHER)


def commits(host: Host) -> int:
    """How many times anybody has changed nftables on the host."""
    with open_netlink(NETLINK_NETFILTER, namespace=host.path) as channel:
        return ruleset_generation(channel)


def test_without_the_engines_iptables(make_host: Hosts) -> None:
    host = make_host("--iptables=false")
    site = Site(host)
    assert site.answers() == expected()
    assert not site.reached_by_outsiders()
    site.switches_lose_nothing()
    # What is missing: an instance's own connections leave with an address that nobody knows.
    # The answers come all the same, where they find the way.
    inside, place = Inside(host, "web-1"), site.instance("1")
    assert source_seen(host.client, inside) == place["address4"]
    assert source_seen(host.client, inside, socket.AF_INET6) == place["address6"]
    host.nft(
        "table ip outgoing {\n chain postrouting {\n"
        "  type nat hook postrouting priority srcnat\n"
        '  ip saddr 10.213.0.0/16 oifname != "al-*" masquerade\n }\n}\n'
    )
    assert source_seen(host.client, inside) == host.address4
    assert site.answers() == expected()


def source_seen(listening: Client, asking: Namespace, family: int = socket.AF_INET) -> str:
    """Whom a server elsewhere sees when a container asks it, and hears its answer."""
    kind = socket.SOCK_STREAM
    with listening.socket(family, kind) as server, asking.socket(family, kind) as client:
        server.bind((listening.address4 if family == socket.AF_INET else listening.address6, 0))
        server.listen()
        server.settimeout(5)
        client.settimeout(5)
        client.connect(server.getsockname())
        accepted, peer = server.accept()
        with accepted:
            accepted.sendall(b"x")
        assert client.recv(9) == b"x"
        return str(peer[0])


# Firewalls.


def test_with_ufw(make_host: Hosts) -> None:
    host = make_host()
    site, firewall = Site(host), Firewall(host)
    assert site.problems() == []
    firewall.enable_ufw()
    said = site.wait_for_problem("A firewall drops")
    kept_out = expected(container=NOTHING, itself=NOTHING)
    if "ufw route allow" in said:  # an engine that leaves IPv6 to the firewall
        kept_out |= {"client tcp6": NOTHING, "client udp6": NOTHING}
    assert site.answers() == kept_out
    site.alongside("activate", "web@2")
    assert said in site.alongside("activate", "web@1").stdout

    for command in re.findall(r"ufw (?:route )?allow to [0-9a-f:./]+[0-9]", said):
        firewall(shlex.split(command))
    site.wait_for_problem("A firewall drops", there=False)
    assert site.answers() == expected()
    assert not site.reached_by_outsiders()
    site.switches_lose_nothing()

    firewall(["ufw", "reload"])
    assert site.answers() == expected()
    # For versions that come, too: the rules are about the pools.
    site.alongside("rm", "--force", "web@2")
    site.alongside("up", "web@2")
    assert site.answers(["client", "container"]).items() <= expected().items()
    assert site.problems() == []


@pytest.mark.soak
def test_with_firewalld(make_host: Hosts) -> None:
    """It starts when the engine runs, and takes the engine's rules away; a restart of the engine
    brings them back, as for plain Docker, and puts all networks into its zone."""
    host = make_host()
    firewall = Firewall(host)
    site = Site(host)
    firewall.start_firewalld()
    said = site.wait_for_problem("A firewall drops")
    assert "systemctl restart docker" in said
    assert site.answers(["client"])["client tcp4"] == NOTHING
    assert site.answers(["host", "loopback"]).items() <= expected().items()

    host.engine_restart()
    site.running()
    assert site.answers() == expected()
    assert not site.reached_by_outsiders()
    site.switches_lose_nothing()
    zones = firewall(["firewall-cmd", "--get-active-zones"]).stdout
    assert zones.startswith("docker\n")
    assert zones.count(" al-") == 2

    def reload() -> None:
        firewall(["firewall-cmd", "--reload"])

    for again in (reload, firewall.restart_firewalld):
        again()  # the engine is told, and puts its rules back
        ask.patiently(lambda: ask.line(host.client, host.address4, 7), timeout=30)
        assert site.answers() == expected()
    site.wait_for_problem("A firewall drops", there=False)


# Addresses.


@pytest.fixture(scope="module")
def many() -> Iterator[Site]:
    """Two links and a VLAN, two addresses on one of them, strict reverse-path filters, a bridge
    address of the engine's own that is free, and containers that outlive the engine."""
    with Host("--live-restore", "--bip=172.31.255.1/24") as host:
        for name in ("all", "default", "eth0"):
            host.sysctl(f"net.ipv4.conf.{name}.rp_filter", 1)
        other = host.neighbour()
        add_vlan(host, host.client)
        for line in (
            "address add 198.51.100.7/24 dev eth0",
            "address add 2001:db8:51:100::7/64 dev eth0 nodad",
        ):
            host.run(["ip", *line.split()])
        site = Site(host)
        repository = site.alongside.repository("bound", {"compose.yaml": BOUND, "Dockerfile": FROM})
        repository.release("1", {})
        site.alongside("activate", "bound@1")
        site.neighbour = other
        yield site


BOUND = """\
services:
  bound:
    image: repo/bound:${tag:-latest}
    build: .
    ports: ["198.51.100.7:8080:7", "198.51.100.7:8080:7/udp", "[2001:db8:51:100::7]:8080:7"]
"""
FROM = 'FROM alongside-test/responder:latest\nENV VERSION=bound PORTS="7"\n'
VLAN4, VLAN6 = "192.0.2.", "2001:db8:2::"


def add_vlan(host: Host, client: Client) -> None:
    """802.1Q number 30 on the first link: 192.0.2.0/24 and 2001:db8:2::/64. Where the kernel has
    none, what comes nearest: another interface on the same one, told apart by its MAC address."""
    tagged, apart = "type vlan id 30", "type macvlan mode bridge"
    add = "link add link eth0 name eth0.30"
    has = host.run(["ip", *f"{add} {tagged}".split()], check=False).returncode == 0
    if has:
        host.run(["ip", "link", "delete", "eth0.30"])
    for where, number in ((host, 1), (client, 2)):
        for line in (
            f"{add} {tagged if has else apart}",
            f"address add {VLAN4}{number}/24 dev eth0.30",
            f"address add {VLAN6}{number}/64 dev eth0.30 nodad",
            "link set eth0.30 up",
        ):
            where.run(["ip", *line.split()])


def test_with_strict_reverse_path_filters_and_another_bip(many: Site) -> None:
    names = many.host.run(["ls", "/proc/sys/net/ipv4/conf"]).stdout.split()
    filters = many.host.run(
        ["cat", *(f"/proc/sys/net/ipv4/conf/{name}/rp_filter" for name in names if name != "lo")]
    ).stdout.split()
    assert set(filters) == {"1"}
    assert many.answers() == expected()
    assert not many.reached_by_outsiders()
    many.switches_lose_nothing()


@pytest.mark.parametrize(
    "to",
    [
        ("198.51.100.1", "2001:db8:51:100::1"),
        ("198.51.100.7", "2001:db8:51:100::7"),
        (f"{VLAN4}1", f"{VLAN6}1"),
        ("203.0.113.1", "2001:db8:113::1"),
    ],
    ids=["first", "second", "vlan", "another link's"],
)
def test_a_port_of_any_address_is_on_all_of_them(many: Site, to: tuple[str, str]) -> None:
    answers = many.answers(["host", "container", "itself"], to)
    assert NOTHING not in answers.values()
    if to[0].startswith(VLAN4):
        mine = (f"{VLAN4}2", f"{VLAN6}2")  # its address on that network
    else:
        mine = (many.host.client.address4, many.host.client.address6)
    for there, own in zip(to, mine, strict=True):
        assert ask.line(many.host.client, there, 7, "x") == f"1 {own} x"
        assert ask.datagram(many.host.client, there, 7, "x") == f"1 {own} x"


def test_a_neighbour_on_another_link_is_answered_on_that_link(many: Site) -> None:
    """It has no other way to the host: an answer that left elsewhere would not come."""
    other = many.neighbour
    assert other is not None
    for there in (other.host4, other.host6, "198.51.100.7", f"{VLAN4}1", f"{VLAN6}1"):
        own = other.address6 if ":" in there else other.address4
        assert ask.line(other, there, 7, "x") == f"1 {own} x"
        assert ask.datagram(other, there, 7, "x") == f"1 {own} x"


def test_a_port_of_one_address_is_on_that_alone(many: Site) -> None:
    host = many.host
    for source in (host.client, host):
        for there in ("198.51.100.7", "2001:db8:51:100::7"):
            assert ask.line(source, there, 8080).startswith("bound ")
        assert ask.datagram(source, "198.51.100.7", 8080).startswith("bound ")
        for there in (host.address4, host.address6, f"{VLAN4}1", f"{VLAN6}1"):
            with pytest.raises(ConnectionRefusedError):
                ask.line(source, there, 8080)
    assert ask.line(Inside(host, "web-1"), "198.51.100.7", 8080).startswith("bound ")


def test_with_two_uplinks(many: Site) -> None:
    """A client that is far away, behind the second link's router: the host's own programs answer
    it there by a rule for their source address, which a container's answer does not have yet when
    its way is chosen. With a mark on the connection it has (docs/hosts.md)."""
    host = many.host
    router = many.neighbour
    assert router is not None
    router.run(["ip", "address", "add", "192.0.2.99/32", "dev", "lo"])
    for line in (
        "rule add from 203.0.113.1 lookup 100",
        "rule add fwmark 1 lookup 100",
        "route add default via 203.0.113.2 dev eth1 table 100",
    ):
        host.run(["ip", *line.split()])
    host.sysctl("net.ipv4.conf.eth1.rp_filter", 2)
    try:
        with pytest.raises(TimeoutError):
            ask_from(router, "192.0.2.99", "203.0.113.1")
        host.nft(UPLINKS)
        assert ask_from(router, "192.0.2.99", "203.0.113.1") == "1 192.0.2.99 x"
        assert many.answers() == expected()
    finally:
        host.nft("add table inet uplinks\ndelete table inet uplinks\n")


UPLINKS = """\
table inet uplinks {
  chain prerouting {
    type filter hook prerouting priority mangle
    iifname "eth1" ct state new ct mark set 1
    iifname "al-*" ct mark 1 meta mark set ct mark
  }
}
"""


def ask_from(source: Namespace, address: str, there: str) -> str:
    with source.socket(socket.AF_INET, socket.SOCK_STREAM) as asking:
        asking.settimeout(1.5)
        asking.bind((address, 0))
        asking.connect((there, 7))
        asking.sendall(b"x\n")
        return asking.recv(99).decode().strip()


def test_a_network_of_somebody_elses_within_the_pool(many: Site) -> None:
    host, taken = many.host, "10.213.0.48/28"  # the next that would be given out
    host.docker(["network", "create", "--subnet", taken, "theirs"])
    try:
        many.wait_for_problem(f"10.213.0.0/16 overlaps {taken}")
        many.repository.release("3", {})
        said = many.alongside.refused("up", "web@3")
        assert f"overlaps {taken}" in said
        assert "--pool" in said
    finally:
        host.docker(["network", "rm", "theirs"])
    many.wait_for_problem("overlaps", there=False)
    many.alongside("up", "web@3")


def test_live_restore(many: Site) -> None:
    """dockerd is killed and started again: containers and ports go on, and so do connections."""
    host = many.host
    started = host.docker(["inspect", "--format", "{{.State.StartedAt}}", "web-1", "web-2"]).stdout
    loads = [
        Load(source, "tcp", there, 7, timeout=10, workers=1)
        for source, there in (
            (host.client, host.address4),
            (host.client, host.address6),
            (host, host.address4),
        )
    ]
    with (
        loads[0],
        loads[1],
        loads[2],
        ask.connect(host.client, host.address4, 7, timeout=10) as stream,
    ):
        assert stream.ask("before").startswith("1 ")
        host.engine_kill()
        many.wait_for_problem("does not answer")
        assert stream.ask("while it is away").startswith("1 ")
        for load in loads:
            load.wait_for(100)
        # What the engine's proxy answers waits for the engine.
        with pytest.raises(OSError):
            ask.line(host, "127.0.0.1", 7)
        host.engine_start()
        many.wait_for_problem("does not answer", there=False)
        assert stream.ask("after").startswith("1 ")
        for load in loads:
            load.wait_for(100)
        reports = [load.stop() for load in loads]
    assert [report.failures for report in reports] == [[], [], []]
    again = host.docker(["inspect", "--format", "{{.State.StartedAt}}", "web-1", "web-2"]).stdout
    assert again == started, "nothing was started again"
    assert many.answers() == expected()
    many.switches_lose_nothing()


@pytest.mark.parametrize(
    "options",
    [["--bip=10.213.0.1/24"], ["--default-address-pool=base=10.213.128.0/17,size=24"]],
    ids=["bip", "default-address-pools"],
)
def test_an_engine_whose_addresses_are_the_pools(make_host: Hosts, options: list[str]) -> None:
    alongside = Installation(make_host(*options))
    alongside.start(wait=False)
    assert alongside.wait_ended() == 1
    said = alongside.words()
    assert re.search(r"pool 10\.213\.0\.0/16 overlaps 10\.213\.\d+\.0/24", said)
    assert "docker0" in said
    assert "--pool 10.214.0.0/16" in said
