"""The public ports that the kernel routes, read from alongside's own table."""

from __future__ import annotations

import os
from collections.abc import Iterator

from alongside.doctor.facts import Unseen
from alongside.doctor.gather.commands import run
from alongside.domain.port import Port, parse_port
from alongside.router.listing import parse_listing
from alongside.router.protocol import RoutedPort, Ruleset
from alongside.router.table import TABLE, Listing


async def routed_ports() -> Ruleset | Unseen:
    """Ports without those behind them: what for whom is the daemon's to know."""
    if os.geteuid() != 0:
        return Unseen("the daemon knows, and does not answer; root sees more without it")
    said = await run("nft", "-s", "-y", "list", "table", *TABLE.split())
    if isinstance(said, Unseen):
        return said
    if said.status != 0:
        return Unseen(f"there is no table {TABLE}, and the daemon does not answer")
    return Ruleset(tuple(RoutedPort(port, ()) for port in ports(parse_listing(said.out))))


def ports(listing: Listing) -> Iterator[Port]:
    """Of the maps that a packet is looked up in: `tcp . 80`, `192.0.2.7 . tcp . 80`."""
    for name in ("ports", "ports4", "ports6"):
        collection = listing.collections.get(name)
        for key in collection.elements if collection else ():
            *address, protocol, number = key.split(" . ")
            where = f"[{address[0]}]:" if address else ""
            yield parse_port(f"{where}{number}/{protocol}")
