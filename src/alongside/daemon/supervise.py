"""What goes on in the daemon all the time: parts, each supervised by itself.

A part that fails is started again with a back-off, and no other part hears of it. What failed is a
problem to show, and the log has the traceback. A part also says that it moves, by `beat` and by
what it waits with (`sleep`, `pause`, `each`, `waiting`), so that one that hangs is seen:
daemon/watchdog.py tells systemd.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar

from alongside.domain.backoff import Backoff
from alongside.domain.errors import AlongsideError, said_of

T = TypeVar("T")

WELL = 10.0  # seconds that a part must have run before its failure is forgotten

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Part:
    """`does` follows "The part of the daemon that". `limit`: for how many seconds it may be busy
    without a beat; None where that is not watched. `ends`: it may return, and is done then; any
    other that returns has failed.
    """

    name: str
    does: str
    work: Callable[[], Coroutine[Any, Any, None]]
    limit: float | None = None
    ends: bool = False

    @property
    def about(self) -> str:
        """What its problem is kept under."""
        return f"part {self.name}"


class _Pulse:
    """What one start of a part says of itself."""

    def __init__(self, limit: float | None) -> None:
        self._limit = limit
        self._waits = 0  # for what may take any time
        self.turned = False  # it has come to wait for what there is to do next
        self.beat()

    def beat(self, allow: float = 0.0) -> None:
        self._until = time.monotonic() + (self._limit or 0.0) + allow

    @contextmanager
    def waiting(self) -> Iterator[None]:
        self._waits += 1
        try:
            yield
        finally:
            self._waits -= 1
            self.beat()

    @property
    def silent(self) -> bool:
        return self._limit is not None and not self._waits and time.monotonic() > self._until


class _Running:
    """One part, over all its starts."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self.task: asyncio.Task[None] | None = None
        self.pulse = _Pulse(part.limit)
        self.backoff = Backoff()
        self.resting = False  # in back-off
        self.failing = False  # it has failed, and has not run well since
        self.until_well: asyncio.TimerHandle | None = None

    @property
    def hangs(self) -> bool:
        return self.pulse.silent and not self.resting


_current: ContextVar[_Pulse | None] = ContextVar("part", default=None)


# -- what a part says of itself; nothing outside of one ----------------------------------------


def beat(allow: float = 0.0) -> None:
    """It moves. `allow`: seconds that what it does next may take beyond its limit."""
    pulse = _current.get()
    if pulse is not None:
        pulse.beat(allow)


@contextmanager
def waiting() -> Iterator[None]:
    """Inside it waits for what may take any time and is bounded elsewhere: for a lock that an
    operation holds, for something to happen."""
    pulse = _current.get()
    with nullcontext() if pulse is None else pulse.waiting():
        yield


async def sleep(seconds: float) -> None:
    """Between two turns of its loop."""
    _turned()
    with waiting():
        await asyncio.sleep(seconds)


async def pause(woken: asyncio.Event, seconds: float | None = None) -> None:
    """Between two turns of its loop: until it is woken, or the time is over."""
    _turned()
    with waiting(), suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await woken.wait()


async def each(events: AsyncIterator[T]) -> AsyncGenerator[T, None]:
    """Every event, as it comes; each is a turn."""
    while True:
        _turned()
        with waiting():
            try:
                event = await anext(events)
            except StopAsyncIteration:
                return
        yield event


def alone() -> None:
    """What this task does from here on says nothing of the part that it was started by."""
    _current.set(None)


def _turned() -> None:
    pulse = _current.get()
    if pulse is not None:
        pulse.turned = True


# -- the supervisor ------------------------------------------------------------------------------


class Supervisor:
    """`problems` are the daemon's; `tell` is called when one comes or goes."""

    def __init__(self, problems: dict[str, str], tell: Callable[[], None]) -> None:
        self._problems = problems
        self._tell = tell
        self._running: dict[str, _Running] = {}

    async def run(self, parts: Iterable[Part]) -> None:
        """Keep them all running until this is cancelled."""
        for part in parts:
            self.keep(part)
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await self.end(list(self._running))

    def keep(self, part: Part) -> None:
        """Keep one more running; nothing where one of its name is kept already."""
        if part.name not in self._running:
            running = self._running[part.name] = _Running(part)
            running.task = asyncio.create_task(self._keep(running), name=part.about)

    async def end(self, names: Iterable[str]) -> None:
        """End these, and wait until they have ended."""
        tasks = []
        for name in names:
            running = self._running.pop(name, None)
            if running is not None and running.task is not None:
                running.task.cancel()
                tasks.append(running.task)
        await asyncio.gather(*tasks, return_exceptions=True)

    def failing(self) -> dict[str, str]:
        """The parts that have failed and have not run well since: what is said of each."""
        return {
            name: self._problems[one.part.about]
            for name, one in self._running.items()
            if one.failing and one.part.about in self._problems
        }

    def hanging(self) -> dict[str, str]:
        """The parts that have not moved within their limit: what is said of each."""
        return {name: _hangs(one.part) for name, one in self._running.items() if one.hangs}

    def look(self) -> bool:
        """Whether every part moves or is in back-off; one that does not is a problem to show."""
        hanging = self.hanging()
        for name, one in self._running.items():
            about, said = one.part.about, _hangs(one.part)
            if name in hanging and self._problems.get(about) != said:
                _log.error("%s", said)
                self._show(about, said)
            elif name not in hanging and self._problems.get(about) == said:
                _log.info("the part %s moves again", name)
                self._forget(about)
        return not hanging

    async def _keep(self, running: _Running) -> None:
        part = running.part
        while True:
            said = await self._start(running)
            if not said:
                if self._running.get(part.name) is running:
                    del self._running[part.name]
                self._forget(part.about)
                return
            running.backoff = running.backoff.failed()
            running.resting = running.failing = True
            wait = running.backoff.wait
            said = f"The part of the daemon that {part.does} failed: {said.rstrip('.')}."
            self._show(part.about, f"{said} It is started again after {wait:g} s.")
            await asyncio.sleep(wait)

    async def _start(self, running: _Running) -> str:
        """Returns why it failed; nothing where it has done what it was to do."""
        part = running.part
        running.pulse, running.resting = _Pulse(part.limit), False
        _current.set(running.pulse)
        self._watch(running, WELL)
        try:
            await part.work()
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            _log.exception("the part %s was cut off from within", part.name)
            return said_of(error)  # not its own end, but that of something that it waited for
        except Exception as error:
            _log.exception("the part %s failed", part.name)
            return _named(error)
        finally:
            if running.until_well is not None:
                running.until_well.cancel()
        if part.ends:
            return ""
        _log.error("the part %s ended, which it never should", part.name)
        return "it ended, which it never should"

    def _watch(self, running: _Running, seconds: float) -> None:
        """Whether it runs well is known once it has run for a while, and has come around: what it
        failed at may be what it is at."""
        if running.failing:
            loop = asyncio.get_running_loop()
            running.until_well = loop.call_later(seconds, self._look_well, running)

    def _look_well(self, running: _Running) -> None:
        if not running.pulse.turned or running.hangs:
            self._watch(running, 1.0)
            return
        running.failing, running.backoff = False, running.backoff.went_well()
        _log.info("the part %s runs well again", running.part.name)
        self._forget(running.part.about)

    def _show(self, about: str, said: str) -> None:
        self._problems[about] = said
        self._tell()

    def _forget(self, about: str) -> None:
        if self._problems.pop(about, None) is not None:
            self._tell()


def _hangs(part: Part) -> str:
    return (
        f"The part of the daemon that {part.does} hangs: it has not moved within "
        f"{part.limit or 0:g} s."
    )


def _named(error: Exception) -> str:
    """An error's own sentence; of one that has none, also what it is."""
    if isinstance(error, AlongsideError) or not str(error):
        return said_of(error)
    return f"{type(error).__name__}: {error}"
