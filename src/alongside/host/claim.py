"""The claim on a host's network: one daemon a network namespace (decision 47).

It is an abstract Unix socket. Its name lives in the network namespace, which is what two daemons
would fight over, and goes with its process however that ends. Any user may make such a socket, so
the name is another one each time, and one that is held by another user than root claims nothing.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import time
from contextlib import suppress
from pathlib import Path

from alongside.host.listeners import socket_owners

PREFIX = "alongside/daemon/"
PATIENCE = 3.0  # seconds for others that came later to give way
_PAUSE = 0.05  # seconds


class Claimed(Exception):
    """Another process has the claim; `pid` is 0 where it is of a PID namespace that is not seen
    from here."""

    def __init__(self, pid: int) -> None:
        super().__init__(pid)
        self.pid = pid


async def claim(namespace: str = PREFIX) -> socket.socket:
    """Holds for as long as the socket is open. Raises Claimed.

    Nobody claims who sees another: the name is bound first, and then it is looked. Of several
    that begin together the first one stays.
    """
    name = f"{namespace}{time.monotonic_ns():020}-{secrets.token_hex(4)}"
    own = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        own.bind(f"\0{name}")
        deadline = time.monotonic() + PATIENCE
        while others := await asyncio.to_thread(_others, namespace, name):
            earlier = [pid for other, pid in others if other < name]
            if earlier or time.monotonic() > deadline:
                raise Claimed((earlier or [pid for _, pid in others])[0])
            await asyncio.sleep(_PAUSE)
    except BaseException:
        own.close()
        raise
    return own


def _others(namespace: str, own: str) -> list[tuple[str, int]]:
    """The claims of others, and their processes. The oldest first."""
    found: dict[int, str] = {}
    for line in Path("/proc/net/unix").read_text(errors="replace").splitlines()[1:]:
        words = line.split(maxsplit=7)
        if len(words) == 8 and words[7].startswith(f"@{namespace}") and words[7] != f"@{own}":
            found[int(words[6])] = words[7].removeprefix("@")
    owners = socket_owners(found) if found else {}
    claims = [(name, owners.get(inode, 0)) for inode, name in found.items()]
    return sorted((name, pid) for name, pid in claims if pid == 0 or _trusted(pid))


def _trusted(pid: int) -> bool:
    """Whether root, or who we are, has started it: by its real user, since a program that is
    set-user-ID holds what it was given. One that has just ended claims nothing."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("Uid:"):
                return int(line.split()[1]) in (0, os.getuid())
    return False
