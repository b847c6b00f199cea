"""Watching one instance while it is on trial: what it answers, and what becomes of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from alongside.daemon.context import Context
from alongside.daemon.countdown import Countdown
from alongside.daemon.operations import Emit
from alongside.domain.deployment import Trial
from alongside.domain.errors import AlongsideError, NotReady, Unavailable
from alongside.domain.instance import Instance
from alongside.domain.release import Release
from alongside.domain.words import LONGEST_LINE, clipped, one_line
from alongside.engine.protocol import Container, Event, exit_code
from alongside.ready import ask_once, asked_at, wait_ready

LOG_LINES = 20
RETRY = 1.0  # seconds between two tries to reach the engine
SHUTDOWN = 4.0  # seconds from the end of its containers within which an engine goes away
AGAIN = 0.2  # seconds until it is asked again after it has failed


@dataclass(frozen=True, slots=True)
class Seen:
    """What ends a trial, as what follows the version's name, and the container's last lines."""

    reason: str
    log: tuple[str, ...] = ()


class Observer:
    def __init__(self, context: Context, trial: Trial, emit: Emit) -> None:
        self._context = context
        self._trial = trial
        self._emit = emit
        self._time = Countdown(trial.since, trial.until)
        self._failed = 0  # questions in a row that had no good answer

    async def watch(self, *, fresh: bool) -> Seen | None:
        """Until the trial is over, or something ends it; None is a version that is good.

        While the engine does not answer nothing is known and nothing is held against the
        version; its container was then started by the engine, and is looked at anew. A version
        is not good by nobody having looked: where nobody could, or where it fails when the time
        is over, it is looked at for as long as it takes to fail.

        `fresh`: the trial begins now; else the daemon was away meanwhile.
        """
        context, trial = self._context, self._trial
        self._time = Countdown(trial.since, trial.until, fresh=fresh)
        release = context.releases.get(trial.service, trial.version)
        instance = context.instances.get(trial.service, trial.version)
        if release is None or instance is None:
            return Seen("has no instance any more")
        if not fresh:
            self._look_on(release)
        reason = ""
        while not reason:
            limit = asyncio.timeout(self._time.left)
            try:
                async with limit:
                    reason = await self._observe(release, instance, fresh)
            except TimeoutError:
                if not limit.expired():
                    raise  # somebody else's
                if not self._failed:
                    return None
                self._look_on(release)
            except Unavailable:
                fresh = True
                reason = await self._met_again(release, instance)
                self._look_on(release)
        return Seen(f"{reason}, {self._time.age:.1f} s after it had the ports", await self._log())

    def _look_on(self, release: Release) -> None:
        watch = release.spec.watch
        enough = watch.failures * (watch.within + AGAIN) + RETRY
        self._time.at_least(enough)

    async def _met_again(self, release: Release, instance: Instance) -> str:
        """Wait until the engine answers and the version is ready again, as after its start;
        returns why it is not."""
        engine = self._context.engine
        ready, address = asked_at(release.spec, instance)
        folder = self._context.paths.compose_file(release).parent
        loop = asyncio.get_running_loop()
        deadline: float | None = None  # for its container to run: somebody starts it
        while True:
            try:
                container = await engine.container(instance.name)
                deadline = deadline or loop.time() + ready.timeout
                if container is not None and container.running:
                    await wait_ready(ready, address, instance, engine, folder=folder)
                    return ""
                if loop.time() > deadline:
                    return ""  # what is to be said of it is said by looking at it
                await asyncio.sleep(AGAIN)
            except Unavailable:
                deadline = None
                await asyncio.sleep(RETRY)
            except NotReady as error:
                return f"did not come back with the engine: {error.message}"

    async def _observe(self, release: Release, instance: Instance, fresh: bool) -> str:
        """Returns why it failed; raises Unavailable."""
        async with aclosing(self._context.engine.events()) as events:
            container = await self._context.engine.container(instance.name)
            restarts = container.restarts if container else 0
            if container and not fresh and self._started_since(container):
                restarts = 0  # it may have been restarted while nobody looked
            watching = asyncio.create_task(
                self._follow(events, instance, container, restarts), name="follow"
            )
            asking = asyncio.create_task(self._ask(release, instance), name="ask")
            try:
                done, _ = await asyncio.wait(
                    (watching, asking), return_when=asyncio.FIRST_COMPLETED
                )
                if watching not in done and not await self._runs(instance):
                    # What became of it says more than a question that had no answer.
                    await asyncio.wait((watching,), timeout=SHUTDOWN + RETRY)
                return (watching if watching.done() else asking).result()
            finally:
                for task in (watching, asking):
                    task.cancel()
                await asyncio.gather(watching, asking, return_exceptions=True)

    async def _ask(self, release: Release, instance: Instance) -> str:
        """Returns when too many questions in a row had no good answer."""
        watch = release.spec.watch
        self._failed = 0
        ready, address = asked_at(release.spec, instance)
        folder = self._context.paths.compose_file(release).parent
        while True:
            heard = await ask_once(
                ready,
                address,
                instance,
                self._context.engine,
                folder=folder,
                within=watch.within,
            )
            self._failed = self._failed + 1 if heard else 0
            self._emit({"event": "probe", "heard": heard, "left": round(self._time.left, 1)})
            if self._failed >= watch.failures:
                return f"failed {self._failed} probes in a row ({heard})"
            await asyncio.sleep(AGAIN if self._failed else watch.every)

    async def _follow(
        self,
        events: AsyncIterator[Event],
        instance: Instance,
        container: Container | None,
        restarts: int,
    ) -> str:
        """Returns when the container's end is news enough."""
        killed = told = False
        code: int | None = None
        while True:
            reason = _end(container, restarts, code, killed=killed)
            if reason:
                if told:
                    await self._outlast(events)
                return reason
            event = await anext(events, None)
            if event is None:
                raise Unavailable("The container engine went away.")
            if event.kind == "container" and event.name == instance.name:
                killed |= event.action == "oom"
                told |= event.action == "kill"
                if event.action == "die":
                    restarts = -1  # whatever it is now: it has ended
                    # One that was started again by then has forgotten with what.
                    code = exit_code(event)
                container = await self._context.engine.container(instance.name)

    async def _outlast(self, events: AsyncIterator[Event]) -> None:
        """Somebody told the container to end. An engine that shuts down does, before it goes away
        itself, and that is not held against the version. Raises Unavailable where it goes."""
        with suppress(TimeoutError):
            async with asyncio.timeout(SHUTDOWN):
                while await anext(events, None) is not None:
                    pass
                raise Unavailable("The container engine went away.")

    async def _runs(self, instance: Instance) -> bool:
        container = await self._context.engine.container(instance.name)
        return container is not None and container.running

    async def _log(self) -> tuple[str, ...]:
        instance = self._context.instances.get(self._trial.service, self._trial.version)
        lines: list[str] = []
        if instance is not None:
            with suppress(AlongsideError):  # there is no container to have any
                async for line in self._context.engine.logs(instance.name, tail=LOG_LINES):
                    lines.append(clipped(line, LONGEST_LINE))
        return tuple(lines)

    def _started_since(self, container: Container) -> bool:
        """One that is to have started in the future did so by a clock that was set back since:
        nothing is known of it, and nothing held against it."""
        started = container.started
        return started is not None and self._trial.since < started <= datetime.now(UTC)


def _end(
    container: Container | None, restarts: int, code: int | None = None, *, killed: bool
) -> str:
    """Why the container is no good, as what follows its version's name; empty where it is.
    `code`: with what it ended, where that was told."""
    if container is None:
        return "lost its container"
    ended = restarts < 0 or container.restarts > restarts
    ended = ended or container.state in ("exited", "dead", "restarting")
    if ended and (killed or container.oom):
        return "was killed for want of memory"
    if ended:
        return _how(container, code)
    if container.state == "paused":
        return "was paused"
    if container.health == "unhealthy":
        said = container.health_output.splitlines()
        return "is unhealthy" + (f" ({one_line(said[-1])})" if said else "")
    return ""


def _how(container: Container, code: int | None) -> str:
    if code is None and container.running:
        return "ended and was started again by the engine"  # which has forgotten with what
    return f"ended with exit code {container.exit_code if code is None else code}"
