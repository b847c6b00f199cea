"""Cutting the TCP connections that a version still has when its drain is over.

The kernel destroys the sockets themselves, in the namespace that they live in: both ends get a
reset at once. (Deleting their conntrack entries left one download running and another client
hanging.) Over sock_diag, as `ss -K` does it; linux/inet_diag.h.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
from collections.abc import Collection, Iterator
from pathlib import Path

from alongside.domain.errors import MissingRequirement, StepFailed
from alongside.domain.port import Protocol
from alongside.router.netlink import (
    NETLINK_NETFILTER,
    NLM_F_ACK,
    NLM_F_REQUEST,
    Interrupted,
    acknowledgements,
    dump,
    message,
    open_netlink,
)
from alongside.router.reopen import Connected, let_reopen

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_SOCK_DESTROY = 21

# Established, SYN_SENT, SYN_RECV, FIN_WAIT1, FIN_WAIT2; CLOSE_WAIT, LAST_ACK; CLOSING and
# NEW_SYN_RECV. Not LISTEN, nor TIME_WAIT and CLOSE, which nobody waits for.
_CONNECTED = sum(1 << state for state in (1, 2, 3, 4, 5, 8, 9, 11, 12))
_FAMILIES = (socket.AF_INET, socket.AF_INET6)
_REQUEST = struct.Struct("=BBBBI")  # family, protocol, extensions, padding, states
_IDENTITY = 48  # bytes of inet_diag_sockid: ports, addresses, interface, cookie
_IN_ANSWER = 4  # bytes before it: family, state, timer, retransmissions
_SOCKET = struct.Struct(">HH16s16s")  # its beginning: ports and addresses, the own and the peer's
_MAPPED = bytes(10) + b"\xff\xff"
_BATCH = 100  # sent before their answers are read: those must fit the socket's buffer
_PASSES = 3  # a connection may be between two states, and in neither, when it is looked for
_FEW = 4  # ports, each of which the kernel looks for by itself

# ENOENT: it has ended by itself; ESTALE: and another has its ports; EINVAL, ENOTCONN: it is ending.
_GONE = (errno.ENOENT, errno.ESTALE, errno.EINVAL, errno.ENOTCONN)
_INSTEAD = "`x-alongside.drain: forever` lets connections end by themselves."


async def cut(
    pid: int, ports: Collection[tuple[Protocol, int]], *, tracked: Path | None = None
) -> int:
    """Destroy the TCP sockets that are connected at these local ports, in the network namespace of
    a process (0: the host's own); returns how many. Listeners stay, and so do connections that the
    same programs made themselves, from other ports. UDP has no connections to cut.

    Their clients may ask again from the very same ports: conntrack is told so, in the network
    namespace `tracked` (None: the caller's own).

    Nothing where the process has ended: its sockets ended with it. Raises MissingRequirement where
    the kernel cannot, StepFailed where it refuses.
    """
    numbers = {number for protocol, number in ports if protocol is Protocol.TCP}
    return await asyncio.to_thread(_cut, pid, numbers, tracked) if numbers else 0


def _cut(pid: int, ports: set[int], tracked: Path | None) -> int:
    namespace = Path(f"/proc/{pid}/ns/net") if pid else None
    if namespace is not None and not namespace.exists():
        return 0
    destroyed = 0
    try:
        with (
            open_netlink(_NETLINK_SOCK_DIAG, namespace=namespace) as channel,
            open_netlink(NETLINK_NETFILTER, namespace=tracked) as tracker,
        ):
            for _ in range(_PASSES):
                found = list(_connected(channel, ports))
                if not found:
                    break
                destroyed += _destroy(channel, tracker, found)
    except OSError as error:
        raise _refused(error) from error
    return destroyed


def _connected(channel: socket.socket, ports: set[int]) -> Iterator[bytes]:
    """Each socket, as the request that would destroy it."""
    asked = sorted(ports) if len(ports) <= _FEW else [0]  # 0: all of them, sorted out here
    for family in _FAMILIES:
        head = _REQUEST.pack(family, socket.IPPROTO_TCP, 0, 0, _CONNECTED)
        for port in asked:
            question = head + port.to_bytes(2, "big") + bytes(_IDENTITY - 2)
            try:
                for buffer, start, _ in dump(channel, _SOCK_DIAG_BY_FAMILY, question):
                    identity = start + _IN_ANSWER
                    if int.from_bytes(buffer[identity : identity + 2], "big") in ports:
                        yield head + buffer[identity : identity + _IDENTITY]
            except Interrupted:
                continue  # whoever is missing is found in the next pass


def _destroy(channel: socket.socket, tracker: socket.socket, requests: list[bytes]) -> int:
    """Each by its ports, addresses and cookie, so that it is no other."""
    destroyed = 0
    for first in range(0, len(requests), _BATCH):
        batch = requests[first : first + _BATCH]
        flags = NLM_F_REQUEST | NLM_F_ACK
        let_reopen(tracker, map(_connected_by, batch))
        channel.send(b"".join(message(_SOCK_DESTROY, flags, one) for one in batch))
        answers = 0
        while answers < len(batch):
            for code in acknowledgements(channel.recv(1 << 18)):
                answers += 1
                if code == 0:
                    destroyed += 1
                elif code not in _GONE:
                    raise OSError(code, "destroying a socket")
    return destroyed


def _connected_by(request: bytes) -> Connected:
    """A server of both families has IPv4 clients at addresses that begin with ::ffff."""
    port, peer_port, address, peer = _SOCKET.unpack_from(request, _REQUEST.size)
    size = 4 if request[0] == socket.AF_INET else 16
    address, peer = address[:size], peer[:size]
    if size == 16 and address.startswith(_MAPPED):
        address, peer = address[len(_MAPPED) :], peer[len(_MAPPED) :]
    return Connected(address, port, peer, peer_port)


def _refused(error: OSError) -> MissingRequirement | StepFailed:
    if error.errno == errno.EOPNOTSUPP:
        return MissingRequirement(
            "This kernel cannot cut connections: it is built without CONFIG_INET_DIAG_DESTROY.",
            hint=f"The kernels of Debian and Ubuntu can. {_INSTEAD}",
        )
    if error.errno == errno.ENOENT:
        return MissingRequirement(
            "This kernel does not tell its TCP connections, so they cannot be cut: the module "
            "tcp_diag is not there.",
            hint=f"`modprobe tcp_diag` loads it (CONFIG_INET_TCP_DIAG). {_INSTEAD}",
        )
    said = error.strerror if error.errno != errno.EPERM else "it takes CAP_NET_ADMIN"
    return StepFailed(f"Connections could not be cut: {said}.", hint=_INSTEAD)
