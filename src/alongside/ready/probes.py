"""One question to an instance. Each returns "" for yes, or what was heard instead."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from alongside.domain.service import Ready, ReadyKind

ONE_TRY = 2.0  # seconds that one question may take


async def tcp(host: str, ready: Ready) -> str:
    try:
        async with asyncio.timeout(ONE_TRY):
            _, writer = await asyncio.open_connection(host, ready.port)
    except (OSError, TimeoutError) as error:
        return f"TCP {host}:{ready.port}: {_said(error)}"
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return ""


async def http(host: str, ready: Ready) -> str:
    import aiohttp  # noqa: PLC0415 - the daemon has it loaded, tests of others have not

    asked = f"GET {ready.path} at {host}:{ready.port}"
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ONE_TRY)) as session,
            session.get(
                f"http://{host}:{ready.port}{ready.path}", allow_redirects=False
            ) as response,
        ):
            if response.status == ready.status:
                return ""
            return f"{asked}: {response.status}, and {ready.status} was wanted"
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        return f"{asked}: {_said(error)}"


async def dns(host: str, ready: Ready) -> str:
    import dns.asyncquery  # noqa: PLC0415 - 20 ms that only DNS servers cost
    import dns.exception  # noqa: PLC0415
    import dns.message  # noqa: PLC0415
    import dns.rcode  # noqa: PLC0415

    asked = f"DNS {ready.name} at {host}:{ready.port}/{ready.protocol}"
    query = dns.message.make_query(ready.name, "A")
    ask = dns.asyncquery.tcp if ready.protocol == "tcp" else dns.asyncquery.udp
    try:
        answer = await ask(query, host, port=ready.port, timeout=ONE_TRY)
    except (dns.exception.DNSException, OSError, EOFError) as error:
        return f"{asked}: {_said(error)}"
    if answer.rcode() in (dns.rcode.SERVFAIL, dns.rcode.REFUSED):
        return f"{asked}: {dns.rcode.to_text(answer.rcode())}"
    return ""


PROBES: dict[ReadyKind, Callable[[str, Ready], Awaitable[str]]] = {
    ReadyKind.TCP: tcp,
    ReadyKind.HTTP: http,
    ReadyKind.DNS: dns,
}


def _said(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer in {ONE_TRY:g} s"
    return str(error) or type(error).__name__
