"""Holding several versions at once, so that nobody else starts or stops them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager

from alongside.daemon.context import Context
from alongside.domain.release import Release
from alongside.plan.beside import is_singleton

# Beside those of services (`dns`) and of versions (`dns@1.0.0`): no service has a name with spaces.
BUILDS = "the builds"


@asynccontextmanager
async def holding(context: Context, releases: Iterable[Release]) -> AsyncIterator[None]:
    """In one order for all, so that no two wait for each other. A singleton has one lock for all
    of its versions."""
    names = {one.service if is_singleton(one) else one.reference for one in releases}
    async with AsyncExitStack() as stack:
        for name in sorted(names):
            await stack.enter_async_context(context.locks[name])
        yield
