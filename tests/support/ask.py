"""One question from inside a namespace, one answer.

    ask.http_get(host.client, host.address4, 80)             Reply(200, "1.0.0 198.51.100.2 /\\n")
    ask.dns_query(host.client, host.address6, "version.test") ["1.0.0"]
    ask.line(host.client, host.address4, 7, "hello")           "1.0.0 198.51.100.2 hello"
    ask.datagram(host.client, host.address4, 7, "x", source_port=4000)
    with ask.connect(host.client, host.address4, 7) as stream: stream.ask("still there?")

Where nobody answers they raise OSError (ConnectionRefusedError, TimeoutError) after `timeout`
seconds at the most.
"""

from __future__ import annotations

import contextlib
import http.client
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import dns.message
import dns.rdataclass
import dns.rdatatype

from support.namespace import Namespace

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    body: str
    headers: dict[str, str]  # names in lower case


@dataclass(slots=True)
class Stream:
    """A TCP connection that stays open, for a server that answers lines by lines."""

    socket: socket.socket
    _rest: bytes = b""

    def ask(self, text: str) -> str:
        """Send a line, return the next one. Raises ConnectionResetError if the server has
        closed."""
        self.socket.sendall(text.encode() + b"\n")
        while b"\n" not in self._rest:
            data = self.socket.recv(65536)
            if not data:
                raise ConnectionResetError("the server closed the connection")
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode()


@contextlib.contextmanager
def connect(
    source: Namespace, address: str, port: int, *, source_port: int = 0, timeout: float = 5
) -> Iterator[Stream]:
    with _open(source, socket.SOCK_STREAM, address, port, source_port, timeout) as opened:
        yield Stream(opened)


def line(
    source: Namespace,
    address: str,
    port: int,
    text: str = "?",
    *,
    source_port: int = 0,
    timeout: float = 5,
) -> str:
    """Over a TCP connection of its own."""
    with connect(source, address, port, source_port=source_port, timeout=timeout) as stream:
        return stream.ask(text)


def datagram(
    source: Namespace,
    address: str,
    port: int,
    text: str = "?",
    *,
    source_port: int = 0,
    timeout: float = 2,
) -> str:
    """Over UDP, once, without trying again."""
    with _open(source, socket.SOCK_DGRAM, address, port, source_port, timeout) as opened:
        opened.send(text.encode())
        return opened.recv(65536).decode().rstrip("\n")


def http_get(
    source: Namespace,
    address: str,
    port: int = 80,
    path: str = "/",
    *,
    headers: dict[str, str] | None = None,
    timeout: float = 5,
) -> Reply:
    with _open(source, socket.SOCK_STREAM, address, port, 0, timeout) as opened:
        connection = http.client.HTTPConnection(address, port)
        connection.sock = opened
        connection.request("GET", path, headers={"Connection": "close", **(headers or {})})
        reply = connection.getresponse()
        named = {name.lower(): value for name, value in reply.getheaders()}
        return Reply(reply.status, reply.read().decode(), named)


def dns_query(
    source: Namespace,
    address: str,
    name: str,
    kind: str = "TXT",
    *,
    port: int = 53,
    tcp: bool = False,
    chaos: bool = False,
    source_port: int = 0,
    timeout: float = 2,
) -> list[str]:
    """The records of the answer as text, TXT without quotation marks. `chaos` asks in class
    CH, as for `version.bind`."""
    query = dns.message.make_query(
        name,
        dns.rdatatype.from_text(kind),
        dns.rdataclass.CH if chaos else dns.rdataclass.IN,
        id=secrets.randbelow(65536),
    )
    style = socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM
    with _open(source, style, address, port, source_port, timeout) as opened:
        wire = query.to_wire(prepend_length=tcp)
        opened.sendall(wire)
        if tcp:
            length = int.from_bytes(_receive(opened, 2))
            answer = dns.message.from_wire(_receive(opened, length))
        else:
            answer = dns.message.from_wire(opened.recv(65536))
    if answer.id != query.id:
        raise ConnectionError(f"the answer to another query came from {address}")
    return [str(record).strip('"') for found in answer.answer for record in found]


def patiently(question: Callable[[], T], timeout: float = 10) -> T:
    """The first answer of a server that is still starting: asked until it does not raise
    OSError, for `timeout` seconds at the most.

    ask.patiently(lambda: ask.line(host.client, host.address4, 7, "hello"))
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            return question()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _receive(opened: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        more = opened.recv(length - len(data))
        if not more:
            raise ConnectionResetError("the server closed the connection")
        data += more
    return data


def _open(
    source: Namespace, style: int, address: str, port: int, source_port: int, timeout: float
) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    opened = source.socket(family, style)
    try:
        opened.settimeout(timeout)
        if source_port:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            opened.bind(("", source_port))
        # Connected for UDP too: answers come from this peer alone, and an ICMP refusal is
        # an error at once.
        opened.connect((address, port))
    except BaseException:
        opened.close()
        raise
    return opened
