"""The host's own addresses and networks."""

from __future__ import annotations

import errno
import socket
import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address

from alongside.domain.errors import Conflict, StepFailed
from alongside.router.conntrack import host_addresses
from alongside.router.netlink import (
    NETLINK_ROUTE,
    Interrupted,
    attributes,
    dump,
    open_netlink,
)

OURS = "al-"  # how our bridges' names begin: domain.instance.bridge_name

# linux/rtnetlink.h
_RTM_GETROUTE = 26
_RTMSG = struct.Struct("=BBBBBBBBI")  # family, lengths, tos, table, protocol, scope, type, flags
_RTN_UNICAST = 1
_RTA_DST = 1
_RTA_OIF = 4
_TRIES = 3  # routes may change while they are listed

# A route that covers more than this says where the rest of the world is, like the default route
# and the two halves that VPNs put over it.
_SHORTEST = 8


@dataclass(frozen=True, slots=True)
class Route:
    network: IPv4Network
    interface: str  # "" where it has none, or several


async def local_addresses() -> frozenset[IPv4Address | IPv6Address]:
    """Every address of every interface of this network namespace."""
    try:
        return frozenset(host_addresses())
    except OSError as error:
        raise StepFailed(f"The host's addresses cannot be read: {error.strerror}.") from error


async def has_ipv6() -> bool:
    """Whether IPv6 is on: loopback has ::1 then, and only then (net.ipv6.conf.*.disable_ipv6)."""
    return IPv6Address("::1") in await local_addresses()


async def check_pool(pool: IPv4Network, *, shortest: int = _SHORTEST) -> None:
    """Raises Conflict where the host has a route into the pool that is not an instance's. Routes
    of a prefix below `shortest` do not count."""
    for route in routes():
        theirs = not route.interface.startswith(OURS)
        if theirs and route.network.overlaps(pool) and route.network.prefixlen >= shortest:
            by = f" by {route.interface}" if route.interface else ""
            raise Conflict(
                f"The address pool {pool} overlaps {route.network}, which this host reaches{by}.",
                hint="Give the daemon another one that is free: "
                "alongside daemon --pool 10.214.0.0/16",
            )


def routes() -> list[Route]:
    """The unicast IPv4 routes of all tables. Raises StepFailed."""
    found: list[Route] = []
    try:
        for _ in range(_TRIES):
            found.clear()
            try:
                with open_netlink(NETLINK_ROUTE) as channel:
                    request = _RTMSG.pack(socket.AF_INET, *[0] * 8)
                    for buffer, start, end in dump(channel, _RTM_GETROUTE, request):
                        route = parse_route(buffer[start:end])
                        if route is not None:
                            found.append(route)
            except Interrupted:
                continue
            break
    except OSError as error:
        raise StepFailed(f"The host's routes cannot be read: {error.strerror}.") from error
    return found


def parse_route(message: bytes) -> Route | None:
    """A `struct rtmsg` and its attributes; None where it is no unicast route."""
    _, length, _, _, _, _, _, kind, _ = _RTMSG.unpack_from(message)
    if kind != _RTN_UNICAST:
        return None
    fields = dict(attributes(message, _RTMSG.size))
    network = IPv4Network((fields.get(_RTA_DST, bytes(4)), length))
    return Route(network, _name(fields.get(_RTA_OIF)))


def _name(index: bytes | None) -> str:
    if index is None:
        return ""
    try:
        return socket.if_indextoname(int.from_bytes(index, "little"))
    except OSError as error:
        if error.errno == errno.ENXIO:  # gone meanwhile
            return ""
        raise
