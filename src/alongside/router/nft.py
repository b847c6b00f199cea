"""The router on the real kernel: `nft -f -` to commit, `nft list table` to read."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from alongside.domain.errors import MissingRequirement, StepFailed
from alongside.router import conntrack
from alongside.router.compile import compile_table
from alongside.router.connections import connections
from alongside.router.difference import difference, expected
from alongside.router.listing import parse_listing
from alongside.router.netlink import NETLINK_NETFILTER, open_netlink, ruleset_generation
from alongside.router.protocol import Connections, FarEnd, Ruleset, Transaction
from alongside.router.table import TABLE, Chain, ListedChain, Listing, Table
from alongside.router.transaction import AddRule, DeleteChain, Operation, to_text

K = TypeVar("K")

_LARGE = 200  # chains


@dataclass(frozen=True, slots=True)
class _Known:
    """What the kernel had, and the generation at which it had it."""

    listing: Listing | None
    generation: int


class NftRouter:
    """`namespace` is a path like /run/netns/NAME; None is the namespace of this process."""

    def __init__(self, *, command: Sequence[str] = ("nft",), namespace: Path | None = None) -> None:
        enter = ("nsenter", f"--net={namespace}", "--") if namespace else ()
        self._command = (*enter, *command)
        self._namespace = namespace
        self._applied: Table | None = None
        self._known: _Known | None = None
        # How this nft prints a chain's rules, where that is not how they were written.
        self._spelled: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._read_back: set[tuple[type, ...]] = set()  # shapes of rules that were read back
        self._lock = asyncio.Lock()

    async def plan(self, wanted: Ruleset) -> Transaction:
        table = compile_table(wanted)
        return Transaction(to_text(difference((await self._current()).listing, table)))

    async def apply(self, wanted: Ruleset) -> Transaction:
        table = compile_table(wanted)
        async with self._lock:
            known = await self._current()
            operations = difference(known.listing, table)
            if operations:
                try:
                    operations = await self._commit(operations)
                except StepFailed:
                    if self._generation() == known.generation:
                        raise
                    # Somebody changed nftables between our look and our commit.
                    known = await self._current()
                    operations = await self._commit(difference(known.listing, table))
                await self._learn(table, operations, known)
            self._applied = table
            return Transaction(to_text(operations))

    async def clean_udp(self, wanted: Ruleset) -> int:
        return await asyncio.to_thread(conntrack.clean_udp, wanted, self._namespace)

    async def connections(self, far_ends: Mapping[K, Collection[FarEnd]]) -> dict[K, Connections]:
        return await asyncio.to_thread(connections, far_ends, self._namespace)

    async def intact(self) -> bool:
        """Takes less than a millisecond if nobody has changed nftables since; else a listing."""
        if self._applied is None:
            return False
        async with self._lock:
            current = await self._current()
            return current.listing is not None and not difference(current.listing, self._applied)

    async def remove(self) -> None:
        async with self._lock:
            if (await self._list()).listing is not None:
                await self._run("-f", "-", text=f"delete table {TABLE}\n")
            self._applied = self._known = None

    async def _commit(self, operations: Sequence[Operation]) -> tuple[Operation, ...]:
        try:
            await self._run("-f", "-", text=to_text(operations))
        except StepFailed as error:
            without = tuple(one for one in operations if not isinstance(one, DeleteChain))
            busy = any("Device or resource busy" in line for line in error.log)
            if not busy or len(without) == len(operations):
                raise
            # A chain that was just unlinked (kernels before 6.2): it can wait for the next time.
            await self._run("-f", "-", text=to_text(without))
            return without
        return tuple(operations)

    async def _learn(self, table: Table, operations: Sequence[Operation], before: _Known) -> None:
        """What the kernel has after our commit. nft is asked only where it must be: somebody
        else committed meanwhile, or it is not known yet how it prints such rules."""
        shapes = {one.rule.shape for one in operations if isinstance(one, AddRule)}
        generation = self._generation()
        alone = generation == before.generation + 1
        if alone and not self._spelled and await self._spelled_as_written(table, shapes):
            self._known = _Known(expected(before.listing, operations, table), generation)
            return
        known = await self._list()
        if known.listing is None:
            raise StepFailed(
                f"The table {TABLE} was gone again right after it was committed.",
                hint="Something on this host flushes nftables in a loop; stop that.",
            )
        if alone and known.generation == generation:
            for chain in table.chains.values():
                written = tuple(map(str, chain.rules))
                listed = known.listing.chains.get(chain.name)
                if listed and listed.rules != written:
                    self._spelled[listed.rules] = written
            self._read_back |= shapes
        self._known = _Known(self._as_written(known.listing), known.generation)

    async def _spelled_as_written(self, table: Table, shapes: set[tuple[type, ...]]) -> bool:
        """Whether nft prints rules of these shapes as they were written. One chain of each shape
        that is new is read back: a table of 1,000 services takes half a second to list."""
        unread = shapes - self._read_back
        chosen: list[Chain] = []
        for chain in table.chains.values():
            new = unread & {rule.shape for rule in chain.rules}
            if new:
                unread -= new
                chosen.append(chain)
        if not chosen:
            return not unread
        if len(table.chains) < _LARGE:
            return False  # the whole listing is as quick
        listed: dict[str, ListedChain] = {}
        for chain in chosen:  # nft 1.0.6 finds only the last of several in one call
            try:
                text = await self._run("-s", "-y", "list", "chain", *TABLE.split(), chain.name)
            except StepFailed:
                return False  # gone again already: the whole listing tells
            listed |= parse_listing(text).chains
        if any(listed.get(chain.name) != chain.listed for chain in chosen):
            return False
        self._read_back |= shapes
        return True

    async def _current(self) -> _Known:
        if self._known is None or self._known.generation != self._generation():
            known = await self._list()
            listing = self._as_written(known.listing) if known.listing else None
            self._known = _Known(listing, known.generation)
        return self._known

    def _as_written(self, listing: Listing) -> Listing:
        chains = {
            name: ListedChain(chain.hook, self._spelled.get(chain.rules, chain.rules))
            for name, chain in listing.chains.items()
        }
        return Listing(chains, listing.collections, listing.foreign)

    def _generation(self) -> int:
        with open_netlink(NETLINK_NETFILTER, namespace=self._namespace) as channel:
            return ruleset_generation(channel)

    async def _list(self) -> _Known:
        """The generation is read first: a change while nft lists is seen the next time."""
        generation = self._generation()
        try:
            text = await self._run("-s", "-y", "list", "table", *TABLE.split())
        except StepFailed as error:
            if any("No such file or directory" in line for line in error.log):
                return _Known(None, generation)
            raise
        return _Known(parse_listing(text), generation)

    async def _run(self, *arguments: str, text: str = "") -> str:
        """Raises StepFailed with nft's own words, MissingRequirement where there is no nft."""
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                *arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env={**os.environ, "LC_ALL": "C"},  # errors are told apart by their words
            )
        except FileNotFoundError:
            raise MissingRequirement(
                f"There is no {self._command[0]} to run.", hint="Install the package nftables."
            ) from None
        output, errors = await process.communicate(text.encode())
        if process.returncode:
            words = errors.decode(errors="replace").splitlines()
            raise StepFailed(
                f"nft refused: {words[0] if words else f'exit {process.returncode}'}",
                hint="Nothing was changed. The transaction is what --dry-run prints.",
                log=words,
            )
        return output.decode()
