"""One question to an instance, from the host at the container's own address.

Each returns "" for yes, or what was asked and what was heard instead, as a person would say it.
Each ends within `within` seconds and leaves no connection behind, also when it is cancelled.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from alongside.domain.service import Ready, ReadyKind
from alongside.ready.dns import exchange

if TYPE_CHECKING:
    from aiohttp import StreamReader

ANSWER = 5.0  # seconds that one answer may take: some servers think long over their first
LONGEST_BODY = 1 << 20  # bytes of an HTTP body in which the text is looked for
_SHOWN = 80  # bytes of it that are shown


async def tcp(host: str, ready: Ready, within: float = ANSWER) -> str:
    asked = f"TCP {host}:{ready.port}"
    try:
        async with asyncio.timeout(within):
            _, writer = await asyncio.open_connection(host, ready.port)
    except (OSError, TimeoutError) as error:
        return f"{asked}: {_said(error)}"
    # Reset rather than closed: nothing was sent, so nothing can be lost.
    writer.transport.abort()
    with suppress(OSError):
        await writer.wait_closed()
    return ""


async def http(host: str, ready: Ready, within: float = ANSWER) -> str:
    """Ready by the status, and by the body where a text is asked for; a redirect is not followed,
    it has a status too."""
    from aiohttp import ClientError, ClientSession, ClientTimeout  # noqa: PLC0415 - 200 ms
    from yarl import URL  # noqa: PLC0415

    asked = f"GET {ready.path} at {host}:{ready.port}"
    url = URL(f"http://{host}:{ready.port}{ready.path}", encoded=True)
    try:
        async with (
            ClientSession(timeout=ClientTimeout(total=within)) as session,
            session.get(url, allow_redirects=False) as answer,
        ):
            heard = f"{answer.status} {answer.reason or ''}".strip()
            if answer.status != ready.status:
                return f"{asked}: {heard}, and not {ready.status}"
            if not ready.body:
                return ""
            return await _missing(ready.body, answer.content, f"{asked}: {heard}")
    except (ClientError, OSError, TimeoutError) as error:
        return f"{asked}: {_said(error)}"


async def _missing(text: str, content: StreamReader, heard: str) -> str:
    """ "" once the text has come, however much follows."""
    wanted, read = text.encode(), b""
    async for chunk in content.iter_any():
        read += chunk
        if wanted in read:
            return ""
        if len(read) > LONGEST_BODY:
            break
    begins = " ".join(read[:_SHOWN].decode(errors="replace").split())
    what = f"its body begins {begins!r}" if begins else "it has no body"
    return f"{heard}, but without {text!r}: {what}"


async def dns(host: str, ready: Ready, within: float = ANSWER) -> str:
    """Ready when it answers for the name without an error, whatever it has of it."""
    from dns import message, rcode  # noqa: PLC0415 - only DNS servers pay for it
    from dns.exception import DNSException  # noqa: PLC0415

    asked = f"DNS {ready.name} at {host}:{ready.port}/{ready.protocol}"
    try:
        query = message.make_query(ready.name, "A")
        async with asyncio.timeout(within):
            answer = await exchange(host, ready.port, query, ready.protocol)
    except (DNSException, OSError, EOFError, TimeoutError) as error:
        return f"{asked}: {_said(error)}"
    if answer.rcode() == rcode.NOERROR:
        return ""
    return f"{asked}: {rcode.to_text(answer.rcode())}"


PROBES: dict[ReadyKind, Callable[[str, Ready, float], Awaitable[str]]] = {
    ReadyKind.TCP: tcp,
    ReadyKind.HTTP: http,
    ReadyKind.DNS: dns,
}


def _said(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    # aiohttp wraps the kernel's word, asyncio writes its own over it.
    inner = getattr(error, "os_error", error)
    if isinstance(inner, OSError) and inner.errno:
        return os.strerror(inner.errno).lower()
    return str(error) or "the connection ended without an answer"
