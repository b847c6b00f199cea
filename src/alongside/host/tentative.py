"""Whether a container's IPv6 addresses can be used yet."""

from __future__ import annotations

import asyncio
from pathlib import Path

_TENTATIVE = 0x40  # IFA_F_TENTATIVE, linux/if_addr.h
_POLL = 0.05  # seconds


async def settled6(pid: int, timeout: float = 5.0) -> bool:
    """Wait until no IPv6 address of a process's network namespace is tentative; False after
    `timeout` seconds.

    Duplicate address detection takes a second from a container's start. Until it ends the
    address answers nobody, though the server behind it is ready.
    """
    for _ in range(int(timeout / _POLL)):
        if not _tentative(pid):
            return True
        await asyncio.sleep(_POLL)
    return False


def _tentative(pid: int) -> bool:
    """From /proc/PID/net/if_inet6: address, interface, prefix, scope, flags and name, in
    hexadecimal but for the name."""
    try:
        lines = Path(f"/proc/{pid}/net/if_inet6").read_text().splitlines()
    except OSError:
        return False  # it has ended, or has no IPv6 at all
    return any(int(line.split()[4], 16) & _TENTATIVE for line in lines)
