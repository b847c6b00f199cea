"""The router on the real kernel: `nft -f -` to commit, `nft list table` to read.

A switch goes over netlink instead (`batch`), where it is known that the kernel then has what it
would have had of nft: the very same rules, in a tenth of the time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from alongside.domain.errors import StepFailed
from alongside.router import conntrack
from alongside.router.batch import Refused, batch, commit
from alongside.router.command import Nft
from alongside.router.compile import compile_table
from alongside.router.connections import connections
from alongside.router.difference import difference, expected
from alongside.router.half_open import clean_half_open
from alongside.router.netlink import Kept, ruleset_generation
from alongside.router.protocol import Connections, FarEnd, Ruleset, Transaction
from alongside.router.rules import Shape
from alongside.router.spelling import Spelling
from alongside.router.table import TABLE, Listing, Table
from alongside.router.transaction import AddRule, DeleteChain, Operation, to_text

K = TypeVar("K")

_LARGE = 200  # chains


@dataclass(frozen=True, slots=True)
class _Known:
    """What the kernel had, and the generation at which it had it."""

    listing: Listing | None
    generation: int
    read: bool = False  # it was just listed, not worked out


@dataclass(frozen=True, slots=True)
class _Unread:
    """What nft has committed, and how it prints that is still to be read."""

    table: Table
    shapes: set[Shape]
    committed: _Known


class NftRouter:
    """`namespace` is a path like /run/netns/NAME; None is the namespace of this process."""

    def __init__(self, *, command: Sequence[str] = ("nft",), namespace: Path | None = None) -> None:
        self._namespace = namespace
        self._nft = Nft(command, namespace)
        self._spelling = Spelling(self._nft)
        self._asking, self._committing = Kept(namespace), Kept(namespace)
        self._direct = True  # until nft prints what came over netlink in other words
        self._applied: Table | None = None
        self._known: _Known | None = None
        self._unread: _Unread | None = None
        self._lock = asyncio.Lock()

    async def plan(self, wanted: Ruleset) -> Transaction:
        table = compile_table(wanted)
        return Transaction(to_text(difference((await self._current()).listing, table)))

    async def apply(self, wanted: Ruleset) -> Transaction:
        table = compile_table(wanted)
        async with self._lock:
            known = await self._current()
            operations = difference(known.listing, table)
            if not operations and known.read and known.listing:
                self._spelling.learn(table, known.listing)  # another daemon wrote it
                self._known = _Known(known.listing, known.generation)
            elif operations and not await self._directly(table, operations, known):
                operations = await self._by_nft(table, operations, known)
            self._applied = table
            return Transaction(to_text(operations))

    async def clean_udp(self, wanted: Ruleset) -> int:
        return await asyncio.to_thread(conntrack.clean_udp, wanted, self._namespace)

    async def clean_half_open(self, wanted: Ruleset, seen: Set[bytes]) -> frozenset[bytes]:
        return await asyncio.to_thread(clean_half_open, wanted, seen, self._namespace)

    async def connections(self, far_ends: Mapping[K, Collection[FarEnd]]) -> dict[K, Connections]:
        return await asyncio.to_thread(connections, far_ends, self._namespace)

    async def intact(self) -> bool:
        """Takes less than a millisecond if nobody has changed nftables since; else a listing."""
        if self._applied is None:
            return False
        async with self._lock:
            unread, self._unread = self._unread, None
            if unread and unread.committed.generation == self._generation():
                await self._read_back(unread)
            current = await self._current()
            return current.listing is not None and not difference(current.listing, self._applied)

    async def listing(self) -> Listing | None:
        return await self._nft.table()

    async def remove(self) -> None:
        async with self._lock:
            if await self._nft.table() is not None:
                await self._nft.commit(f"delete table {TABLE}\n")
            self._applied = self._known = self._unread = None

    # A switch, over netlink.

    async def _directly(self, table: Table, operations: Sequence[Operation], known: _Known) -> bool:
        """Where nothing but a switch is to be done, on a kernel that nobody has changed since it
        was looked at, and nft prints such rules as they were written. False leaves it to nft,
        which also says best why the kernel refuses: nothing has changed then, or the same may be
        committed once more."""
        shapes = _shapes(operations)
        if not self._direct or self._spelling.differs or self._spelling.unknown("nft", shapes):
            return False
        messages = batch(operations, known.generation)
        if messages is None:
            return False
        taken = asyncio.get_running_loop().run_in_executor(None, self._take, messages)
        # While the kernel works: with 1,000 services it validates their rules for 5 ms.
        listing, generation = expected(known.listing, operations, table), known.generation + 1
        if not await taken:
            return False
        if unknown := self._spelling.unknown("netlink", shapes):
            written = [table.chains[one.chain] for one in operations if isinstance(one, AddRule)]
            if not await self._spelling.read_back("netlink", written, unknown):
                # This nft would have written them otherwise, and shall; unless it is somebody
                # else's writing.
                self._direct = generation != self._generation()
                return False
        self._known, self._unread = _Known(listing, generation), None
        return True

    def _take(self, messages: bytes) -> bool:
        try:
            with self._committing.channel() as channel:
                commit(channel, messages)
        except (Refused, OSError):
            return False
        return True

    # Anything, by nft.

    async def _by_nft(
        self, table: Table, operations: tuple[Operation, ...], known: _Known
    ) -> tuple[Operation, ...]:
        for last in (False, True):
            current = await self._current()
            if current is not known:  # somebody changed nftables since we looked
                known, operations = current, difference(current.listing, table)
            if not operations:
                return ()
            try:
                operations = await self._commit(operations)
                break
            except StepFailed:
                if last or self._generation() == known.generation:
                    raise
        await self._learn(table, operations, known)
        return operations

    async def _commit(self, operations: tuple[Operation, ...]) -> tuple[Operation, ...]:
        try:
            await self._nft.commit(to_text(operations))
        except StepFailed as error:
            without = tuple(one for one in operations if not isinstance(one, DeleteChain))
            busy = any("Device or resource busy" in line for line in error.log)
            if not busy or len(without) == len(operations):
                raise
            # A chain that was just unlinked (kernels before 6.2): it can wait for the next time.
            await self._nft.commit(to_text(without))
            return without
        return operations

    async def _learn(self, table: Table, operations: Sequence[Operation], before: _Known) -> None:
        """What the kernel has after nft's commit. nft is asked only where it must be: somebody
        else committed meanwhile, or it is not known yet how it prints such rules."""
        generation = self._generation()
        known = _Known(expected(before.listing, operations, table), generation)
        unknown = self._spelling.unknown("nft", _shapes(operations))
        self._known, self._unread = known, None
        if generation != before.generation + 1:
            self._known = await self._existing()
        elif unknown and before.listing is None and len(table.chains) >= _LARGE:
            self._unread = _Unread(table, unknown, known)  # the ports come first: `intact` reads
        elif unknown or self._spelling.differs:
            await self._read_back(_Unread(table, unknown, known))

    async def _read_back(self, unread: _Unread) -> None:
        table, committed = unread.table, unread.committed
        few = len(table.chains) < _LARGE  # the whole listing is as quick
        if not few and not self._spelling.differs:
            chains = table.chains.values()
            if await self._spelling.read_back("nft", chains, unread.shapes):
                return
        self._known = await self._existing()
        if self._known.generation == committed.generation and self._known.listing:
            self._spelling.learn(table, self._known.listing)
            listing = self._spelling.as_written(self._known.listing)
            self._known = _Known(listing, committed.generation)

    # What the kernel has.

    async def _current(self) -> _Known:
        if self._known is None or self._known.generation != self._generation():
            self._known = await self._list()
        return self._known

    async def _existing(self) -> _Known:
        known = await self._list()
        if known.listing is None:
            raise StepFailed(
                f"The table {TABLE} was gone again right after it was committed.",
                hint="Something on this host flushes nftables in a loop; stop that.",
            )
        return known

    async def _list(self) -> _Known:
        """The generation is read first: a change while nft lists is seen the next time."""
        generation = self._generation()
        listing = await self._nft.table()
        return _Known(listing and self._spelling.as_written(listing), generation, read=True)

    def _generation(self) -> int:
        with self._asking.channel() as channel:
            return ruleset_generation(channel)


def _shapes(operations: Iterable[Operation]) -> set[Shape]:
    return {one.rule.shape for one in operations if isinstance(one, AddRule)}
