"""Probes against small servers on a loopback address and a port of the kernel's choice."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import dns.message
import dns.rcode
import pytest

from alongside.domain.service import Ready, ReadyKind
from alongside.ready import probes

HOST = "127.53.7.3"


@asynccontextmanager
async def tcp_server(answer: bytes | None) -> AsyncIterator[int]:
    """Sends `answer` to whatever it is asked; None is silence, until the other side ends it."""

    talks: set[asyncio.Task[None] | None] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.add(asyncio.current_task())
        with suppress(OSError):
            await reader.read(1)
            if answer is None:
                await reader.read()
            else:
                writer.write(answer)
                await writer.drain()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    async with await asyncio.start_server(talk, HOST, 0) as server:
        yield server.sockets[0].getsockname()[1]
        await asyncio.gather(*filter(None, talks))


class DnsServer(asyncio.DatagramProtocol):
    def __init__(self, rcode: dns.rcode.Rcode) -> None:
        self.rcode = rcode
        self.asked: list[str] = []

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        self.asked.append(query.question[0].name.to_text())
        answer = dns.message.make_response(query)
        answer.set_rcode(self.rcode)
        self.transport.sendto(answer.to_wire(), addr)


@asynccontextmanager
async def dns_server(rcode: dns.rcode.Rcode) -> AsyncIterator[tuple[int, DnsServer]]:
    transport, server = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: DnsServer(rcode), local_addr=(HOST, 0)
    )
    try:
        yield transport.get_extra_info("sockname")[1], server
    finally:
        transport.close()


def http(port: int, path: str = "/health", status: int = 200) -> Ready:
    return Ready(ReadyKind.HTTP, port=port, path=path, status=status)


async def test_tcp_accepts() -> None:
    async with tcp_server(b"") as port:
        assert await probes.tcp(HOST, Ready(ReadyKind.TCP, port=port)) == ""


async def test_tcp_is_refused() -> None:
    async with tcp_server(b"") as port:
        pass
    said = await probes.tcp(HOST, Ready(ReadyKind.TCP, port=port))
    assert said == f"TCP {HOST}:{port}: connection refused"


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, ""),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, ""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe", 200, ""),
        (b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.0 200 OK\r\n\r\n", 200, ""),
        (
            b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
            200,
            "503 Service Unavailable, and not 200",
        ),
        (b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n", 200, "302 Found, and not 200"),
        (b"", 200, "Server disconnected"),
    ],
)
async def test_http_goes_by_the_status(answer: bytes, status: int, said: str) -> None:
    async with tcp_server(answer) as port:
        heard = await probes.http(HOST, http(port, status=status))

    assert heard == (f"GET /health at {HOST}:{port}: {said}" if said else "")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"status":"ok"}', ""),
        (b"x" * 100_000 + b"ok", ""),
        (b"starting\nup", "200 OK, but without 'ok': its body begins 'starting up'"),
        (b"", "200 OK, but without 'ok': it has no body"),
    ],
)
async def test_http_goes_by_the_body_where_it_is_asked_for(body: bytes, said: str) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    async with tcp_server(answer) as port:
        ready = replace(http(port), body="ok")
        heard = await probes.http(HOST, ready)

    assert heard == (f"GET /health at {HOST}:{port}: {said}" if said else "")


async def test_http_does_not_read_a_body_without_an_end() -> None:
    async with tcp_server(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (probes.LONGEST_BODY + 1000)) as port:
        heard = await probes.http(HOST, replace(http(port), body="ok"))

    assert "but without 'ok': its body begins 'xxx" in heard


async def test_http_of_a_server_that_speaks_something_else() -> None:
    async with tcp_server(b"SSH-2.0-OpenSSH_9.2\r\n") as port:
        assert "SSH-2.0" in await probes.http(HOST, http(port))


async def test_http_is_refused() -> None:
    async with tcp_server(b"") as port:
        pass
    assert await probes.http(HOST, http(port)) == (
        f"GET /health at {HOST}:{port}: connection refused"
    )


async def test_http_sends_the_path_as_it_is_written() -> None:
    asked = asyncio.get_running_loop().create_future()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set_result((await reader.readline()).decode())
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(talk, HOST, 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert await probes.http(HOST, http(port, "//a/b?c=%20d&e")) == ""

    assert await asked == "GET //a/b?c=%20d&e HTTP/1.1\r\n"


async def test_silence_ends_in_time() -> None:
    async with tcp_server(None) as port:
        assert "no answer in time" in await probes.http(HOST, http(port), 0.1)
        ready = Ready(ReadyKind.DNS, port=port, name="a.test", protocol="tcp")
        assert "no answer in time" in await probes.dns(HOST, ready, 0.1)


@pytest.mark.parametrize(
    ("rcode", "said"),
    [
        (dns.rcode.NOERROR, ""),
        (dns.rcode.SERVFAIL, "SERVFAIL"),
        (dns.rcode.REFUSED, "REFUSED"),
        (dns.rcode.NXDOMAIN, "NXDOMAIN"),
    ],
)
async def test_dns_goes_by_the_code(rcode: dns.rcode.Rcode, said: str) -> None:
    async with dns_server(rcode) as (port, server):
        heard = await probes.dns(HOST, Ready(ReadyKind.DNS, port=port, name="version.test"))

    assert heard == (f"DNS version.test at {HOST}:{port}/udp: {said}" if said else "")
    assert server.asked == ["version.test."]


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
async def test_dns_is_refused(protocol: str) -> None:
    async with dns_server(dns.rcode.NOERROR) as (port, _):
        pass
    ready = Ready(ReadyKind.DNS, port=port, name="a.test", protocol=protocol)
    assert await probes.dns(HOST, ready) == f"DNS a.test at {HOST}:{port}/{protocol}: " + (
        "connection refused"
    )


@pytest.mark.parametrize("probe", [probes.tcp, probes.http, probes.dns])
async def test_a_probe_can_be_cancelled(probe: Callable[..., AsyncIterator[str]]) -> None:
    async with tcp_server(None) as port:
        ready = Ready(ReadyKind.HTTP, port=port, name="a.test", protocol="tcp")
        asking = asyncio.ensure_future(probe(HOST, ready))
        await asyncio.sleep(0.02)
        asking.cancel()
        with suppress(asyncio.CancelledError):
            await asking
    assert asking.done()
