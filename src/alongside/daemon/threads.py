"""Work that blocks, apart from the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def in_thread(work: Callable[[], T], cancelled: threading.Event | None = None) -> T:
    """As `asyncio.to_thread`; but once it has returned or raised, nothing is at work any more: a
    thread is not cancelled with the task that waits for it. `cancelled` asks it to end early."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        if cancelled is not None:
            cancelled.set()
        await asyncio.wait((task,))
        raise
