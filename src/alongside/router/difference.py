"""The operations that take the kernel from what it has to what is wanted, and no others.

The order within a transaction: chains before maps before elements (nft 1.0.6 sends a new interval
map's elements along with the map, so a chain that they go to must come before it), rules after
what they look up, deletions last.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from alongside.made import others
from alongside.router.compile import retired
from alongside.router.table import Collection, ListedChain, Listing, Table
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

# How long new UDP packets from a target that was switched away from are dropped: longer than a
# reply takes, and short, since the instance's own new flows from that port are dropped as well.
LATE_REPLIES = 10  # seconds

_NOTHING = ListedChain("", ())
_FAR_END = re.compile(r"^(?!iifname).*\bdnat (ip6?) to \[?([0-9a-f.:]+?)\]?:(\d+)(?: |$)")


def difference(current: Listing | None, wanted: Table) -> tuple[Operation, ...]:
    """Empty where nothing differs. `current` is None where there is no table."""
    nothing = Listing({}, {})
    chains = _Chains(current or nothing, wanted)
    if current is None or _is_built_otherwise(current, wanted, chains):
        return (
            *((AddTable(),) if current is None else (DeleteTable(), AddTable())),
            *_additions(nothing, wanted, _Chains(nothing, wanted)),
            *_retirements(current or nothing, wanted, chains),
        )
    operations = (
        *_additions(current, wanted, chains),
        *_retirements(current, wanted, chains),
    )
    removals = tuple(_removals(current, chains))
    if not operations and not removals:
        return ()
    return (*operations, *removals, *_sweep(current, chains))


def expected(before: Listing | None, operations: Sequence[Operation], wanted: Table) -> Listing:
    """What nft would print after the operations: what is wanted, and chains that wait to be
    deleted."""
    after = wanted.listing()
    if before is None or any(isinstance(one, DeleteTable) for one in operations):
        return after
    deleted = {one.name for one in operations if isinstance(one, DeleteChain)}
    waiting = {
        name: ListedChain("", ()) for name in before.chains.keys() - wanted.chains.keys() - deleted
    }
    return Listing({**after.chains, **waiting}, after.collections)


class _Chains:
    """Those that are not the very value that is there. Of the thousands of chains of a large
    table a switch leaves all but a few the objects that they were, and one look at each is all
    that they may cost."""

    def __init__(self, current: Listing, wanted: Table) -> None:
        there, those = current.chains, wanted.listed
        if list(there) == list(those):  # as after a commit of our own
            names = list(those)
            places = others(list(there.values()), list(those.values()))
            self.other = [wanted.chains[names[place]] for place in places]
            self.gone: list[str] = []
        else:
            differing = [name for name, one in those.items() if there.get(name) is not one]
            self.other = [wanted.chains[name] for name in differing]
            self.gone = [name for name in there if name not in those]

    def names(self) -> Iterator[str]:
        yield from (chain.name for chain in self.other)
        yield from self.gone


def _is_built_otherwise(current: Listing, wanted: Table, chains: _Chains) -> bool:
    """What can't be put right in place: another hook or type, or things that we never make.
    Then the table is made anew; that is not lossless, and it takes a hand in our table to happen.
    """
    if current.foreign:
        return True
    if any(current.chains[name].hook or name.startswith("schema-") for name in chains.gone):
        return True
    for chain in chains.other:
        listed = current.chains.get(chain.name)
        if listed and listed.hook != chain.listed.hook:
            return True
    return any(
        name not in wanted.collections or one.shape != wanted.collections[name].shape
        for name, one in current.collections.items()
    )


def _additions(current: Listing, wanted: Table, chains: _Chains) -> Iterator[Operation]:
    for chain in chains.other:
        if chain.name not in current.chains:
            yield AddChain(chain)
    for one in wanted.collections.values():
        if one.name not in current.collections:
            yield AddCollection(one)
    for one in wanted.collections.values():
        yield from _element_changes(current.collections.get(one.name), one)
    for chain in chains.other:
        listed = current.chains.get(chain.name)
        had = listed.rules if listed else ()
        if had == chain.listed.rules:
            continue
        if had:
            yield FlushChain(chain.name)
        for rule in chain.rules:
            yield AddRule(chain.name, rule)


def _element_changes(current: Collection | None, wanted: Collection) -> Iterator[Operation]:
    if wanted.transient or current is wanted:
        return
    had: Mapping[str, str] = current.elements if current else {}
    gone = {key: value for key, value in had.items() if wanted.elements.get(key) != value}
    new = {key: value for key, value in wanted.elements.items() if had.get(key) != value}
    if gone:
        yield DeleteElements(wanted.name, gone)
    if new:
        yield AddElements(wanted.name, new)


def _removals(current: Listing, chains: _Chains) -> Iterator[Operation]:
    """Chains that are not wanted any more are emptied now and deleted another time: just after
    its last reference went, a chain can still be busy on kernels before 6.2."""
    for name in chains.gone:
        if current.chains[name].rules:
            yield FlushChain(name)


def _sweep(current: Listing, chains: _Chains) -> Iterator[Operation]:
    """Chains that an earlier transaction emptied. They wait for one that has more to do, so that
    applying the same twice changes nothing."""
    for name in chains.gone:
        if not current.chains[name].rules and not current.refers_to(name):
            yield DeleteChain(name)


def _retirements(current: Listing, wanted: Table, chains: _Chains) -> Iterator[Operation]:
    """A late reply of a UDP target whose flow's entry is deleted would make a new entry in the
    reverse direction, and the client's next packet would follow it to the old version.

    A target that is routed to again leaves the set. Adding before deleting makes the deletion
    safe whether or not the element is still there; and an element that is there keeps its old
    time until it is deleted and added anew (kernels before 6.12).
    """
    lost: set[tuple[str, str]] = set()
    gained: set[tuple[str, str]] = set()
    for name in chains.names():
        if name.startswith("port-") and name.endswith("-udp"):
            had = current.chains.get(name, _NOTHING)
            has = wanted.chains[name].listed if name in wanted.chains else _NOTHING
            if had != has:
                before, now = _far_ends(had.rules), _far_ends(has.rules)
                lost |= before - now
                gained |= now - before
    for family, key in ((4, "ip"), (6, "ip6")):
        name = retired(family)
        leaving = {element: "" for own, element in sorted(gained - lost) if own == key}
        entering = {element: "" for own, element in sorted(lost) if own == key}
        both = {**leaving, **entering}
        if both and name in current.collections:
            yield AddElements(name, both, LATE_REPLIES)
            yield DeleteElements(name, both)
        if entering:
            yield AddElements(name, entering, LATE_REPLIES)


def _far_ends(rules: tuple[str, ...]) -> set[tuple[str, str]]:
    """Family and `address . port` of the rules that lead straight to an instance."""
    found = (_FAR_END.match(rule) for rule in rules)
    return {(one[1], f"{one[2]} . {one[3]}") for one in found if one}
