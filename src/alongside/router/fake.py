"""A router without a kernel, for tests: the same plans, committed to a strict fake."""

from __future__ import annotations

from collections.abc import Iterable

from alongside.domain.errors import AlongsideError
from alongside.router.compile import compile_table
from alongside.router.difference import difference
from alongside.router.flows import Flow, UdpRoutes
from alongside.router.kernel import FakeKernel
from alongside.router.protocol import Ruleset, Transaction
from alongside.router.rules import IPAddress
from alongside.router.table import Listing, Table
from alongside.router.tracer import Landing, Packet, trace
from alongside.router.transaction import to_text


class FakeRouter:
    """`host`: the host's own addresses. `flows` are conntrack's UDP entries: add some and
    `clean_udp` takes out the stale ones. Put an error in `fails` and the next commit raises it,
    with nothing changed."""

    def __init__(self, host: Iterable[IPAddress] = ()) -> None:
        self.kernel = FakeKernel()
        self.host = frozenset(host)
        self.flows: list[Flow] = []
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
        routes = UdpRoutes(wanted, self.host)
        stale = [flow for flow in self.flows if routes.is_stale(flow)]
        self.flows = [flow for flow in self.flows if flow not in stale]
        return len(stale)

    async def intact(self) -> bool:
        listing = self._listing()
        if listing is None or self._applied is None:
            return False
        return not difference(listing, self._applied)

    async def remove(self) -> None:
        self.kernel.table = self._applied = None

    def trace(self, packet: Packet) -> Landing:
        """Where the packet lands with what is committed now."""
        return trace(self.kernel.table, packet, self.host)

    def _listing(self) -> Listing | None:
        return self.kernel.table.listing() if self.kernel.table else None
