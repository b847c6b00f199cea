"""The transaction of a switch, said to the kernel itself.

nft reads the whole table before it changes two chains of it, and waits at its end until the
kernel has put away what was replaced. The same messages over a socket that stays open take a
tenth of it (docs/decisions/0020-a-switch-by-netlink.md). Only what a switch of versions needs is
known here; whatever else a transaction holds, nft runs it.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address

from alongside.router.compile import RETIRED
from alongside.router.expressions import encode
from alongside.router.netlink import (
    NESTED,
    NFNL_SUBSYS_NFTABLES,
    NLM_F_ACK,
    NLM_F_REQUEST,
    acknowledgements,
    attribute,
    message,
)
from alongside.router.table import TABLE
from alongside.router.transaction import (
    AddElements,
    AddRule,
    DeleteElements,
    FlushChain,
    Operation,
)

LARGEST = 128 << 10  # bytes; more than that does not fit a socket whose size nobody has raised

_BEGIN, _END = 16, 17  # NFNL_MSG_BATCH_*
_NEW_RULE, _DELETE_RULE, _NEW_ELEMENT, _DELETE_ELEMENT = 6, 8, 12, 14  # NFT_MSG_*
_CREATE, _APPEND = 0x400, 0x800  # NLM_F_*
_INET = 1  # NFPROTO_INET
_NAME = TABLE.split()[1]


class Refused(Exception):
    """The kernel has changed nothing."""


def batch(operations: Sequence[Operation], generation: int) -> bytes | None:
    """The messages that make the operations one transaction, if `generation` is still the
    kernel's; None where one of them is not known here."""
    messages = [_edge(_BEGIN, attribute(1, generation.to_bytes(4, "big")))]
    head = bytes((_INET, 0, 0, 0)) + _string(1, _NAME)
    for sequence, operation in enumerate(operations, start=1):
        said = _said(operation)
        if said is None:
            return None
        kind, flags, body = said
        # One answer when all is done; what is refused is answered in any case.
        flags |= NLM_F_REQUEST | (NLM_F_ACK if sequence == len(operations) else 0)
        messages.append(message(NFNL_SUBSYS_NFTABLES << 8 | kind, flags, head + body, sequence))
    whole = b"".join((*messages, _edge(_END)))
    return whole if len(whole) <= LARGEST else None


def commit(channel: socket.socket, messages: bytes) -> None:
    """Raises Refused where the kernel refuses, which does not say much: nft says it better.
    OSError where it is not known what became of it; the same may then be committed again."""
    channel.send(messages)  # all is done, or refused, when this returns
    codes: list[int] = []
    try:
        while True:
            codes += acknowledgements(channel.recv(1 << 16, socket.MSG_DONTWAIT))
    except BlockingIOError:
        pass
    refusal = next(filter(None, codes), 0)
    if refusal:
        raise Refused(os.strerror(refusal))
    if not codes:
        raise OSError("the kernel did not answer")


def _edge(kind: int, body: bytes = b"") -> bytes:
    head = bytes((0, 0)) + NFNL_SUBSYS_NFTABLES.to_bytes(2, "big")
    return message(kind, NLM_F_REQUEST, head + body, 0)


def _said(operation: Operation) -> tuple[int, int, bytes] | None:
    match operation:
        case FlushChain(name):
            return _DELETE_RULE, 0, _string(2, name)
        case AddRule(chain, rule):
            encoded = encode(rule)
            if encoded is None:
                return None
            return _NEW_RULE, _CREATE | _APPEND, _string(2, chain) + encoded
        case AddElements(name, elements, timeout) if name in RETIRED:
            body = _string(2, name) + _elements(elements, timeout)
            return _NEW_ELEMENT, _CREATE, body
        case DeleteElements(name, elements) if name in RETIRED:
            return _DELETE_ELEMENT, 0, _string(2, name) + _elements(elements)
        case _:
            return None


def _elements(elements: Mapping[str, str], timeout: int = 0) -> bytes:
    """Of a set of addresses and ports, each part padded to four bytes."""

    def each() -> Iterator[bytes]:
        lasting = attribute(4, (timeout * 1000).to_bytes(8, "big")) if timeout else b""
        for element in elements:
            address, _, port = element.partition(" . ")
            key = ip_address(address).packed + int(port).to_bytes(2, "big") + b"\0\0"
            yield attribute(1 | NESTED, lasting + attribute(1 | NESTED, attribute(1, key)))

    return attribute(3 | NESTED, b"".join(each()))


def _string(kind: int, text: str) -> bytes:
    return attribute(kind, text.encode() + b"\0")
