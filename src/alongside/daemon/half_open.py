"""After each commit: connections that were never answered and lead where no route leads any more.

The kernel holds a connecting client to the version that its first SYN went to, for as long as it
repeats it. Established connections stay; these are decided anew. It is compared, and no event is
remembered, so the daemon that starts after a crash does it as well.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import replace

from alongside.daemon import supervise
from alongside.domain.errors import AlongsideError
from alongside.domain.port import Port
from alongside.router.protocol import RoutedPort, Router, Ruleset

# Seconds from a commit to a look, and from one look to the next. What two looks in a row find is
# deleted, half a second after the commit: an answer from another continent takes a third of one,
# and a client that connected at the switch repeats its SYN after one.
ANSWERED = 0.25

RETRY = 5.0  # seconds after a look that the kernel refused

PROBLEM = "half-open"  # the key of what went wrong

_log = logging.getLogger(__name__)


class HalfOpen:
    def __init__(
        self, router: Router, wanted: Callable[[], Ruleset], problems: dict[str, str]
    ) -> None:
        self._router = router
        self._wanted = wanted
        self._problems = problems
        self._changed = asyncio.Event()
        self._taken_back: set[Port] = set()

    def look(self, taken_back: Iterable[Port] = ()) -> None:
        """The kernel was just told where ports lead. `taken_back`: those that may have no route
        any more, and led to what is no instance, so that only their numbers tell them."""
        self._taken_back.update(taken_back)
        self._changed.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await supervise.pause(self._changed)
            try:
                await self._until_none_is_left()
                self._problems.pop(PROBLEM, None)
            except AlongsideError as error:
                if PROBLEM not in self._problems:
                    _log.error("%s", error.message)
                self._problems[PROBLEM] = f"{error.message} {error.hint}"
                self._changed.set()
                await supervise.sleep(RETRY)

    async def _until_none_is_left(self) -> None:
        seen: frozenset[bytes] = frozenset()
        taken_back: set[Port] = set()
        while self._changed.is_set() or seen:
            self._changed.clear()
            taken_back = set(self._taken_back)
            await asyncio.sleep(ANSWERED)
            seen = await self._router.clean_half_open(self._ruleset(taken_back), seen)
        self._taken_back -= taken_back

    def _ruleset(self, taken_back: Iterable[Port]) -> Ruleset:
        """What is wanted, and the ports that have no route any more as ones that lead nowhere."""
        wanted = self._wanted()
        kept = {routed.port for routed in wanted.ports}
        gone = (RoutedPort(port, ()) for port in taken_back if port not in kept)
        return replace(wanted, ports=(*wanted.ports, *gone))
