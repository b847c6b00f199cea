from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rulesets import EXAMPLES, routed, ruleset, rulesets

from alongside.router.compile import compile_table
from alongside.router.difference import difference, expected
from alongside.router.kernel import FakeKernel
from alongside.router.protocol import Ruleset
from alongside.router.table import Collection, ListedChain, Listing
from alongside.router.transaction import (
    AddRule,
    AddTable,
    DeleteChain,
    DeleteTable,
    FlushChain,
    to_text,
)


def without_times(listing: Listing) -> Listing:
    """Elements with a timeout are history, not state."""
    return replace(
        listing,
        collections={
            name: replace(one, elements={}) if one.transient else one
            for name, one in listing.collections.items()
        },
    )


def in_use(listing: Listing, wanted: Ruleset) -> Listing:
    """Without the emptied chains that wait for their deletion."""
    chains = {
        name: chain
        for name, chain in listing.chains.items()
        if chain.rules or name in compile_table(wanted).chains
    }
    return replace(without_times(listing), chains=chains)


@given(st.lists(rulesets(), min_size=1, max_size=4))
def test_any_way_there_ends_like_a_fresh_table(way: list[Ruleset]) -> None:
    kernel = FakeKernel()
    for wanted in way:
        table = compile_table(wanted)
        before = kernel.table.listing() if kernel.table else None
        operations = difference(before, table)
        kernel.commit(operations)
        assert kernel.table is not None
        after = kernel.table.listing()
        assert in_use(after, wanted) == table.listing()
        assert difference(after, table) == ()
        assert without_times(expected(before, operations, table)) == without_times(after)


@given(rulesets(), rulesets())
def test_the_table_and_base_chains_stay(before: Ruleset, after: Ruleset) -> None:
    operations = difference(compile_table(before).listing(), compile_table(after))
    assert not any(isinstance(one, AddTable | DeleteTable | DeleteChain) for one in operations)
    bases = {chain.name for chain in compile_table(after).chains.values() if chain.hook}
    changed = {one.name for one in operations if isinstance(one, FlushChain)}
    assert not changed & bases


def test_a_switch_touches_the_port_s_own_chain_and_no_map() -> None:
    before = compile_table(ruleset(routed("53/tcp", (0, 1)), routed("80/tcp", (0, 1))))
    after = compile_table(ruleset(routed("53/tcp", (1, 1)), routed("80/tcp", (0, 1))))
    operations = difference(before.listing(), after)
    assert {type(one) for one in operations} == {FlushChain, AddRule}
    assert "port-80-tcp" not in to_text(operations)


def test_an_unlinked_chain_is_deleted_by_a_later_transaction() -> None:
    kernel = FakeKernel()
    both = ruleset(routed("53/tcp", (0, 1)), routed("80/tcp", (0, 1)))
    one = ruleset(routed("53/tcp", (0, 1)))
    other = ruleset(routed("53/tcp", (1, 1)))

    def commit(wanted: Ruleset) -> str:
        listing = kernel.table.listing() if kernel.table else None
        operations = difference(listing, compile_table(wanted))
        kernel.commit(operations)
        return to_text(operations)

    commit(both)
    assert "flush chain inet alongside port-80-tcp" in commit(one)
    assert commit(one) == ""
    assert commit(other).endswith("delete chain inet alongside port-80-tcp\n")


def test_a_udp_target_that_is_left_is_retired_and_one_that_is_gained_is_not() -> None:
    def elements(before: Ruleset, after: Ruleset) -> dict[str, str]:
        kernel = FakeKernel(compile_table(before))
        assert kernel.table is not None
        kernel.commit(difference(kernel.table.listing(), compile_table(after)))
        return dict(kernel.table.collections["retired4"].elements)

    first, second = ruleset(routed("53/udp", (0, 1))), ruleset(routed("53/udp", (1, 1)))
    assert elements(first, second) == {"10.213.0.2 . 53": ""}
    assert elements(second, first) == {"10.213.0.18 . 53": ""}
    assert elements(first, ruleset()) == {"10.213.0.2 . 53": ""}
    assert elements(first, ruleset(routed("53/udp", (0, 1), (1, 1)))) == {}
    assert elements(ruleset(routed("53/tcp", (0, 1))), ruleset()) == {}
    # One port loses it and another gains it: replies for the first can still be late.
    moved = ruleset(routed("54/udp", (0, 1)), routed("53/udp", (1, 1)))
    assert elements(first, moved) == {"10.213.0.2 . 53": ""}


def test_a_target_leaves_the_set_whether_or_not_it_is_still_there() -> None:
    first, second = ruleset(routed("53/udp", (0, 1))), ruleset(routed("53/udp", (1, 1)))
    for there in ({}, {"10.213.0.2 . 53": ""}):
        table = compile_table(second)
        retired = replace(table.collections["retired4"], elements=there)
        kernel = FakeKernel(replace(table, collections={**table.collections, "retired4": retired}))
        assert kernel.table is not None
        kernel.commit(difference(kernel.table.listing(), compile_table(first)))
        assert "10.213.0.2 . 53" not in kernel.table.collections["retired4"].elements


WHOLE = compile_table(EXAMPLES["any-address"]).listing()


@pytest.mark.parametrize(
    "damaged",
    [
        replace(WHOLE, foreign=("flags dormant",)),
        replace(WHOLE, chains={**WHOLE.chains, "schema-2": ListedChain("", ())}),
        replace(WHOLE, chains={**WHOLE.chains, "prerouting": ListedChain("type nat …", ())}),
        replace(WHOLE, chains={**WHOLE.chains, "mine": ListedChain("type filter …", ())}),
        replace(
            WHOLE,
            collections={**WHOLE.collections, "ports": Collection("set", "ports", "ifname")},
        ),
        replace(
            WHOLE, collections={**WHOLE.collections, "mine": Collection("set", "mine", "ifname")}
        ),
    ],
)
def test_what_is_built_otherwise_is_made_anew(damaged: Listing) -> None:
    table = compile_table(EXAMPLES["any-address"])
    operations = difference(damaged, table)
    assert operations[:2] == (DeleteTable(), AddTable())
    assert to_text(operations[1:]).startswith(to_text(difference(None, table)))


@pytest.mark.parametrize("name", [name for name in WHOLE.chains if WHOLE.chains[name].rules])
def test_a_chain_that_was_changed_is_the_only_one_that_is_replaced(name: str) -> None:
    table = compile_table(EXAMPLES["any-address"])
    changed = ListedChain(WHOLE.chains[name].hook, ("drop",))
    operations = difference(replace(WHOLE, chains={**WHOLE.chains, name: changed}), table)
    rules = tuple(AddRule(name, rule) for rule in table.chains[name].rules)
    assert [one for one in operations if isinstance(one, FlushChain | AddRule)] == [
        FlushChain(name),
        *rules,
    ]
