"""Whether a container's packets reach the host: tried, from its own network.

A firewall that denies what comes in (ufw, for one) denies it to containers, too. Whose firewall it
is and what its rules say is not ours to read, so a connection is made.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Iterable
from contextlib import ExitStack
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from alongside.router.netlink import socket_in

Address = IPv4Address | IPv6Address

# A SYN that was dropped for another reason is sent again after a second.
PATIENCE = 2.5  # seconds


async def kept_out(pid: int, addresses: Iterable[Address], numbers: Iterable[int]) -> set[Address]:
    """Those of the host's `addresses` that a connection from the network namespace of process
    `pid` does not get to. `numbers`: ports of the host's to try it with; the first that is free
    is listened on meanwhile. Where it cannot be tried, nothing is known and none is returned.
    """
    numbers = list(numbers)
    addresses = list(addresses)
    found = await asyncio.gather(*(_gets_to(pid, one, numbers) for one in addresses))
    return {one for one, got in zip(addresses, found, strict=True) if not got}


async def _gets_to(pid: int, address: Address, numbers: list[int]) -> bool:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with ExitStack() as opened:
        try:
            listener = opened.enter_context(socket.socket(family, socket.SOCK_STREAM))
            number = _listen(listener, str(address), numbers)
            network = Path(f"/proc/{pid}/ns/net")
            asking = opened.enter_context(socket_in(network, family, socket.SOCK_STREAM))
        except OSError:
            return True
        asking.setblocking(False)
        try:
            async with asyncio.timeout(PATIENCE):
                await asyncio.get_running_loop().sock_connect(asking, (str(address), number))
        except OSError:
            return not network.exists()  # it ended meanwhile
        return True


def _listen(listener: socket.socket, address: str, numbers: list[int]) -> int:
    for number in numbers:
        try:
            listener.bind((address, number))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            listener.listen(1)
            return number
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
