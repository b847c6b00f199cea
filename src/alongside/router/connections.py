"""Counting the connections that live on far ends, out of conntrack over netlink.

What counts is the *reply's* source: it is the far end itself, whatever address the client asked.
Measured (kernel 6.18, CPython 3.11, 100,000 entries of another service): see
docs/decisions/0013-connections-are-counted-by-their-far-end.md.
"""

from __future__ import annotations

import socket
import struct
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import TypeVar

from alongside.domain.errors import StepFailed
from alongside.domain.port import Protocol
from alongside.router.conntrack import (
    ADDRESS,
    GET,
    HEADS,
    LENGTH,
    NFGENMSG,
    TUPLES,
    host_addresses,
)
from alongside.router.netlink import (
    NETLINK_NETFILTER,
    Interrupted,
    attribute,
    attributes,
    dump,
    open_netlink,
)
from alongside.router.protocol import Connections, FarEnd

K = TypeVar("K")

# linux/netfilter/nfnetlink_conntrack.h
_CTA_TUPLE_REPLY = 2
_CTA_STATUS = 3
_CTA_PROTOINFO = 4
_CTA_PROTOINFO_TCP = 1
_CTA_PROTOINFO_TCP_STATE = 1
_CTA_TUPLE_IP = 1
_CTA_TUPLE_PROTO = 2
_CTA_IP_V4_SRC = 1
_CTA_PROTO_NUM = 1
_CTA_PROTO_SRC_PORT = 2
_CTA_FILTER = 25
_CTA_FILTER_REPLY_FLAGS = 2
_BY_SOURCE, _BY_PROTOCOL, _BY_SOURCE_PORT = 1 << 0, 1 << 3, 1 << 4  # CTA_FILTER_F_CTA_…
_NESTED = 0x8000

_SEEN_REPLY = 1 << 1  # IPS_SEEN_REPLY, nf_conntrack_common.h
# SYN_SENT, SYN_RECV, ESTABLISHED, FIN_WAIT, CLOSE_WAIT: nf_conntrack_tcp.h. What comes after them
# is over for both programs.
_LIVE = range(1, 6)

_NUMBER = {Protocol.TCP: socket.IPPROTO_TCP, Protocol.UDP: socket.IPPROTO_UDP}

# Each dump walks the kernel's whole table; from so many on, one that hands out all is cheaper.
MOST_DUMPS = 16

# The beginning of CTA_PROTOINFO as the kernel writes it, up to the state itself: finding it in an
# entry is a tenth of the work of walking its attributes.
_STATE = struct.pack(
    "=6H",
    *(48, _CTA_PROTOINFO | _NESTED),
    *(44, _CTA_PROTOINFO_TCP | _NESTED),
    *(5, _CTA_PROTOINFO_TCP_STATE),
)
_STATUS = struct.pack("=HH", 8, _CTA_STATUS)

_Place = tuple[bytes, int, int]  # address, protocol, port; no address: any of the host's own


@dataclass(frozen=True, slots=True)
class _Question:
    """What one dump asks for. No address: all of a protocol and port; no protocol: all of both."""

    family: socket.AddressFamily
    address: bytes = b""
    protocol: int = 0
    port: int = 0

    def __bytes__(self) -> bytes:
        flags, parts = 0, b""
        if self.address:
            flags |= _BY_SOURCE
            parts = attribute(_CTA_TUPLE_IP | _NESTED, attribute(_CTA_IP_V4_SRC, self.address))
        if self.protocol:
            flags |= _BY_PROTOCOL
            inner = attribute(_CTA_PROTO_NUM, bytes((self.protocol,)))
            if self.port:
                flags |= _BY_SOURCE_PORT
                inner += attribute(_CTA_PROTO_SRC_PORT, self.port.to_bytes(2, "big"))
            parts += attribute(_CTA_TUPLE_PROTO | _NESTED, inner)
        head = bytes((self.family, 0, 0, 0))
        if not flags:
            return head
        return (
            head
            + attribute(_CTA_TUPLE_REPLY | _NESTED, parts)
            + attribute(
                _CTA_FILTER | _NESTED,
                attribute(_CTA_FILTER_REPLY_FLAGS, struct.pack("=I", flags)),
            )
        )


@dataclass(slots=True)
class _Asked:
    """Whose places are asked for, by family."""

    places: dict[socket.AddressFamily, dict[_Place, list[int]]] = field(
        default_factory=lambda: {family: defaultdict(list) for family in ADDRESS}
    )

    def add(self, who: int, ends: Collection[FarEnd]) -> None:
        for end in set(ends):
            number = _NUMBER[end.protocol]
            for address in end.addresses:
                family = socket.AF_INET if address.version == 4 else socket.AF_INET6
                self.places[family][address.packed, number, end.port].append(who)
            if not end.addresses:
                for found in self.places.values():
                    found[b"", number, end.port].append(who)

    def questions(self, family: socket.AddressFamily) -> list[_Question]:
        """Few dumps, as each walks the kernel's whole table: by address, since an instance has
        several ports at one. Not for IPv6: there the kernel's filter hands out all but the
        address that is asked for (ctnetlink_filter_match_tuple takes ipv6_addr_cmp's 0 for a
        difference; seen with 6.18), so it is asked by port.
        """
        protocols: dict[bytes, set[int]] = defaultdict(set)
        found: dict[_Question, None] = {}
        for address, protocol, port in self.places[family]:
            if address and family == socket.AF_INET:
                protocols[address].add(protocol)
            else:
                found[_Question(family, protocol=protocol, port=port)] = None
        for address, numbers in protocols.items():
            only = next(iter(numbers)) if len(numbers) == 1 else 0
            found[_Question(family, address, only)] = None
        return list(found) if len(found) <= MOST_DUMPS else [_Question(family)]


def connections(
    far_ends: Mapping[K, Collection[FarEnd]], namespace: Path | None = None
) -> dict[K, Connections]:
    """How many connections live on each one's far ends. Raises StepFailed where the kernel
    refuses."""
    asked = _Asked()
    keys = list(far_ends)
    for who, key in enumerate(keys):
        asked.add(who, far_ends[key])
    counted: Counter[tuple[int, int]] = Counter()
    try:
        own = _own(asked, namespace)
        with open_netlink(NETLINK_NETFILTER, namespace=namespace) as channel:
            for family, places in asked.places.items():
                for question in asked.questions(family):
                    for place in _live(channel, question):
                        for who in _whose(place, question, places, own):
                            counted[who, place[1]] += 1
    except OSError as error:
        raise StepFailed(
            f"The connections of {len(keys)} versions could not be counted: {error.strerror}.",
            hint="It takes CAP_NET_ADMIN and the kernel's nf_conntrack_netlink.",
        ) from error
    return {
        key: Connections(tcp=counted[who, socket.IPPROTO_TCP], udp=counted[who, socket.IPPROTO_UDP])
        for who, key in enumerate(keys)
    }


def _own(asked: _Asked, namespace: Path | None) -> frozenset[bytes]:
    """The host's own addresses, where any of them will do."""
    if not any(not address for places in asked.places.values() for address, _, _ in places):
        return frozenset()
    return frozenset(address.packed for address in host_addresses(namespace))


def _whose(
    place: _Place,
    question: _Question,
    places: Mapping[_Place, list[int]],
    own: frozenset[bytes],
) -> list[int]:
    """Those whom an answer to this question is for; the others hear of it by another question."""
    address, protocol, port = place
    found: list[int] = []
    if question.address or not question.port or question.family == socket.AF_INET6:
        found += places.get(place, ())
    # A connection of the host's own to that port of somebody else has its address as the source.
    if not question.address and (address in own or ip_address(address).is_loopback):
        found += places.get((b"", protocol, port), ())
    return found


def _live(channel: socket.socket, question: _Question) -> Iterator[_Place]:
    """The reply's source of each live entry. Kernels before 5.8 ignore the filter and hand out
    all, which is sorted out by the caller."""
    family = question.family
    layout, length, (head, second) = TUPLES[family], LENGTH[family], HEADS[family]
    with suppress(Interrupted):  # then one that just came or went may be missing
        for buffer, start, end in dump(channel, GET, bytes(question)):
            original = start + NFGENMSG
            reply = original + length
            if buffer[original : original + 4] != head or buffer[reply : reply + 4] != second:
                continue
            (_, _, protocol, _, _, source, _, _, port, _) = layout.unpack_from(buffer, original)
            if question.address and question.address != source:
                continue
            rest = reply + length
            if protocol == socket.IPPROTO_TCP:
                if tcp_state(buffer, rest, end) in _LIVE:
                    yield source, protocol, port
            elif protocol == socket.IPPROTO_UDP and _status(buffer, rest, end) & _SEEN_REPLY:
                yield source, protocol, port


def _status(buffer: bytes, start: int, end: int) -> int:
    if buffer[start : start + 4] == _STATUS:
        return int.from_bytes(buffer[start + 4 : start + 8], "big")
    found = dict(attributes(buffer[start:end])).get(_CTA_STATUS, b"")
    return int.from_bytes(found, "big")


def tcp_state(buffer: bytes, start: int, end: int) -> int:
    """As enum tcp_conntrack counts them, out of the attributes that follow the tuples."""
    place = buffer.find(_STATE, start, end)
    if place >= 0:
        return buffer[place + len(_STATE)]
    info = dict(attributes(buffer[start:end])).get(_CTA_PROTOINFO, b"")
    tcp = dict(attributes(info)).get(_CTA_PROTOINFO_TCP, b"")
    return dict(attributes(tcp)).get(_CTA_PROTOINFO_TCP_STATE, b"\0")[0]
