"""The table as one value: chains with rules, sets and maps with elements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from alongside.router.rules import Rule

TABLE = "inet alongside"


@dataclass(frozen=True, slots=True)
class Hook:
    """What makes a chain a base chain. Priorities are numbers: names as `dstnat - 10` are
    refused in the output hook, and printed differently from version to version."""

    kind: Literal["filter", "nat"]
    name: Literal["prerouting", "forward", "output", "postrouting"]
    priority: int

    def __str__(self) -> str:
        return f"type {self.kind} hook {self.name} priority {self.priority}; policy accept;"


@dataclass(frozen=True)
class Chain:
    name: str
    hook: Hook | None = None
    rules: tuple[Rule, ...] = ()

    @cached_property
    def listed(self) -> ListedChain:
        """How nft would print it."""
        return ListedChain(str(self.hook) if self.hook else "", tuple(map(str, self.rules)))


@dataclass(frozen=True, slots=True)
class Collection:
    """A named set, or a named verdict map. Elements are nft text: key to verdict, or to "" in a
    set. Those of a set with timeouts come and go by themselves and are never compared."""

    kind: Literal["set", "map"]
    name: str
    type: str
    flags: str = ""
    elements: Mapping[str, str] = field(default_factory=dict)

    @property
    def transient(self) -> bool:
        return "timeout" in self.flags

    @property
    def shape(self) -> tuple[str, str, str]:
        """What cannot be changed once it is made."""
        return (self.kind, self.type, self.flags)


@dataclass(frozen=True, slots=True)
class ListedChain:
    """A chain as nft prints it."""

    hook: str
    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Listing:
    """A table as nft prints it. `foreign` is what no table of ours holds: flags, counters, …"""

    chains: Mapping[str, ListedChain]
    collections: Mapping[str, Collection]
    foreign: tuple[str, ...] = ()

    def refers_to(self, chain: str) -> bool:
        """Whether any rule or map element jumps to the chain."""
        verdicts = (f"goto {chain}", f"jump {chain}")
        return any(
            value in verdicts
            for one in self.collections.values()
            for value in one.elements.values()
        ) or any(
            f" {verdict} " in f" {rule} "
            for listed in self.chains.values()
            for rule in listed.rules
            for verdict in verdicts
        )


@dataclass(frozen=True)
class Table:
    chains: Mapping[str, Chain]
    collections: Mapping[str, Collection]

    @cached_property
    def listed(self) -> Mapping[str, ListedChain]:
        """How nft would print each chain."""
        return {chain.name: chain.listed for chain in self.chains.values()}

    def listing(self) -> Listing:
        """How nft would print it."""
        return Listing(self.listed, dict(self.collections))

    def with_chains(self, chains: Sequence[Chain]) -> Table:
        """The same with other rules in these chains."""
        made = Table({**self.chains, **{one.name: one for one in chains}}, self.collections)
        # Not made anew: a look at each of 3,000 chains takes longer than a switch.
        vars(made)["listed"] = {**self.listed, **{one.name: one.listed for one in chains}}
        return made
