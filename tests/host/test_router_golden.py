"""nft takes every golden text and prints it again, and refuses what the fake refuses."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from pathlib import Path

import pytest

from alongside.domain.errors import StepFailed
from alongside.domain.instance import Subnet
from alongside.domain.port import Port, Protocol
from alongside.router.compile import compile_table
from alongside.router.difference import difference
from alongside.router.kernel import FakeKernel
from alongside.router.listing import parse_listing
from alongside.router.protocol import RoutedPort, Ruleset
from alongside.router.rules import Accept, Dnat, FromSet, Goto, Lookup, OfProtocol, Rule
from alongside.router.table import Chain, Collection, Hook
from alongside.router.transaction import (
    AddChain,
    AddCollection,
    AddElements,
    AddRule,
    DeleteChain,
    DeleteElements,
    FlushChain,
    Operation,
    to_text,
)
from support.host import Host
from support.namespace import CommandFailed

pytestmark = pytest.mark.host

GOLDEN = Path(__file__).parents[1] / "golden" / "router"
FRESH = [file for file in sorted(GOLDEN.glob("*.nft")) if not file.name.startswith("change-")]


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    with Host() as made:
        yield made


@pytest.mark.parametrize("file", FRESH, ids=lambda file: file.stem)
def test_nft_takes_the_text_and_prints_it_again(host: Host, file: Path) -> None:
    host.run(["nft", "-c", "-f", str(file)])
    assert host.run(["nft", "list", "ruleset"]).stdout == ""  # checking changes nothing
    text = file.read_text()
    host.nft(text)
    try:
        listed = host.run(["nft", "-s", "-y", "list", "table", "inet", "alongside"]).stdout
    finally:
        host.nft("delete table inet alongside\n")
    rules = [
        (name, rule) for name, chain in parse_listing(listed).chains.items() for rule in chain.rules
    ]
    lead = "add rule inet alongside "
    written = [line.removeprefix(lead) for line in text.splitlines() if line.startswith(lead)]
    assert sorted(f"{name} {rule}" for name, rule in rules) == sorted(written)


NAT = Dnat(IPv4Address("10.213.0.2"), 53)
REFUSED: tuple[Operation, ...] = (
    FlushChain("none"),
    DeleteChain("dispatch"),
    AddRule("none", Rule((), Accept())),
    AddRule("dispatch", Rule((), Goto("none"))),
    AddRule("dispatch", Rule((), Lookup("ip daddr", "none"))),
    AddRule("dispatch", Rule((FromSet("none"),), Accept())),
    AddRule("dispatch", Rule((), Goto("dispatch"))),
    AddRule("guard", Rule((OfProtocol(Protocol.TCP),), NAT)),
    AddElements("ports", {"tcp . 1": "goto none"}),
    AddElements("ports", {"tcp . 53": "accept"}),
    AddElements("guard4", {"10.213.0.8/29": "accept"}),
    AddElements("none", {"tcp . 1": "accept"}),
    DeleteElements("ports", {"tcp . 1": "accept"}),
    AddChain(Chain("prerouting", Hook("nat", "prerouting", 0))),
    AddCollection(Collection("map", "ports", "ipv4_addr : verdict")),
)


@pytest.mark.parametrize("operation", REFUSED, ids=str)
def test_the_kernel_refuses_what_the_fake_refuses(host: Host, operation: Operation) -> None:
    router = RoutedPort(Port(Protocol.TCP, 53), ())
    subnet = Subnet("al-0", IPv4Network("10.213.0.0/28"), IPv6Network("fd00:1:2:3::/64"))
    whole = difference(None, compile_table(Ruleset((router,), (subnet,))))
    fake = FakeKernel()
    fake.commit(whole)
    with pytest.raises(StepFailed):
        fake.commit((operation,))
    host.nft(to_text(whole))
    try:
        with pytest.raises(CommandFailed):
            host.nft(str(operation))
    finally:
        host.nft("delete table inet alongside\n")
