"""As much of netlink as the router needs, over the standard library's AF_NETLINK sockets.

Numbers are from linux/netlink.h, linux/netfilter/nfnetlink.h and nf_tables.h.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alongside.domain.errors import StepFailed

NETLINK_ROUTE = 0
NETLINK_NETFILTER = 12
NFNLGRP_NFTABLES = 7

NLM_F_REQUEST = 0x1
NLM_F_ACK = 0x4
NLM_F_DUMP = 0x300

NESTED = 0x8000  # NLA_F_NESTED, of an attribute that holds others
NFNL_SUBSYS_NFTABLES = 10

_NLMSG_ERROR = 2
_NLMSG_DONE = 3
_NLM_F_DUMP_INTR = 0x10
_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port ID
_ATTRIBUTE = struct.Struct("=HH")  # length, type
_CLONE_NEWNET = 0x40000000
_NLA_TYPE_MASK = 0x3FFF

_NFT_MSG_GETGEN = 16
_NFTA_GEN_ID = 1


class Interrupted(Exception):
    """What was dumped changed meanwhile, so that something may be missing."""


def open_netlink(protocol: int, *, groups: int = 0, namespace: Path | None = None) -> socket.socket:
    """A netlink socket of this network namespace, or of the one at a path (/run/netns/NAME).

    Raises StepFailed.
    """
    try:
        opened = socket_in(namespace, socket.AF_NETLINK, socket.SOCK_RAW, protocol)
        opened.bind((0, groups))
    except OSError as error:
        raise StepFailed(f"A netlink socket could not be opened: {error.strerror}.") from error
    return opened


def socket_in(namespace: Path | None, family: int, kind: int, protocol: int = 0) -> socket.socket:
    """A socket of another network namespace; None is this one. Raises OSError.

    A socket belongs for ever to the namespace that its thread was in when it was made.
    """
    if namespace is None:
        return socket.socket(family, kind, protocol)
    made: list[socket.socket | OSError] = []

    def make() -> None:
        try:
            _enter(namespace)
            made.append(socket.socket(family, kind, protocol))
        except OSError as error:
            made.append(error)

    thread = threading.Thread(target=make)  # of its own: it ends in the other namespace
    thread.start()
    thread.join()
    if isinstance(made[0], OSError):
        raise made[0]
    return made[0]


def _enter(namespace: Path) -> None:
    # os.setns came with Python 3.12.
    libc = ctypes.CDLL(None, use_errno=True)
    file = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.setns(file, _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    finally:
        os.close(file)


class Kept:
    """A channel to netfilter that is opened once. To close one waits for whatever nftables has
    replaced a moment ago to be put away, 5 to 15 ms (nft_rcv_nl_event, kernel 6.18)."""

    def __init__(self, namespace: Path | None = None) -> None:
        self._namespace = namespace
        self._lock = threading.Lock()
        self._channel: socket.socket | None = None

    @contextmanager
    def channel(self) -> Iterator[socket.socket]:
        """For one thread at a time. After an OSError the next gets a new one, since answers may
        still be on their way to this one."""
        with self._lock:
            if self._channel is None:
                self._channel = open_netlink(NETLINK_NETFILTER, namespace=self._namespace)
                weakref.finalize(self, self._channel.close)
            try:
                yield self._channel
            except OSError:
                self._channel.close()
                self._channel = None
                raise


def message(kind: int, flags: int, payload: bytes, sequence: int = 1) -> bytes:
    return _HEADER.pack(_HEADER.size + len(payload), kind, flags, sequence, 0) + payload


def attribute(kind: int, payload: bytes) -> bytes:
    length = _ATTRIBUTE.size + len(payload)
    return _ATTRIBUTE.pack(length, kind) + payload + b"\0" * (-length % 4)


def attributes(data: bytes | memoryview, start: int = 0) -> Iterator[tuple[int, bytes]]:
    while start + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, start)
        if length < _ATTRIBUTE.size:
            return
        yield kind & _NLA_TYPE_MASK, bytes(data[start + _ATTRIBUTE.size : start + length])
        start += (length + 3) & ~3


def dump(channel: socket.socket, kind: int, payload: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Ask for all of a kind: each message as (buffer, start of its payload, end).

    Raises Interrupted at the end where the kernel says that the dump is not of one moment,
    OSError where it refuses.
    """
    channel.send(message(kind, NLM_F_REQUEST | NLM_F_DUMP, payload))
    interrupted = False
    while True:
        buffer = channel.recv(1 << 18)
        start = 0
        while start < len(buffer):
            length, got, flags, _, _ = _HEADER.unpack_from(buffer, start)
            interrupted |= bool(flags & _NLM_F_DUMP_INTR)
            if got == _NLMSG_DONE:
                if interrupted:
                    raise Interrupted
                return
            if got == _NLMSG_ERROR:
                _raise(buffer, start)
            yield buffer, start + _HEADER.size, start + length
            start += (length + 3) & ~3


def ask(channel: socket.socket, kind: int, payload: bytes) -> bytes | None:
    """Ask for one of a kind: the payload of the answer, None where there is none such.

    Raises OSError where the kernel refuses.
    """
    channel.send(message(kind, NLM_F_REQUEST, payload))
    buffer = channel.recv(1 << 16)
    length, got, _, _, _ = _HEADER.unpack_from(buffer)
    if got != _NLMSG_ERROR:
        return buffer[_HEADER.size : length]
    if next(acknowledgements(buffer)) != errno.ENOENT:
        _raise(buffer, 0)
    return None


def acknowledgements(buffer: bytes) -> Iterator[int]:
    """The error numbers, 0 for done, that a buffer of answers holds."""
    start = 0
    while start < len(buffer):
        length, kind, _, _, _ = _HEADER.unpack_from(buffer, start)
        if kind == _NLMSG_ERROR:
            yield -int(struct.unpack_from("=i", buffer, start + _HEADER.size)[0])
        start += (length + 3) & ~3


def _raise(buffer: bytes, start: int) -> None:
    code = -int(struct.unpack_from("=i", buffer, start + _HEADER.size)[0])
    if code:
        raise OSError(code, os.strerror(code))


def ruleset_generation(channel: socket.socket) -> int:
    """The number that each commit to nftables raises by one, whoever's it was.

    As long as it stays, nothing has changed; asking costs microseconds. `channel` is of
    NETLINK_NETFILTER.
    """
    kind = NFNL_SUBSYS_NFTABLES << 8 | _NFT_MSG_GETGEN
    channel.send(message(kind, NLM_F_REQUEST, b"\0\0\0\0"))
    buffer = channel.recv(1 << 16)
    if _HEADER.unpack_from(buffer)[1] == _NLMSG_ERROR:
        _raise(buffer, 0)
    for found, value in attributes(buffer, _HEADER.size + 4):
        if found == _NFTA_GEN_ID:
            return int.from_bytes(value, "big")
    raise OSError("the kernel did not say its generation")
