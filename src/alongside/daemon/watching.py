"""The status as it changes, for those who wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from alongside.daemon import reads
from alongside.daemon.context import Context

TICK = 2.0  # seconds between two looks where nothing was told: counters tell nothing


async def status_unlike(
    context: Context,
    service: str | None,
    revision: str,
    wait: float,
    gone: Callable[[], Awaitable[bool]],
) -> dict[str, Any]:
    """The status, as soon as it has another revision; after `wait` seconds as it is then, and at
    once where nobody waits any more, by `gone`."""
    clock = asyncio.get_running_loop().time
    until = clock() + wait
    while True:
        told = context.news.next()
        document = await reads.status(context, service)
        left = until - clock()
        if document["revision"] != revision or left <= 0 or context.news.ended or await gone():
            return document
        with suppress(TimeoutError):
            await asyncio.wait_for(told.wait(), min(TICK, left))
