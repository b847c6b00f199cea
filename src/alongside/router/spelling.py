"""How this nft prints what was written: in the same words, or in others that are learnt.

Of each kind of rule one is read back, once; a table of 1,000 services takes half a second to list.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from alongside.router.command import Nft
from alongside.router.rules import Shape
from alongside.router.table import Chain, ListedChain, Listing, Table

Writer = Literal["nft", "netlink"]


class Spelling:
    def __init__(self, nft: Nft) -> None:
        self._nft = nft
        self._otherwise: dict[tuple[str, ...], tuple[str, ...]] = {}  # printed: written
        self._same: dict[Writer, set[Shape]] = {"nft": set(), "netlink": set()}

    @property
    def differs(self) -> bool:
        """Whether any chain is known to be printed otherwise than it was written."""
        return bool(self._otherwise)

    def unknown(self, writer: Writer, shapes: set[Shape]) -> set[Shape]:
        """Those of which none has been read back."""
        return shapes - self._same[writer]

    async def read_back(self, writer: Writer, chains: Iterable[Chain], shapes: set[Shape]) -> bool:
        """Whether rules of these shapes, as this writer has just written them, are printed in the
        very words. As few of the chains are read as there must be."""
        left = set(shapes)
        for chain in chains:
            here = {rule.shape for rule in chain.rules}
            if left.isdisjoint(here):
                continue
            if await self._nft.chain(chain.name) != chain.listed:
                return False
            left -= here
            if not left:
                break
        if not left:
            self._same[writer] |= shapes
        return not left

    def learn(self, table: Table, listing: Listing) -> None:
        """The table as nft has written it, and as it prints it."""
        for chain in table.chains.values():
            written, printed = chain.listed.rules, listing.chains.get(chain.name)
            if printed and printed.rules != written:
                self._otherwise[printed.rules] = written
            self._same["nft"].update(rule.shape for rule in chain.rules)

    def as_written(self, listing: Listing) -> Listing:
        if not self._otherwise:
            return listing
        chains = {
            name: ListedChain(chain.hook, self._otherwise.get(chain.rules, chain.rules))
            for name, chain in listing.chains.items()
        }
        return Listing(chains, listing.collections, listing.foreign)
