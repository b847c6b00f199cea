"""Where a container's packets leave it.

A container on several networks has one default route a family, and answers to clients leave by
it: only the address on that network can be a target.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

_GATEWAY = 0x2  # RTF_GATEWAY, linux/route.h


def default_gateway(pid: int) -> IPv4Address | None:
    """The IPv4 gateway of a process's network namespace; None where it has none, or has ended."""
    return parse_ipv4(_read(pid, "route"))


def default_gateway6(pid: int) -> IPv6Address | None:
    """Likewise for IPv6."""
    return parse_ipv6(_read(pid, "ipv6_route"))


def parse_ipv4(text: str) -> IPv4Address | None:
    """/proc/PID/net/route: a heading; interface, destination, gateway, flags, …, metric, mask.

    Addresses are the kernel's 32 bits in the host's byte order, in hexadecimal.
    """
    found: list[tuple[int, IPv4Address]] = []
    for line in text.splitlines()[1:]:
        fields = line.split()
        if fields[1] == fields[7] == "0" * 8 and int(fields[3], 16) & _GATEWAY:
            gateway = IPv4Address(bytes.fromhex(fields[2])[::-1])
            found.append((int(fields[6]), gateway))
    return min(found)[1] if found else None


def parse_ipv6(text: str) -> IPv6Address | None:
    """/proc/PID/net/ipv6_route: destination, its length, source, its length, next hop, metric,
    …, flags, interface; all in hexadecimal, the addresses in network byte order."""
    found: list[tuple[int, IPv6Address]] = []
    for line in text.splitlines():
        fields = line.split()
        if (fields[0], fields[1]) == ("0" * 32, "00") and int(fields[8], 16) & _GATEWAY:
            found.append((int(fields[5], 16), IPv6Address(bytes.fromhex(fields[4]))))
    return min(found)[1] if found else None


def _read(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/net/{name}").read_text()
    except OSError:  # it has ended, or a kernel without IPv6
        return ""
