"""Letting a client that is about to be reset ask again from the same port.

conntrack keeps a connection that its far end has reset for nf_conntrack_tcp_timeout_close (10 s),
and takes a SYN from the same client's port for a part of it: it begins a new one only where the
client itself had sent the reset, or one of both a FIN (nf_conntrack_proto_tcp.c: "Attempt to reopen
a closed/aborted connection"; seen with 6.18). So whoever was cut and came back on that port reached
the version that it was cut from. Here the entry is told that a FIN was seen. Deleting it would be
too late after the reset, since the client may be faster, and before it too early: the reset would
not find its way.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable
from typing import NamedTuple

from alongside.router.netlink import (
    NLM_F_ACK,
    NLM_F_REQUEST,
    acknowledgements,
    attribute,
    message,
)

# linux/netfilter/nfnetlink_conntrack.h
_CHANGE = 1 << 8  # NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_NEW; without NLM_F_CREATE
_CTA_TUPLE_REPLY, _CTA_PROTOINFO = 2, 4
_CTA_TUPLE_IP, _CTA_TUPLE_PROTO = 1, 2
_SOURCE = {4: 1, 16: 3}  # by length: CTA_IP_V4_SRC, CTA_IP_V6_SRC; …_DST is the next one
_FAMILY = {4: socket.AF_INET, 16: socket.AF_INET6}
_CTA_PROTO_NUM, _CTA_PROTO_SRC_PORT, _CTA_PROTO_DST_PORT = 1, 2, 3
_CTA_PROTOINFO_TCP, _CTA_PROTOINFO_TCP_FLAGS_ORIGINAL = 1, 4
_NESTED = 0x8000

_CLOSE_INIT = 0x04  # IP_CT_TCP_FLAG_CLOSE_INIT, nf_conntrack_tcp.h: that side has sent a FIN
_SEEN = attribute(
    _CTA_PROTOINFO | _NESTED,
    attribute(
        _CTA_PROTOINFO_TCP | _NESTED,
        attribute(_CTA_PROTOINFO_TCP_FLAGS_ORIGINAL, bytes((_CLOSE_INIT, _CLOSE_INIT))),
    ),
)
_TCP = attribute(_CTA_PROTO_NUM, bytes((socket.IPPROTO_TCP,)))


class Connected(NamedTuple):
    """A TCP socket, as the far end's side has it; addresses as on the wire."""

    address: bytes
    port: int
    peer: bytes
    peer_port: int


def let_reopen(channel: socket.socket, sockets: Iterable[Connected]) -> None:
    """So few that their answers fit the channel's buffer. What conntrack does not have is passed
    over. `channel` is of NETLINK_NETFILTER. Raises OSError where the kernel refuses."""
    flags = NLM_F_REQUEST | NLM_F_ACK
    questions = [message(_CHANGE, flags, _change(one)) for one in sockets]
    channel.send(b"".join(questions))
    answers = 0
    while answers < len(questions):
        for code in acknowledgements(channel.recv(1 << 18)):
            answers += 1
            if code not in (0, errno.ENOENT):
                raise OSError(code, "changing an entry")


def _change(one: Connected) -> bytes:
    """By the reply's tuple, which is the far end's own: whatever address the client asked."""
    size = len(one.address)
    source = _SOURCE[size]
    addresses = attribute(source, one.address) + attribute(source + 1, one.peer)
    ports = attribute(_CTA_PROTO_SRC_PORT, one.port.to_bytes(2, "big"))
    ports += attribute(_CTA_PROTO_DST_PORT, one.peer_port.to_bytes(2, "big"))
    reply = attribute(_CTA_TUPLE_IP | _NESTED, addresses)
    reply += attribute(_CTA_TUPLE_PROTO | _NESTED, _TCP + ports)
    return bytes((_FAMILY[size], 0, 0, 0)) + attribute(_CTA_TUPLE_REPLY | _NESTED, reply) + _SEEN
