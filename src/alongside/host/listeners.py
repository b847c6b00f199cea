"""Who listens on the host's ports."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from alongside.domain.errors import StepFailed
from alongside.domain.port import Port, Protocol

Address = IPv4Address | IPv6Address
LOOPBACK = frozenset({ip_address("127.0.0.1"), ip_address("::1")})

_PROGRAM = re.compile(r'\("(?P<program>[^"]*)",pid=(?P<pid>\d+)')


@dataclass(frozen=True, slots=True)
class Listener:
    """A socket that listens. `address` None is any address; `program` is "" where it is not
    ours to see."""

    protocol: Protocol
    address: Address | None
    number: int
    program: str = ""
    pid: int = 0


async def listeners() -> list[Listener]:
    """Every TCP listener and bound UDP socket of this network namespace. Raises StepFailed."""
    process = await asyncio.create_subprocess_exec(
        "ss",
        "-H",
        "-l",
        "-n",
        "-p",
        "-t",
        "-u",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    if process.returncode != 0:
        raise StepFailed(f"ss cannot list the listeners: {err.decode().strip()}")
    return parse(out.decode())


def parse(text: str) -> list[Listener]:
    """The lines of `ss -H -lnptu`: protocol, state, two queues, local, peer, users."""
    found = []
    for line in text.splitlines():
        fields = line.split(None, 6)
        if len(fields) < 6 or fields[0] not in ("tcp", "udp"):
            continue
        host, _, number = fields[4].rpartition(":")
        if not number.isdigit():
            continue
        user = _PROGRAM.search(fields[6]) if len(fields) > 6 else None
        found.append(
            Listener(
                Protocol(fields[0]),
                _address(host),
                int(number),
                user["program"] if user else "",
                int(user["pid"]) if user else 0,
            )
        )
    return found


def _address(host: str) -> Address | None:
    """`*`, `0.0.0.0`, `[::]`, `127.0.0.53%lo`, `[::ffff:192.0.2.1]`."""
    bare = host.removeprefix("[").partition("%")[0].removesuffix("]")
    if bare in ("*", ""):
        return None
    address = ip_address(bare)
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return None if address.is_unspecified else address


def holders(
    port: Port, heard: Iterable[Listener], addresses: Collection[Address]
) -> list[Listener]:
    """The listeners that the port would be taken from.

    Packets to any of the host's addresses are for a port without an address; on loopback only
    127.0.0.1 and ::1 are, so a resolver on 127.0.0.53 is no holder.
    """
    reached = {port.address} if port.address else {*addresses, *LOOPBACK}
    return [
        one
        for one in heard
        if one.protocol is port.protocol
        and one.number == port.number
        and (one.address is None or one.address in reached)
        and not (one.address and one.address.is_loopback and one.address not in LOOPBACK)
    ]
