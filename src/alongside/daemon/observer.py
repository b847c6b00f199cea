"""Watching one instance while it is on trial: what it answers, and what becomes of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from alongside.daemon.context import Context
from alongside.daemon.operations import Emit
from alongside.domain.deployment import Trial
from alongside.domain.errors import AlongsideError, Unavailable
from alongside.domain.instance import Instance
from alongside.domain.release import Release
from alongside.engine.protocol import Container, Event
from alongside.ready import ask_once, asked_at

LOG_LINES = 20
RETRY = 1.0  # seconds between two tries to reach the engine
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

    async def watch(self, *, fresh: bool) -> Seen | None:
        """Until the trial is over, or something ends it; None is a version that is good.

        While the engine does not answer nothing is known and nothing is held against the
        version; its container was then started by the engine, and is looked at anew.
        """
        context, trial = self._context, self._trial
        release = context.releases.get(trial.service, trial.version)
        instance = context.instances.get(trial.service, trial.version)
        if release is None or instance is None:
            return Seen("has no instance any more")
        while (left := self._left()) > 0:
            try:
                async with asyncio.timeout(left):
                    reason = await self._observe(release, instance, fresh)
            except TimeoutError:
                return None
            except Unavailable:
                fresh = True
                await asyncio.sleep(min(RETRY, max(0.0, self._left())))
                continue
            return Seen(f"{reason}, {self._age():.1f} s after it had the ports", await self._log())
        return None

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
                # What became of the container says more than a question without an answer.
                return (watching if watching in done else asking).result()
            finally:
                for task in (watching, asking):
                    task.cancel()
                await asyncio.gather(watching, asking, return_exceptions=True)

    async def _ask(self, release: Release, instance: Instance) -> str:
        """Returns when too many questions in a row had no good answer."""
        watch, failed = release.spec.watch, 0
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
            failed = failed + 1 if heard else 0
            self._emit({"event": "probe", "heard": heard, "left": round(self._left(), 1)})
            if failed >= watch.failures:
                return f"failed {failed} probes in a row ({heard})"
            await asyncio.sleep(AGAIN if failed else watch.every)

    async def _follow(
        self,
        events: AsyncIterator[Event],
        instance: Instance,
        container: Container | None,
        restarts: int,
    ) -> str:
        """Returns when the container's end is news enough."""
        killed = False
        while True:
            reason = _end(container, restarts, killed=killed)
            if reason:
                return reason
            event = await anext(events, None)
            if event is None:
                raise Unavailable("The container engine went away.")
            if event.kind == "container" and event.name == instance.name:
                killed |= event.action == "oom"
                if event.action == "die":
                    restarts = -1  # whatever it is now: it has ended
                container = await self._context.engine.container(instance.name)

    async def _log(self) -> tuple[str, ...]:
        instance = self._context.instances.get(self._trial.service, self._trial.version)
        lines: list[str] = []
        if instance is not None:
            with suppress(AlongsideError):  # there is no container to have any
                async for line in self._context.engine.logs(instance.name, tail=LOG_LINES):
                    lines.append(line)
        return tuple(lines)

    def _left(self) -> float:
        return (self._trial.until - datetime.now(UTC)).total_seconds()

    def _age(self) -> float:
        return (datetime.now(UTC) - self._trial.since).total_seconds()

    def _started_since(self, container: Container) -> bool:
        return container.started is not None and container.started > self._trial.since


def _end(container: Container | None, restarts: int, *, killed: bool) -> str:
    """Why the container is no good, as what follows its version's name; empty where it is."""
    if container is None:
        return "lost its container"
    ended = restarts < 0 or container.restarts > restarts
    ended = ended or container.state in ("exited", "dead", "restarting")
    if ended and (killed or container.oom):
        return "was killed for want of memory"
    if ended:
        return f"ended with exit code {container.exit_code}"
    if container.state == "paused":
        return "was paused"
    if container.health == "unhealthy":
        said = container.health_output.splitlines()
        return "is unhealthy" + (f" ({said[-1]})" if said else "")
    return ""
