"""A router without a kernel, for tests: the same plans, committed to a strict fake."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Set
from typing import TypeVar

from alongside.domain.errors import AlongsideError
from alongside.domain.port import Protocol
from alongside.router.compile import compile_table
from alongside.router.difference import difference
from alongside.router.flows import Flow, Routes
from alongside.router.kernel import FakeKernel
from alongside.router.protocol import Connections, FarEnd, Ruleset, Transaction
from alongside.router.rules import IPAddress
from alongside.router.table import Listing, Table
from alongside.router.tracer import Landing, Packet, trace
from alongside.router.transaction import to_text

K = TypeVar("K")


class FakeRouter:
    """`host`: the host's own addresses. `flows` are conntrack's UDP entries, `half_open` those of
    TCP that were never answered: add some, and `clean_udp` and `clean_half_open` take out the stale
    ones. `live` is how many connections each far end has. Put an error in `fails` and the next
    commit raises it, with nothing changed."""

    def __init__(self, host: Iterable[IPAddress] = ()) -> None:
        self.kernel = FakeKernel()
        self.host = frozenset(host)
        self.flows: list[Flow] = []
        self.half_open: list[Flow] = []
        self.live: dict[FarEnd, int] = {}
        self.transactions: list[Transaction] = []  # those that changed something
        self.fails: AlongsideError | None = None
        self._applied: Table | None = None

    async def plan(self, wanted: Ruleset) -> Transaction:
        return Transaction(to_text(difference(self._listing(), compile_table(wanted))))

    async def apply(self, wanted: Ruleset) -> Transaction:
        table = compile_table(wanted)
        operations = difference(self._listing(), table)
        if operations:
            if self.fails:
                error, self.fails = self.fails, None
                raise error
            self.kernel.commit(operations)
            self.transactions.append(Transaction(to_text(operations)))
        self._applied = table
        return Transaction(to_text(operations))

    async def clean_udp(self, wanted: Ruleset) -> int:
        routes = Routes(Protocol.UDP, wanted, self.host)
        stale = [flow for flow in self.flows if routes.is_stale(flow)]
        self.flows = [flow for flow in self.flows if flow not in stale]
        return len(stale)

    async def clean_half_open(self, wanted: Ruleset, seen: Set[bytes]) -> frozenset[bytes]:
        routes = Routes(Protocol.TCP, wanted, self.host)
        found = {repr(flow).encode(): flow for flow in self.half_open if routes.is_stale(flow)}
        gone = [flow for name, flow in found.items() if name in seen]
        self.half_open = [flow for flow in self.half_open if flow not in gone]
        return frozenset(found) - seen

    async def connections(self, far_ends: Mapping[K, Collection[FarEnd]]) -> dict[K, Connections]:
        def live(ends: Collection[FarEnd], protocol: Protocol) -> int:
            return sum(self.live.get(one, 0) for one in set(ends) if one.protocol is protocol)

        return {
            key: Connections(tcp=live(ends, Protocol.TCP), udp=live(ends, Protocol.UDP))
            for key, ends in far_ends.items()
        }

    async def intact(self) -> bool:
        listing = self._listing()
        if listing is None or self._applied is None:
            return False
        return not difference(listing, self._applied)

    async def listing(self) -> Listing | None:
        return self._listing()

    async def remove(self) -> None:
        self.kernel.table = self._applied = None

    def trace(self, packet: Packet) -> Landing:
        """Where the packet lands with what is committed now."""
        return trace(self.kernel.table, packet, self.host)

    def _listing(self) -> Listing | None:
        return self.kernel.table.listing() if self.kernel.table else None
