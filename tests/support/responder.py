"""A server that says which version it is, to whom, and to what: for test images.

Environment: VERSION (what it calls itself), PORTS ("80 53", each TCP and UDP, IPv4 and IPv6),
DELAY_MS (before each answer; 0). On each TCP port a line gets the line `VERSION PEER LINE` until
the client closes, and an HTTP request gets `VERSION PEER PATH`; on UDP a datagram likewise.
Debian's python3-minimal suffices for it. One thread: a delayed answer holds nobody else up.

It fails when it is told to: while there is the file that SICK names, its HTTP answers have the
status 500; USR1 ends it with exit code 3, USR2 hangs it, HUP makes it take memory until it is
killed for it.
"""

from __future__ import annotations

import heapq
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress

VERSION = os.environ.get("VERSION", "unversioned").encode()
SICK = os.environ.get("SICK", "")
Peer = tuple[str, int, int, int]  # as socket.accept and recvfrom give it
DELAY = float(os.environ.get("DELAY_MS", "0")) / 1000


def answer(peer: Peer, text: bytes) -> bytes:
    address = peer[0].removeprefix("::ffff:").encode()
    return b"%s %s %s\n" % (VERSION, address, text)


def http_answer(peer: Peer, head: bytes) -> tuple[bytes, bool]:
    words = head.split(None, 2)
    body = answer(peer, words[1])
    keep = words[2].startswith(b"HTTP/1.1") and b"\r\nconnection: close" not in head.lower()
    code = b"500 Internal Server Error" if SICK and os.access(SICK, os.F_OK) else b"200 OK"
    status = b"HTTP/1.1 " + code + b"\r\nContent-Type: text/plain\r\nX-Version: " + VERSION
    close = b"" if keep else b"Connection: close\r\n"
    length = b"\r\nContent-Length: %d\r\n" % len(body)
    return status + length + close + b"\r\n" + body, not keep


class Connection:
    def __init__(self, client: socket.socket, peer: Peer) -> None:
        self.client = client
        self.peer = peer
        self.buffer = b""

    def receive(self, later: Later) -> bool:
        """Returns whether the client is still there."""
        try:
            data = self.client.recv(65536)
        except BlockingIOError:
            return True
        except OSError:
            return False
        if not data:
            return False
        self.buffer += data
        while True:
            if self.buffer.startswith((b"GET ", b"HEAD ", b"POST ")):
                head, end, rest = self.buffer.partition(b"\r\n\r\n")
                if not end:
                    return True
                text, closes = http_answer(self.peer, head)
            else:
                line, end, rest = self.buffer.partition(b"\n")
                if not end:
                    return True
                text, closes = answer(self.peer, line.rstrip(b"\r")), False
            self.buffer = rest
            later.do(self.send, text, closes)

    def send(self, text: bytes, closes: bool) -> None:
        with suppress(OSError):  # the client has gone; its end of file is on the way
            self.client.send(text)
            if closes:
                self.client.shutdown(socket.SHUT_WR)


class Later:
    """Answers that wait for their time."""

    def __init__(self) -> None:
        self.waiting: list[tuple[float, int, Callable[..., None], tuple[object, ...]]] = []
        self.count = 0

    def do(self, function: Callable[..., None], *args: object) -> None:
        if not DELAY:
            function(*args)
            return
        self.count += 1
        heapq.heappush(self.waiting, (time.monotonic() + DELAY, self.count, function, args))

    def run_due(self) -> float:
        """Seconds until the next one; -1 for none."""
        while self.waiting:
            left = self.waiting[0][0] - time.monotonic()
            if left > 0:
                return left
            _, _, function, args = heapq.heappop(self.waiting)
            function(*args)
        return -1


def bind(kind: int, port: int) -> socket.socket:
    server = socket.socket(socket.AF_INET6, kind)
    server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(("::", port))
    server.setblocking(False)
    if kind == socket.SOCK_STREAM:
        server.listen(4096)
    return server


def datagram_reply(server: socket.socket, peer: Peer, text: bytes) -> None:
    with suppress(OSError):  # unreachable by now, or a full buffer: a datagram may be lost
        server.sendto(text, peer)


def take_memory(*_: object) -> None:
    taken = []
    while True:
        taken.append(os.urandom(1 << 20))


def main() -> None:
    # As the first process of a container it has no default action for SIGTERM.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGUSR1, lambda *_: sys.exit(3))
    signal.signal(signal.SIGUSR2, lambda *_: time.sleep(3600))
    signal.signal(signal.SIGHUP, take_memory)
    later = Later()
    poll = select.epoll()
    listeners: dict[int, socket.socket] = {}
    datagrams: dict[int, socket.socket] = {}
    connections: dict[int, Connection] = {}
    for port in os.environ.get("PORTS", "80").split():
        for kind, table in ((socket.SOCK_STREAM, listeners), (socket.SOCK_DGRAM, datagrams)):
            server = bind(kind, int(port))
            table[server.fileno()] = server
            poll.register(server, select.EPOLLIN)
    while True:
        for number, _ in poll.poll(later.run_due()):
            if number in listeners:
                for _ in range(64):
                    try:
                        client, peer = listeners[number].accept()
                    except OSError:
                        break
                    client.setblocking(False)
                    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    connections[client.fileno()] = Connection(client, peer)
                    poll.register(client, select.EPOLLIN)
            elif number in datagrams:
                for _ in range(64):
                    try:
                        data, peer = datagrams[number].recvfrom(65536)
                    except OSError:
                        break
                    text = answer(peer, data.rstrip(b"\n"))
                    later.do(datagram_reply, datagrams[number], peer, text)
            elif not connections[number].receive(later):
                poll.unregister(number)
                connections.pop(number).client.close()


if __name__ == "__main__":
    main()
