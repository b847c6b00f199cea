"""Who listens on the host's ports, from the kernel itself (sock_diag(7), as `ss` asks it).

Asked in this process it takes a fraction of a millisecond; and the answer says, unlike
/proc/net/tcp6, whether a listener on [::] takes IPv4 as well.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

from alongside.domain.errors import StepFailed
from alongside.domain.port import Port, Protocol
from alongside.router.netlink import Interrupted, attributes, dump, open_netlink

Address = IPv4Address | IPv6Address

# What a switch takes of loopback: a resolver on 127.0.0.53 keeps its port.
LOOPBACK: frozenset[Address] = frozenset({IPv4Address("127.0.0.1"), IPv6Address("::1")})

# linux/inet_diag.h, linux/sock_diag.h, net/tcp_states.h
_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_INET_DIAG_SKV6ONLY = 11
_PROTOCOLS = {
    Protocol.TCP: (socket.IPPROTO_TCP, 1 << 10),  # TCP_LISTEN
    Protocol.UDP: (socket.IPPROTO_UDP, 1 << 7),  # TCP_CLOSE: bound, and not connected
}
_REQUEST = struct.Struct("=BBBxI48x")  # family, protocol, extensions, states, no socket ID
_ANSWER = struct.Struct("=BxxxHxx16s16x4x8x16xI")  # family, port, address, inode
_TRIES = 3  # sockets come and go while they are listed


@dataclass(frozen=True, slots=True)
class Listener:
    """A socket that listens.

    `address` None is any, of both families; 0.0.0.0 and :: are any of their own family alone.
    `program` and `pid` are "" and 0 where no process was found that holds it.
    """

    protocol: Protocol
    address: Address | None
    number: int
    program: str = ""
    pid: int = 0
    inode: int = 0


async def listeners(*, programs: bool = True) -> list[Listener]:
    """Every TCP listener and bound UDP socket of this network namespace. Raises StepFailed.

    `programs`: with the programs' names, for which every process's files are looked at; where
    only a few matter, leave them out and `identify` those.
    """
    found = list(_listeners())
    return await identify(found) if programs else found


async def identify(found: Collection[Listener]) -> list[Listener]:
    """The same listeners, with their programs' names."""
    wanted = {one.inode for one in found}
    owners = await asyncio.to_thread(socket_owners, wanted) if wanted else {}
    return [_named(one, owners) for one in found]


def holders(
    port: Port, heard: Iterable[Listener], addresses: Collection[Address]
) -> list[Listener]:
    """The listeners that the port would be taken from. `addresses` are the host's own.

    A switch takes the packets to all the host's addresses, or to the one that the port names;
    on loopback to 127.0.0.1 and ::1 alone. A socket on an address that the host does not have
    (multicast, or one gone) gets no packet that could be meant.
    """
    if port.address is not None:
        reached = {port.address}
    else:
        reached = {*LOOPBACK, *(address for address in addresses if not address.is_loopback)}
    return [
        one
        for one in heard
        if (one.protocol, one.number) == (port.protocol, port.number)
        and (
            one.address is None
            or one.address in reached
            or (one.address.is_unspecified and _has_family(one.address, reached))
        )
    ]


def _has_family(any_address: Address, reached: Iterable[Address]) -> bool:
    return any(address.version == any_address.version for address in reached)


def _listeners() -> Iterator[Listener]:
    try:
        with open_netlink(_NETLINK_SOCK_DIAG) as channel:
            for protocol in Protocol:
                for family in (socket.AF_INET, socket.AF_INET6):
                    yield from _dumped(channel, protocol, family)
    except OSError as error:
        raise StepFailed(
            f"The kernel does not say who listens: {error.strerror}.",
            hint="It needs its modules tcp_diag and udp_diag: modprobe tcp_diag udp_diag",
        ) from error


def _dumped(
    channel: socket.socket, protocol: Protocol, family: socket.AddressFamily
) -> list[Listener]:
    number, states = _PROTOCOLS[protocol]
    request = _REQUEST.pack(family, number, 0, states)
    found: list[Listener] = []
    for _ in range(_TRIES):
        found.clear()
        try:
            for buffer, start, end in dump(channel, _SOCK_DIAG_BY_FAMILY, request):
                found.append(parse(protocol, buffer[start:end]))
        except Interrupted:
            continue
        break
    return found


def parse(protocol: Protocol, message: bytes) -> Listener:
    """A `struct inet_diag_msg` and its attributes."""
    family, port, packed, inode = _ANSWER.unpack_from(message)
    fields = dict(attributes(message, _ANSWER.size))
    address: Address | None = ip_address(packed[:4] if family == socket.AF_INET else packed)
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    elif address == IPv6Address("::") and fields.get(_INET_DIAG_SKV6ONLY) != b"\1":
        address = None
    return Listener(protocol, address, socket.ntohs(port), inode=inode)


def socket_owners(inodes: Collection[int]) -> dict[int, int]:
    """The process that holds each socket: of several the first, which is the others' parent."""
    owners: dict[int, int] = {}
    links = {f"socket:[{inode}]": inode for inode in inodes}
    for pid in sorted(int(entry) for entry in os.listdir("/proc") if entry.isdigit()):  # noqa: PTH208
        # Processes end while they are looked at, and some are not ours to look at.
        with suppress(OSError), os.scandir(f"/proc/{pid}/fd") as files:
            for file in files:
                with suppress(OSError):
                    inode = links.get(os.readlink(file.path))  # noqa: PTH115 - thousands of them
                    if inode is not None:
                        owners.setdefault(inode, pid)
        if len(owners) == len(links):
            break
    return owners


def _named(listener: Listener, owners: dict[int, int]) -> Listener:
    pid = owners.get(listener.inode, 0)
    program = ""
    if pid:
        with suppress(OSError):
            program = Path(f"/proc/{pid}/comm").read_text().strip()
    return replace(listener, program=program, pid=pid)
