"""Holding several versions at once, so that nobody else starts or stops them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager

from alongside.daemon.context import Context
from alongside.daemon.supervise import waiting
from alongside.domain.release import Release
from alongside.plan.beside import is_singleton

# Beside those of services (`dns`) and of versions (`dns@1.0.0`): no service has a name with spaces.
BUILDS = "the builds"
TREES = "the trees"  # from keeping one until a release has it, or it is removed
LINKED = "the linked files"


@asynccontextmanager
async def holding(context: Context, releases: Iterable[Release]) -> AsyncIterator[None]:
    """In one order for all, so that no two wait for each other. A singleton has one lock for all
    of its versions."""
    names = {one.service if is_singleton(one) else one.reference for one in releases}
    async with AsyncExitStack() as stack:
        for name in sorted(names):
            await stack.enter_async_context(held(context.locks[name]))
        yield


@asynccontextmanager
async def held(lock: asyncio.Lock) -> AsyncIterator[None]:
    """A part of the daemon's that waits for an operation to let go of it does not hang."""
    with waiting():
        await lock.acquire()
    try:
        yield
    finally:
        lock.release()
