"""A switch over netlink leaves the kernel as nft would have left it, to the byte, or untouched."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alongside.domain.instance import Subnet
from alongside.domain.port import Port, Protocol
from alongside.router import nft
from alongside.router.batch import Refused, batch, commit
from alongside.router.compile import compile_table
from alongside.router.difference import difference
from alongside.router.netlink import (
    NETLINK_NETFILTER,
    NFNL_SUBSYS_NFTABLES,
    attribute,
    attributes,
    dump,
    open_netlink,
    ruleset_generation,
)
from alongside.router.nft import NftRouter
from alongside.router.protocol import Choice, InstanceTarget, RoutedPort, Ruleset
from alongside.router.table import Table
from alongside.router.transaction import Operation, to_text
from support.host import Host

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "router"))

from rulesets import EXAMPLES, routed_ports, rulesets

pytestmark = pytest.mark.host

_GET_RULE = NFNL_SUBSYS_NFTABLES << 8 | 7  # NFT_MSG_GETRULE
_CHAIN, _EXPRESSIONS, _USERDATA = 2, 4, 7  # NFTA_RULE_*


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    with Host() as made:
        yield made


@pytest.fixture
def clean(host: Host) -> Host:
    host.nft("add table inet alongside\ndelete table inet alongside\n")
    return host


def rules(host: Host) -> list[tuple[bytes, bytes, bytes]]:
    """Chain, expressions and comment of each rule, as the kernel has them."""
    asked = bytes((1, 0, 0, 0)) + attribute(1, b"alongside\0")
    with open_netlink(NETLINK_NETFILTER, namespace=host.path) as channel:
        found = [
            dict(attributes(buffer[start + 4 : end]))
            for buffer, start, end in dump(channel, _GET_RULE, asked)
        ]
    return [(one[_CHAIN], one[_EXPRESSIONS], one.get(_USERDATA, b"")) for one in found]


def listing(host: Host) -> str:
    return host.run(["nft", "-s", "-y", "list", "table", "inet", "alongside"]).stdout


def over_netlink(host: Host, operations: tuple[Operation, ...], behind: int = 0) -> None:
    with open_netlink(NETLINK_NETFILTER, namespace=host.path) as channel:
        messages = batch(operations, ruleset_generation(channel) - behind)
        assert messages is not None
        commit(channel, messages)


@st.composite
def switches(draw: st.DrawFn) -> tuple[Ruleset, Ruleset]:
    """The same ports, whichever way they lead before and after."""
    before = draw(rulesets())
    ports = tuple(draw(routed_ports(one.port)) for one in before.ports)
    return before, replace(before, ports=ports)


def emptied(ruleset: Ruleset) -> Ruleset:
    return replace(ruleset, ports=tuple(replace(one, choices=()) for one in ruleset.ports))


def compare(host: Host, before: Table, after: Table) -> None:
    operations = difference(before.listing(), after)
    if not operations:
        return
    anew = "add table inet alongside\ndelete table inet alongside\n"
    anew += to_text(difference(None, before))
    left = []
    for by_nft in (True, False):
        host.nft(anew)
        if by_nft:
            host.nft(to_text(operations))
        else:
            over_netlink(host, operations)
        left.append((rules(host), listing(host)))
    assert left[0] == left[1]


@given(switches())
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_switch_is_nft_s_to_the_byte(host: Host, switch: tuple[Ruleset, Ruleset]) -> None:
    compare(host, *map(compile_table, switch))


@pytest.mark.parametrize("ruleset", EXAMPLES.values(), ids=EXAMPLES)
def test_every_golden_ruleset_can_be_switched_to_and_from(host: Host, ruleset: Ruleset) -> None:
    """Every kind of rule that a port's chain has."""
    there, empty = compile_table(ruleset), compile_table(emptied(ruleset))
    compare(host, empty, there)
    compare(host, there, empty)


def test_an_element_s_timeout_is_nft_s(clean: Host) -> None:
    """The listings above leave out what is left of it."""
    there = compile_table(EXAMPLES["any-address"])
    empty = compile_table(emptied(EXAMPLES["any-address"]))
    clean.nft(to_text(difference(None, there)))
    over_netlink(clean, difference(there.listing(), empty))
    listed = clean.run(["nft", "list", "set", "inet", "alongside", "retired4"]).stdout
    assert "10.213.0.2 . 53 timeout 10s expires" in listed


def test_what_is_no_switch_is_left_to_nft() -> None:
    one, two = (compile_table(EXAMPLES[name]) for name in ("any-address", "two-services"))
    assert batch(difference(None, one), 1) is None
    assert batch(difference(one.listing(), two), 1) is None


def test_a_kernel_that_somebody_changed_is_left_as_it_is(clean: Host) -> None:
    there = compile_table(EXAMPLES["any-address"])
    clean.nft(to_text(difference(None, there)))
    was = listing(clean)
    switch = difference(there.listing(), compile_table(emptied(EXAMPLES["any-address"])))
    with pytest.raises(Refused, match="restart"):
        over_netlink(clean, switch, behind=1)
    assert listing(clean) == was
    clean.nft("flush map inet alongside ports\ndelete chain inet alongside port-53-udp\n")
    with pytest.raises(Refused, match="No such file"):
        over_netlink(clean, switch)
    assert "reject" not in listing(clean)


# The router: when it takes which way.


class Recorded:
    """An nft that writes down what it was asked for."""

    def __init__(self, host: Host, folder: Path, listed: str = "cat") -> None:
        self.host = host
        self._log = folder / "asked"
        self.command = folder / "nft"
        self.command.write_text(
            f'#!/bin/sh\necho "$*" >>{self._log}\n'
            f'case "$*" in *"list chain"*) nft "$@" | {listed};; *) exec nft "$@";; esac\n'
        )
        self.command.chmod(0o755)
        self.router = NftRouter(command=(str(self.command),), namespace=host.path)

    def asked(self) -> list[str]:
        """Since the last time: `-f -`, `list table`, `list chain`."""
        lines = self._log.read_text().splitlines() if self._log.exists() else []
        self._log.unlink(missing_ok=True)
        return ["list " + line.split()[3] if "list" in line else line for line in lines]


def many(count: int, number: int = 0) -> Ruleset:
    """The last of the ports leads to the instance of this number."""
    nets = [
        Subnet(
            f"al-{one:010x}",
            IPv4Network((0x0AD50000 + 16 * one, 28)),
            IPv6Network((0xFD00A151DE << 88 | one << 64, 64)),
        )
        for one in range(2)
    ]

    def to(one: int) -> InstanceTarget:
        net = nets[one]
        return InstanceTarget(f"a@{one}.0.0", net, net.address4, net.address6, 80, 20000 + one)

    ports = [
        RoutedPort(
            Port(protocol, 30000 + port),
            (Choice(to(number if port == count - 1 else 0), 1),),
        )
        for port in range(count)
        for protocol in Protocol
    ]
    return Ruleset(tuple(ports), tuple(nets))


@pytest.mark.parametrize("ports", [1, 150])
async def test_a_switch_runs_no_nft(clean: Host, tmp_path: Path, ports: int) -> None:
    """Once it is known that it prints the rules as they were written, by either way."""
    recorded = Recorded(clean, tmp_path)
    router = recorded.router
    await router.apply(many(ports))
    assert recorded.asked()[:2] == ["list table", "-f -"]
    assert await router.intact()
    recorded.asked()
    await router.apply(many(ports, 1))
    assert recorded.asked() == ["list chain"]
    for number in (0, 1, 0, 1):
        transaction = await router.apply(many(ports, number))
        assert recorded.asked() == []
        assert f"a@{number}.0.0" in transaction.text
        assert f"a@{1 - number}.0.0" not in transaction.text
        assert await router.intact()
        assert recorded.asked() == []
        fresh = NftRouter(namespace=clean.path)
        assert (await fresh.apply(many(ports, number))).text == ""


async def test_a_table_that_was_there_already_is_switched_at_once(
    clean: Host, tmp_path: Path
) -> None:
    """As after a restart of the daemon: how nft prints it is seen when it is compared."""
    await NftRouter(namespace=clean.path).apply(many(1))
    recorded = Recorded(clean, tmp_path)
    assert (await recorded.router.apply(many(1))).text == ""
    assert recorded.asked() == ["list table"]
    await recorded.router.apply(many(1, 1))
    assert recorded.asked() == ["list chain"]
    assert await recorded.router.intact()
    assert recorded.asked() == []


async def test_of_a_large_table_the_ports_come_first(clean: Host, tmp_path: Path) -> None:
    """How nft prints what it wrote is read when the daemon is up."""
    recorded = Recorded(clean, tmp_path)
    await recorded.router.apply(many(150))
    assert recorded.asked() == ["list table", "-f -"]
    assert await recorded.router.intact()
    assert set(recorded.asked()) == {"list chain"}
    assert await recorded.router.intact()
    assert recorded.asked() == []


async def test_an_nft_that_prints_it_otherwise_writes_it_itself(
    clean: Host, tmp_path: Path
) -> None:
    recorded = Recorded(clean, tmp_path, "sed s/l4proto/l5proto/")
    await recorded.router.apply(many(1))
    await recorded.router.apply(many(1, 1))
    recorded.asked()
    for number in (0, 1):
        await recorded.router.apply(many(1, number))
        assert "-f -" in recorded.asked()
        assert await recorded.router.intact()


async def test_a_change_between_the_look_and_the_commit_is_planned_for_anew(
    clean: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = Recorded(clean, tmp_path)
    router = recorded.router
    for number in (0, 1, 0):
        await router.apply(many(1, number))
    tried: list[bytes | None] = []

    def interfered(operations: tuple[Operation, ...], generation: int) -> bytes | None:
        clean.nft("flush chain inet alongside dispatch\n")
        tried.append(batch(operations, generation))
        return tried[-1]

    monkeypatch.setattr(nft, "batch", interfered)
    recorded.asked()
    text = (await router.apply(many(1, 1))).text
    assert tried[0] is not None
    assert "add rule inet alongside dispatch" in text
    assert recorded.asked()[:2] == ["list table", "-f -"]
    assert await router.intact()
