"""A DNS query over UDP or TCP (RFC 1035, 4.2).

The datagrams are sent from a connected socket, which is what makes the kernel report the
"port unreachable" of a server that does not listen yet; dnspython's own waits on.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dns.message import Message

DATAGRAM = 1.0  # seconds until a datagram counts as lost


async def exchange(host: str, port: int, query: Message, protocol: str) -> Message:
    """The answer to a query. Raises OSError, EOFError, TimeoutError, dns.exception.DNSException.

    Over TCP the caller bounds the time.
    """
    from dns import message  # noqa: PLC0415 - only DNS servers pay for it

    if protocol == "tcp":
        return message.from_wire(await _stream(host, port, query.to_wire()))
    async with asyncio.timeout(DATAGRAM):
        return await _datagram(host, port, query)


async def _stream(host: str, port: int, wire: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(len(wire).to_bytes(2, "big") + wire)
        await writer.drain()
        length = int.from_bytes(await reader.readexactly(2), "big")
        return await reader.readexactly(length)
    finally:
        writer.transport.abort()


async def _datagram(host: str, port: int, query: Message) -> Message:
    from dns import message  # noqa: PLC0415

    transport, heard = await asyncio.get_running_loop().create_datagram_endpoint(
        _Heard, remote_addr=(host, port)
    )
    try:
        transport.sendto(query.to_wire())
        while True:
            answer = message.from_wire(await heard.next())
            if query.is_response(answer):
                return answer
    finally:
        transport.close()


class _Heard(asyncio.DatagramProtocol):
    """What comes back, datagrams and the kernel's errors, in order."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[bytes | Exception] = asyncio.Queue()

    def datagram_received(self, data: bytes, addr: object) -> None:
        self._queue.put_nowait(data)

    def error_received(self, exc: Exception) -> None:
        self._queue.put_nowait(exc)

    async def next(self) -> bytes:
        heard = await self._queue.get()
        if isinstance(heard, Exception):
            raise heard
        return heard
