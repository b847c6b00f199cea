"""The engine's streams, cut into lines."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterator

# A frame: one byte for the stream (0 stdin, 1 stdout, 2 stderr), three of zero, four of length,
# big-endian, then the payload. "Stream format" of ContainerAttach in the Engine API.
_HEADER = 8  # bytes

# A line without an end is handed on in parts of this size, so that no program fills the memory.
LONGEST_LINE = 64 * 1024  # bytes


class _Lines:
    """One stream's bytes, cut at line ends."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[str]:
        *whole, self._rest = (self._rest + data).split(b"\n")
        for line in whole:
            yield _text(line)
        while len(self._rest) >= LONGEST_LINE:
            part, self._rest = self._rest[:LONGEST_LINE], self._rest[LONGEST_LINE:]
            yield _text(part)

    def end(self) -> Iterator[str]:
        if self._rest:
            yield _text(self._rest)
            self._rest = b""


async def undivided(chunks: AsyncIterator[bytes]) -> AsyncGenerator[str, None]:
    """The lines of a stream that is not in frames: a terminal's, or the engine's own."""
    lines = _Lines()
    async for chunk in chunks:
        for line in lines.feed(chunk):
            yield line
    for line in lines.end():
        yield line


async def demultiplex(chunks: AsyncIterator[bytes]) -> AsyncGenerator[str, None]:
    """The lines of a stream in frames, standard output and error as they came.

    A line may be spread over frames, and the other stream's frames may stand between; a frame
    that the engine's end cut short is left out.
    """
    streams: dict[int, _Lines] = {}
    buffer = bytearray()
    async for chunk in chunks:
        buffer += chunk
        while len(buffer) >= _HEADER:
            end = _HEADER + int.from_bytes(buffer[4:_HEADER], "big")
            if len(buffer) < end:
                break
            lines = streams.setdefault(buffer[0], _Lines())
            payload = bytes(buffer[_HEADER:end])
            del buffer[:end]
            for line in lines.feed(payload):
                yield line
    for lines in streams.values():
        for line in lines.end():
            yield line


class Tail:
    """The last lines of a program's output, as far as they fit into so many characters."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._length = 0
        self._lines: deque[str] = deque()

    def feed(self, line: str) -> None:
        line = line[-self._size :]
        self._lines.append(line)
        self._length += len(line) + 1
        while self._length > self._size + 1:
            self._length -= len(self._lines.popleft()) + 1

    def __str__(self) -> str:
        return "\n".join(self._lines)


def _text(line: bytes) -> str:
    return line.removesuffix(b"\r").decode(errors="replace")
