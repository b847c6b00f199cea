"""How many connections are left, asked by many at the same moment."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from alongside.router.protocol import Connections, FarEnd, Router


class Left:
    """The kernel walks the whole of its table for a question, so those that come while one is
    being answered are asked together, in the next."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self._asked: list[tuple[Collection[FarEnd], asyncio.Future[Connections]]] = []
        self._asking: asyncio.Task[None] | None = None

    async def on(self, far_ends: Collection[FarEnd]) -> Connections:
        """Raises StepFailed."""
        answer: asyncio.Future[Connections] = asyncio.get_running_loop().create_future()
        self._asked.append((far_ends, answer))
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        return await answer

    async def _ask(self) -> None:
        while self._asked:
            asked, self._asked = self._asked, []
            try:
                found = await self._router.connections(
                    {position: far_ends for position, (far_ends, _) in enumerate(asked)}
                )
            except Exception as error:  # whoever asked has it
                for _, answer in asked:
                    if not answer.done():
                        answer.set_exception(error)
            else:
                for position, (_, answer) in enumerate(asked):
                    if not answer.done():
                        answer.set_result(found[position])
