"""What is remembered of one that is held to what is wanted: how it ended, when it is tried again.

Times are the event loop's, in seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

from alongside.domain.backoff import Backoff
from alongside.engine.protocol import Container

BY_HAND = 1.0  # until what was ended by hand is started, where it was just now already
AGAIN = 10.0  # that "just now"
LOOP = 2  # restarts by the engine, within `backoff.longest`, that are worth a word


@dataclass
class Care:
    """One that has run for `backoff.longest` is well again."""

    backoff: Backoff
    due: float = 0.0  # not tried again before
    why: str = ""  # it could not be started
    task: asyncio.Task[None] | None = None
    # On which networks its containers were, by ID, while they were well.
    networks: dict[str, frozenset[str]] = field(default_factory=dict)
    _up: bool = False  # as it was seen last
    _by_itself: bool = False  # whether that is how it ended
    _by_hand: float = float("-inf")  # when it was last ended by hand
    _started: float | None = None  # when it was started, after it had ended by itself
    _restarts: dict[str, int] = field(default_factory=dict)  # container's ID -> by the engine
    _restarted: list[float] = field(default_factory=list)  # when that was seen to grow

    @property
    def busy(self) -> bool:
        return self.task is not None and not self.task.done()

    @property
    def try_(self) -> int:
        """The number of the next try."""
        return self.backoff.failures + 1

    def ended(self, now: float, *, by_hand: bool) -> None:
        """It is not up; nothing where that is known. By hand is not the container's own fault."""
        # Where a person has removed what ended again and again, it is tried at once.
        if not self._up and not (by_hand and self._by_itself):
            return
        self._up, self._by_itself = False, not by_hand
        if by_hand:
            self.due = now + (BY_HAND if now - self._by_hand < AGAIN else 0.0)
            self._by_hand = now
            return
        again = self._started is not None and now - self._started < self.backoff.longest
        self.backoff = self.backoff.failed() if again else self.backoff.went_well()
        self.due = now + self.backoff.wait

    def failed(self, now: float, why: str) -> None:
        """It could not be started."""
        self.why = why
        self.backoff = self.backoff.failed()
        self.due = now + self.backoff.wait

    def started(self, now: float) -> None:
        self._up, self.why = True, ""
        self._started = now if self._by_itself else None
        if not self._by_itself:
            self.backoff = self.backoff.went_well()

    def met(self) -> None:
        """The engine is there: whatever was before says nothing."""
        self.backoff, self.due, self._started = self.backoff.went_well(), 0.0, None

    def well(self, now: float, containers: Iterable[Container]) -> None:
        """It is up."""
        containers = list(containers)
        for one in containers:
            if one.restarts > self._restarts.get(one.id, one.restarts):
                self._restarted.append(now)
        self._restarts = {one.id: one.restarts for one in containers}
        self.networks = {one.id: frozenset(one.networks) for one in containers}
        self._restarted = [at for at in self._restarted if now - at < self.backoff.longest]
        self._up, self.why = True, ""
        if self._started is None or now - self._started >= self.backoff.longest:
            self.backoff, self._started = self.backoff.went_well(), None

    def until_trusted(self, now: float) -> tuple[str, float]:
        """What is to be said of it although it is up, and in how many seconds no more."""
        longest = self.backoff.longest
        if len(self._restarted) >= LOOP:
            left = self._restarted[-1] + longest - now
            return "is restarted again and again by the engine", left
        if self._started is not None and self.backoff.failures > 1:
            times = self.backoff.failures + 1
            left = self._started + longest - now
            return f"has exited {times} times in a row, and was started again", left
        return "", 0.0
