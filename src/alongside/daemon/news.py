"""That something may be different now, for those who wait to look again."""

from __future__ import annotations

import asyncio


class News:
    def __init__(self) -> None:
        self.ended = False  # the daemon stops, and nobody should wait any longer
        self._next = asyncio.Event()

    def tell(self) -> None:
        told, self._next = self._next, asyncio.Event()
        told.set()

    def end(self) -> None:
        self.ended = True
        self.tell()

    def next(self) -> asyncio.Event:
        """Set with the next that is told. Take it before you look, and nothing is missed."""
        return self._next
