"""The fake refuses what the kernel refuses: tests/host/test_router_golden.py asks both."""

from __future__ import annotations

import pytest
from rulesets import EXAMPLES

from alongside.domain.errors import StepFailed
from alongside.router.compile import compile_table
from alongside.router.difference import difference
from alongside.router.kernel import FakeKernel
from alongside.router.rules import Accept, FromSet, Goto, Lookup, Rule
from alongside.router.table import Chain, Collection, Hook
from alongside.router.transaction import (
    AddChain,
    AddCollection,
    AddElements,
    AddRule,
    AddTable,
    DeleteChain,
    DeleteElements,
    DeleteTable,
    FlushChain,
    Operation,
)

TARGET = compile_table(EXAMPLES["any-address"]).chains["port-53-udp"].rules[-1].verdict
PORTS = "ports"


@pytest.fixture
def kernel() -> FakeKernel:
    return FakeKernel(compile_table(EXAMPLES["any-address"]))


REFUSED: dict[str, tuple[tuple[Operation, ...], str]] = {
    "rule in no chain": ((AddRule("none", Rule((), Accept())),), "No such file"),
    "flush of no chain": ((FlushChain("none"),), "No such file"),
    "chain that is referred to": ((DeleteChain("port-53-udp"),), "busy"),
    "chain unlinked just now": (
        (
            DeleteElements(PORTS, {"udp . 53": "goto port-53-udp"}),
            FlushChain("port-53-udp"),
            DeleteChain("port-53-udp"),
        ),
        "busy",
    ),
    "jump to no chain": ((AddRule("dispatch", Rule((), Goto("none"))),), "No such file"),
    "look-up in no map": ((AddRule("dispatch", Rule((), Lookup("ip daddr", "no"))),), "No such"),
    "match in no set": ((AddRule("dispatch", Rule((FromSet("no"),), Accept())),), "No such file"),
    "element to no chain": ((AddElements(PORTS, {"tcp . 1": "goto none"}),), "No such file"),
    "element in no map": ((AddElements("none", {"tcp . 1": "accept"}),), "No such file"),
    "another verdict": ((AddElements(PORTS, {"udp . 53": "accept"}),), "File exists"),
    "element that is not there": ((DeleteElements(PORTS, {"tcp . 1": "accept"}),), "No such"),
    "overlap": ((AddElements("guard4", {"10.213.0.8/29": "accept"}),), "conflicting intervals"),
    "another hook": ((AddChain(Chain("prerouting", Hook("nat", "prerouting", 0))),), "exists"),
    "another type": ((AddCollection(Collection("map", PORTS, "ifname")),), "File exists"),
    "nat in filter": ((AddRule("guard", Rule((), TARGET)),), "not supported"),
    "loop": ((AddRule("port-53-udp", Rule((), Goto("dispatch"))),), "Too many links"),
    "nothing there": ((DeleteTable(), FlushChain("dispatch")), "No such file"),
}


@pytest.mark.parametrize(("operations", "words"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_changes_nothing(
    kernel: FakeKernel, operations: tuple[Operation, ...], words: str
) -> None:
    before = kernel.table
    with pytest.raises(StepFailed, match=words):
        kernel.commit((AddElements("bridges", {'"br-9"': ""}), *operations))
    assert kernel.table is before


def test_the_order_of_a_fresh_table_is_one_that_the_kernel_takes() -> None:
    for wanted in EXAMPLES.values():
        kernel = FakeKernel()
        kernel.commit(difference(None, compile_table(wanted)))
        assert kernel.table == compile_table(wanted)


def test_adding_what_is_there_changes_nothing(kernel: FakeKernel) -> None:
    before = kernel.table
    assert before is not None
    kernel.commit(
        (
            AddTable(),
            AddChain(Chain("dispatch")),
            AddCollection(before.collections[PORTS]),
            AddElements(PORTS, before.collections[PORTS].elements),
        )
    )
    assert kernel.table == before
