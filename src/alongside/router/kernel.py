"""nftables' half of the kernel, for tests: strict and transactional, with tables as data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_network
from itertools import pairwise

from alongside.domain.errors import StepFailed
from alongside.router.rules import (
    Among,
    Dnat,
    FromSet,
    Goto,
    Lookup,
    Masquerade,
    Redirect,
    Rule,
    SourceIn,
)
from alongside.router.table import Chain, Collection, Table
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

_MISSING = "Could not process rule: No such file or directory"
_EXISTS = "Could not process rule: File exists"
_BUSY = "Could not process rule: Device or resource busy"
_UNSUPPORTED = "Could not process rule: Operation not supported"


@dataclass(slots=True)
class FakeKernel:
    """Refuses what nft 1.0.6 and kernels from before 6.2 refuse. Times never run out."""

    table: Table | None = None

    def commit(self, operations: Sequence[Operation]) -> None:
        """All or nothing. Raises StepFailed with the words that nft has for it."""
        draft = _Draft(self.table)
        for operation in operations:
            draft.take(operation)
        draft.validate()
        self.table = draft.table


class _Draft:
    def __init__(self, table: Table | None) -> None:
        self._referenced_before = set(_references(table)) if table else set()
        self.table = table

    def take(self, operation: Operation) -> None:
        match operation:
            case AddTable():
                self.table = self.table or Table({}, {})
            case DeleteTable():
                self._require()
                self.table = None
                self._referenced_before = set()
            case AddChain(chain):
                self._add_chain(chain)
            case FlushChain(name):
                self._put(replace(self._chain(name, operation), rules=()))
            case DeleteChain(name):
                self._delete_chain(self._chain(name, operation), operation)
            case AddRule(name, rule):
                chain = self._chain(name, operation)
                self._check_names(rule, operation)
                self._put(replace(chain, rules=(*chain.rules, rule)))
            case AddCollection(collection):
                self._add_collection(collection, operation)
            case AddElements():
                self._add_elements(operation)
            case DeleteElements():
                self._delete_elements(operation)

    def validate(self) -> None:
        """What the kernel checks at the end: from each hook, what can be reached may stand there,
        and no chain reaches itself."""
        if self.table is None:
            return
        for chain in self.table.chains.values():
            if chain.hook:
                self._walk(chain, chain.hook.kind, ())

    def _walk(self, chain: Chain, kind: str, path: tuple[str, ...]) -> None:
        if chain.name in path:
            raise _refused("Too many links", f"chain {chain.name} reaches itself")
        table = self._require()
        for rule in chain.rules:
            if isinstance(rule.verdict, Dnat | Redirect | Masquerade) and kind != "nat":
                raise _refused(_UNSUPPORTED, f"{rule} in a {kind} hook")
            for name in _goes_to(rule, table):
                self._walk(table.chains[name], kind, (*path, chain.name))

    def _require(self) -> Table:
        if self.table is None:
            raise _refused(_MISSING, "there is no table")
        return self.table

    def _chain(self, name: str, operation: Operation) -> Chain:
        if name not in self._require().chains:
            raise _refused(_MISSING, operation)
        return self._require().chains[name]

    def _collection(self, name: str, operation: Operation) -> Collection:
        if name not in self._require().collections:
            raise _refused(_MISSING, operation)
        return self._require().collections[name]

    def _put(self, one: Chain | Collection) -> None:
        table = self._require()
        if isinstance(one, Chain):
            self.table = replace(table, chains={**table.chains, one.name: one})
        else:
            self.table = replace(table, collections={**table.collections, one.name: one})

    def _add_chain(self, chain: Chain) -> None:
        there = self._require().chains.get(chain.name)
        if there is None:
            self._put(Chain(chain.name, chain.hook))
        elif there.hook != chain.hook:
            raise _refused(_EXISTS, f"chain {chain.name} has another hook")

    def _delete_chain(self, chain: Chain, operation: Operation) -> None:
        table = self._require()
        referenced = chain.name in self._referenced_before or chain.name in _references(table)
        if referenced or chain.rules:
            raise _refused(_BUSY, operation)
        self.table = replace(
            table, chains={name: one for name, one in table.chains.items() if name != chain.name}
        )

    def _check_names(self, rule: Rule, operation: Operation) -> None:
        for match in rule.matches:
            if isinstance(match, FromSet | SourceIn | Among):
                self._collection(match.name, operation)
        if isinstance(rule.verdict, Lookup):
            self._collection(rule.verdict.name, operation)
        if isinstance(rule.verdict, Goto):
            self._chain(rule.verdict.chain, operation)

    def _add_collection(self, collection: Collection, operation: Operation) -> None:
        there = self._require().collections.get(collection.name)
        if there is None:
            self._put(replace(collection, elements={}))
        elif there.shape != collection.shape:
            raise _refused(_EXISTS, operation)

    def _add_elements(self, operation: AddElements) -> None:
        there = self._collection(operation.name, operation)
        elements = dict(there.elements)
        for key, verdict in operation.elements.items():
            if elements.get(key, verdict) != verdict:
                raise _refused(_EXISTS, operation)
            if verdict.startswith("goto "):
                self._chain(verdict.removeprefix("goto "), operation)
            elements[key] = verdict
        if "interval" in there.flags:
            _check_overlap(list(elements), operation)
        self._put(replace(there, elements=elements))

    def _delete_elements(self, operation: DeleteElements) -> None:
        there = self._collection(operation.name, operation)
        elements = dict(there.elements)
        for key, verdict in operation.elements.items():
            if elements.pop(key, None) != verdict:
                raise _refused(_MISSING, operation)
        self._put(replace(there, elements=elements))


def _goes_to(rule: Rule, table: Table) -> Iterator[str]:
    if isinstance(rule.verdict, Goto):
        yield rule.verdict.chain
    elif isinstance(rule.verdict, Lookup):
        for verdict in table.collections[rule.verdict.name].elements.values():
            if verdict.startswith("goto "):
                yield verdict.removeprefix("goto ")


def _references(table: Table) -> Iterator[str]:
    for chain in table.chains.values():
        for rule in chain.rules:
            if isinstance(rule.verdict, Goto):
                yield rule.verdict.chain
    for collection in table.collections.values():
        for verdict in collection.elements.values():
            yield verdict.removeprefix("goto ")


def _check_overlap(keys: list[str], operation: Operation) -> None:
    networks = sorted(
        (int(one.network_address), int(one.broadcast_address)) for one in map(ip_network, keys)
    )
    for (_, end), (start, _) in pairwise(networks):
        if start <= end:
            raise _refused("conflicting intervals specified", operation)


def _refused(words: str, about: object) -> StepFailed:
    return StepFailed(f"nft refused: {words}", log=[f"Error: {words}", str(about)])
