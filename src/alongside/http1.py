"""HTTP/1.1 over a Unix socket: as much of it as a client of the daemon needs (RFC 9112).

The standard library's http.client would load email and ssl at every start of the command, half of
what a start may take (docs/decisions/0013). One request a connection; bodies by Content-Length,
in chunks, or to the end of the connection; answers are read as they come, and also where they come
before all of the request was sent.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Iterable, Iterator

_LINE = 1 << 16  # bytes of the longest line of a head
_HEADERS = 100  # lines of a head
_PART = 1 << 16  # bytes that are taken at a time
_NO_BODY = (204, 304)


class BrokenOff(ConnectionError):
    """The other end went away before it was done, or what it says is not HTTP/1.1."""


class Response:
    """An answer whose head is here. Its body is read once: by `read`, `parts` or `lines`, which
    raise BrokenOff where it ends too early, TimeoutError where nothing comes."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._file = connection.makefile("rb")
        self.status, self.reason = 0, ""
        self.headers: dict[str, str] = {}  # names in lower case
        try:
            while self.status < 200:  # 1xx only announce the answer
                self._head()
        except BaseException:
            self.close()
            raise

    def _head(self) -> None:
        version, _, rest = self._line().partition(" ")
        code, _, self.reason = rest.partition(" ")
        if not version.startswith("HTTP/1.") or not (code.isdecimal() and len(code) == 3):
            raise BrokenOff("what it answers is not HTTP")
        self.status = int(code)
        self.headers = {}
        while line := self._line():
            name, colon, value = line.partition(":")
            if not colon or len(self.headers) == _HEADERS:
                raise BrokenOff("the head of its answer cannot be read")
            self.headers[name.lower()] = value.strip()

    def _line(self) -> str:
        line = self._file.readline(_LINE)
        if not line.endswith(b"\n"):
            raise BrokenOff("its answer is too long" if line[_LINE - 1 :] else "it went away")
        return line.decode("latin-1").rstrip("\r\n")

    def parts(self) -> Iterator[bytes]:
        """The body, each part as soon as it is here."""
        if self.status in _NO_BODY:
            return
        if "transfer-encoding" in self.headers:
            if self.headers["transfer-encoding"].lower() != "chunked":
                raise BrokenOff("its answer is encoded in a way that nobody asked for")
            while size := _number(self._line().partition(";")[0], 16):
                yield from self._exactly(size)
                if self._line():
                    raise BrokenOff("a chunk of its answer is longer than it says")
            while self._line():
                pass  # trailers
        elif "content-length" in self.headers:
            yield from self._exactly(_number(self.headers["content-length"], 10))
        else:
            while part := self._file.read1(_PART):
                yield part

    def _exactly(self, size: int) -> Iterator[bytes]:
        while size:
            part = self._file.read1(min(size, _PART))
            if not part:
                raise BrokenOff("it went away in the middle of its answer")
            size -= len(part)
            yield part

    def read(self) -> bytes:
        return b"".join(self.parts())

    def lines(self) -> Iterator[bytes]:
        """The body's lines as they come, without their ends; a last one that has none as well."""
        begun: list[bytes] = []
        for part in self.parts():
            first, *others = part.split(b"\n")
            begun.append(first)
            for other in others:
                yield b"".join(begun)
                begun = [other]
        if any(begun):
            yield b"".join(begun)

    def close(self) -> None:
        self._file.close()
        self._connection.close()

    def __enter__(self) -> Response:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def exchange(
    connection: socket.socket,
    method: str,
    target: str,
    body: bytes | Iterable[bytes] | None = None,
    headers: Iterable[tuple[str, str]] = (),
) -> Response:
    """Send a request and return its answer, which owns the connection from then on. A body that
    is not bytes is sent in chunks. `target` is ready to send, without a space.

    Raises OSError, BrokenOff among it; the connection is closed then.
    """
    try:
        if " " in target or not target.isascii() or not target.isprintable():
            raise ValueError(f"not the target of a request: {target!r}")
        lines = [f"{method} {target} HTTP/1.1", "Host: alongside", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in headers]
        if isinstance(body, bytes):
            lines.append(f"Content-Length: {len(body)}")
        elif body is not None:
            lines.append("Transfer-Encoding: chunked")
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        _send(connection, head, body)
    except BaseException:
        connection.close()
        raise
    return Response(connection)


def _send(connection: socket.socket, head: bytes, body: bytes | Iterable[bytes] | None) -> None:
    """Until all is sent, or the answer is here before. One that refuses before it has read
    everything closes its end, and then its answer says why."""
    try:
        if body is None or isinstance(body, bytes):
            _send_all(connection, head + (body or b""))
            return
        going_on = _send_all(connection, head)
        for data in body:
            if data and going_on:
                going_on = _send_all(connection, b"%x\r\n%b\r\n" % (len(data), data))
            if not going_on:
                return
        _send_all(connection, b"0\r\n\r\n")
    except (BrokenPipeError, ConnectionResetError):
        return


def _send_all(connection: socket.socket, data: bytes) -> bool:
    """False where an answer is here already, and the rest need not be sent."""
    timeout = connection.gettimeout()
    poll = select.poll()
    poll.register(connection, select.POLLIN | select.POLLOUT)
    left = memoryview(data)
    while left:
        ready = poll.poll(None if timeout is None else timeout * 1000)
        if not ready:
            raise TimeoutError("timed out")
        if ready[0][1] & select.POLLIN:
            return False
        try:
            left = left[connection.send(left, socket.MSG_DONTWAIT) :]
        except BlockingIOError:
            continue  # writable for less than this
    return True


def _number(text: str, base: int) -> int:
    try:
        number = int(text, base)
    except ValueError:
        number = -1
    if number < 0:
        raise BrokenOff("the length of its answer cannot be read")
    return number
