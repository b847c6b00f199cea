"""Asking for the state to be opened anew: the daemon then begins as at a start, and goes on
listening meanwhile."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alongside.daemon.opening import Salvaged


class Reopening:
    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.salvaged: Salvaged | None = None  # for where it is lost

    def ask(self, salvaged: Salvaged | None = None) -> None:
        self.salvaged = salvaged
        self.asked.set()
