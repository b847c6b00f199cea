"""A transaction as a list of operations. `str()` of each is the line that `nft -f -` runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from alongside.router.rules import Rule
from alongside.router.table import TABLE, Chain, Collection


@dataclass(frozen=True, slots=True)
class AddTable:
    def __str__(self) -> str:
        return f"add table {TABLE}"


@dataclass(frozen=True, slots=True)
class DeleteTable:
    def __str__(self) -> str:
        return f"delete table {TABLE}"


@dataclass(frozen=True, slots=True)
class AddChain:
    """Without its rules: what they refer to may come later."""

    chain: Chain

    def __str__(self) -> str:
        hook = f" {{ {self.chain.hook} }}" if self.chain.hook else ""
        return f"add chain {TABLE} {self.chain.name}{hook}"


@dataclass(frozen=True, slots=True)
class FlushChain:
    name: str

    def __str__(self) -> str:
        return f"flush chain {TABLE} {self.name}"


@dataclass(frozen=True, slots=True)
class DeleteChain:
    name: str

    def __str__(self) -> str:
        return f"delete chain {TABLE} {self.name}"


@dataclass(frozen=True, slots=True)
class AddRule:
    chain: str
    rule: Rule

    def __str__(self) -> str:
        return f"add rule {TABLE} {self.chain} {self.rule}"


@dataclass(frozen=True, slots=True)
class AddCollection:
    """Without its elements."""

    collection: Collection

    def __str__(self) -> str:
        one = self.collection
        flags = f" flags {one.flags};" if one.flags else ""
        return f"add {one.kind} {TABLE} {one.name} {{ type {one.type};{flags} }}"


@dataclass(frozen=True, slots=True)
class AddElements:
    name: str
    elements: Mapping[str, str]
    timeout: int = 0  # seconds; 0 for ever

    def __str__(self) -> str:
        timeout = f" timeout {self.timeout}s" if self.timeout else ""
        elements = ", ".join(
            f"{key}{timeout} : {verdict}" if verdict else f"{key}{timeout}"
            for key, verdict in self.elements.items()
        )
        return f"add element {TABLE} {self.name} {{ {elements} }}"


@dataclass(frozen=True, slots=True)
class DeleteElements:
    name: str
    elements: Mapping[str, str]

    def __str__(self) -> str:
        elements = ", ".join(
            f"{key} : {verdict}" if verdict else key for key, verdict in self.elements.items()
        )
        return f"delete element {TABLE} {self.name} {{ {elements} }}"


Operation = (
    AddTable
    | DeleteTable
    | AddChain
    | FlushChain
    | DeleteChain
    | AddRule
    | AddCollection
    | AddElements
    | DeleteElements
)


def to_text(operations: Sequence[Operation]) -> str:
    return "".join(f"{operation}\n" for operation in operations)
