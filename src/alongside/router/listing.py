"""Reading `nft -s -y list table` back into a value.

Only as much grammar as a table of ours needs; whatever else is met is kept as `foreign`, and the
table then counts as damaged. Text, not `nft -j`: the text is what was written and what a person
sees, while the JSON of a rule is another language that differs between versions of nft.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from alongside.router.table import Collection, ListedChain, Listing

_BLOCK = re.compile(r"^\t(chain|set|map) (\S+) \{")


def parse_listing(text: str) -> Listing:
    chains: dict[str, ListedChain] = {}
    collections: dict[str, Collection] = {}
    foreign: list[str] = []
    lines = iter(text.splitlines()[1:-1])
    for line in lines:
        opening = _BLOCK.match(line)
        if not opening:
            if line.strip():
                foreign.append(line.strip())
            continue
        kind, name = opening.groups()
        body = list(_body(lines))
        if kind == "chain":
            chains[name] = _chain(body)
        else:
            collections[name] = _collection(kind, name, body, foreign)
    return Listing(chains, collections, tuple(foreign))


def _body(lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        if line == "\t}":
            return
        yield line.strip()


def _chain(body: list[str]) -> ListedChain:
    hook = body.pop(0) if body and body[0].startswith("type ") else ""
    return ListedChain(hook, tuple(body))


def _collection(kind: str, name: str, body: list[str], foreign: list[str]) -> Collection:
    text = "\n".join(body)
    head, _, tail = text.partition("elements = {")
    typed, flags = "", ""
    for line in head.splitlines():
        if line.startswith("type "):
            typed = line.removeprefix("type ")
        elif line.startswith("flags "):
            flags = line.removeprefix("flags ")
        else:
            foreign.append(line)
    elements: dict[str, str] = {}
    for element in tail.rpartition("}")[0].split(","):
        key, _, verdict = element.strip().partition(" : ")
        if key:
            elements[key] = verdict
    return Collection("map" if kind == "map" else "set", name, typed, flags, elements)
