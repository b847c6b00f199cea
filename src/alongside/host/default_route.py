"""Where a container's packets leave it."""

from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path


def default_gateway(pid: int) -> IPv4Address | None:
    """The IPv4 gateway of a process's network namespace, None where it has none.

    From /proc/PID/net/route (proc(5)): addresses are hexadecimal, in the byte order of the host.
    """
    for line in Path(f"/proc/{pid}/net/route").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1] == "00000000" and fields[7] == "00000000":
            return IPv4Address(bytes.fromhex(fields[2])[::-1])
    return None
