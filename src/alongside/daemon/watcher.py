"""Trials: a version that was given the ports is watched, and loses them again where it fails.

A trial outlives the daemon: it is in the store, and goes on when the daemon runs again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial

from alongside.daemon.background import in_background
from alongside.daemon.context import Context
from alongside.daemon.executor import Executor
from alongside.daemon.locks import holding
from alongside.daemon.observer import Observer, Seen
from alongside.daemon.operations import Emit
from alongside.daemon.retirement import itself
from alongside.domain.deployment import Mark, Trial
from alongside.domain.errors import AlongsideError, StateUnwritable, Unavailable, said_of
from alongside.domain.history import Outcome
from alongside.domain.release import Release
from alongside.domain.version import Version
from alongside.plan.rollback import plan_rollback, rollback_target

RETRY = 1.0  # seconds between two tries to go back where the engine does not answer

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Verdict:
    """`reason` is empty for a version that is good. `now`: who has the ports after it."""

    reason: str
    now: Version | None
    log: tuple[str, ...] = ()


@dataclass
class _Running:
    trial: Trial
    emit: Emit
    task: asyncio.Task[None] | None = None
    verdict: asyncio.Future[Verdict] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class Watcher:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._running: dict[str, _Running] = {}
        self.on_verdict: list[Callable[[str], object]] = []  # called with the service

    def open(
        self, release: Release, seconds: float, operation: int, emit: Emit
    ) -> asyncio.Future[Verdict]:
        """Begin a trial, whose verdict ends the operation; `emit` gets each probe."""
        before = self._running.get(release.service)
        if before is not None:
            self._end(before, Verdict("was deployed anew", release.version), Outcome.FAILED)
        now = datetime.now(UTC)
        until = now + timedelta(seconds=seconds)
        trial = Trial(release.service, release.version, operation, now, until)
        with self._context.database.transaction():
            # One that was forced to the ports though it is marked bad is judged anew.
            self._context.releases.unmark_bad(release.service, release.version)
            self._context.trials.open(trial)
        return self._start(trial, emit, fresh=True)

    def resume(self) -> None:
        """Go on with the trials that the daemon's end has interrupted."""
        for trial in self._context.trials.all():
            self._start(trial, lambda _: None, fresh=False)

    def displaced(self, service: str, by: str) -> None:
        """Somebody may have given the ports to another version: then the trial is over, and says
        nothing of the version."""
        running = self._running.get(service)
        if running is None:
            return
        now = _has_ports(self._context, service)
        if running.trial.version == now:
            return
        try:
            self._end(running, Verdict(f"was displaced ({by})", now), Outcome.FAILED)
        except StateUnwritable as error:  # whoever displaced it has what was asked for
            _log.warning("the trial of %s waits: %s", service, error.message)
            self._stop(running)
            running.task = asyncio.create_task(self._run(running, False))

    async def fail(self, service: str, version: Version, reason: str) -> bool:
        """End the trial of a version and go back; whether it was on one. It is not marked: it is
        not its fault."""
        running = self._running.get(service)
        if running is None or running.trial.version != version:
            return False
        self._stop(running)
        await self._go_back(running, Seen(reason), mark=False)
        return True

    def accept(self, service: str, reason: str) -> None:
        """Somebody has seen enough: it is good."""
        running = self._running.get(service)
        if running is not None:
            self._accept(running, reason)

    async def close(self) -> None:
        """The daemon stops; the trials stay in the store."""
        for running in self._running.values():
            self._stop(running)

    def _start(self, trial: Trial, emit: Emit, *, fresh: bool) -> asyncio.Future[Verdict]:
        running = _Running(trial, emit)
        self._running[trial.service] = running
        doing = f"the trial of {trial.service}@{trial.version}"
        running.task = in_background(self._context, doing, partial(self._run, running, fresh))
        return running.verdict

    def _stop(self, running: _Running) -> None:
        if running.task is not None and running.task is not asyncio.current_task():
            running.task.cancel()

    async def _run(self, running: _Running, fresh: bool) -> None:
        """A verdict that cannot be written down is none yet: it is looked at again."""
        service = running.trial.service
        while True:
            try:
                await self._judge(running, fresh)
                return
            except StateUnwritable as error:
                if self._running.setdefault(service, running) is not running:
                    return  # the service is on another trial by now
                _log.warning("the trial of %s waits: %s", service, error.message)
            fresh = False
            await asyncio.sleep(RETRY)

    async def _judge(self, running: _Running, fresh: bool) -> None:
        """Raises StateUnwritable."""
        context, trial = self._context, running.trial
        try:
            if _has_ports(context, trial.service) != trial.version:
                # Somebody went back, and the daemon ended before that was written down here.
                now = _has_ports(context, trial.service)
                self._end(running, Verdict("lost the ports meanwhile", now), Outcome.FAILED)
                return
            marked = context.bad(trial.service).get(trial.version)
            if marked is not None:
                await self._go_back(running, Seen(marked), mark=False)
                return
            seen = await Observer(context, trial, running.emit).watch(fresh=fresh)
            if seen is None:
                seconds = (trial.until - trial.since).total_seconds()
                self._accept(running, f"came through {seconds:g} s with the ports")
            else:
                await self._go_back(running, seen, mark=True)
        except StateUnwritable:
            raise
        except AlongsideError as error:
            _log.error("the trial of %s@%s: %s", trial.service, trial.version, error.message)
            self._end(running, Verdict(error.message, trial.version), Outcome.FAILED)
        except Exception:
            _log.exception("a trial failed in a way that nobody foresaw")
            self._end(running, Verdict("a bug of alongside's", trial.version), Outcome.FAILED)

    def _accept(self, running: _Running, reason: str) -> None:
        trial = running.trial
        self._context.releases.mark(trial.service, trial.version, Mark.GOOD, reason)
        self._end(running, Verdict("", trial.version), Outcome.DONE, reason)

    async def _go_back(self, running: _Running, seen: Seen, *, mark: bool) -> None:
        """One switch, to a version that runs; the marks come first, so that a crash between ends
        in the same."""
        context, trial = self._context, running.trial
        context.database.reserve.release()  # a full disk may be what the version did
        if mark:
            context.releases.mark(trial.service, trial.version, Mark.BAD, seen.reason)
        self._running.pop(trial.service, None)  # the switch that follows is its own
        reason = seen.reason
        now: Version | None = None
        while now is None:
            try:
                now = await self._roll_back(trial, reason)
            except StateUnwritable:
                raise  # it goes back as soon as that can be written
            except AlongsideError as error:
                if mark and isinstance(error, Unavailable):
                    await asyncio.sleep(RETRY)  # nothing else is as good as to go back
                    continue
                now = _has_ports(context, trial.service)
                if now == trial.version:
                    reason = f"{reason}. It keeps the ports: {error.message}"
                break
        self._end(running, Verdict(reason, now, seen.log), Outcome.FAILED)

    async def _roll_back(self, trial: Trial, reason: str) -> Version:
        """Returns who has the ports now. Raises Conflict where there is nothing to go back to,
        Unavailable."""
        context, service = self._context, trial.service
        target = rollback_target(service, await context.observe(service))
        release = context.releases.get(service, target)
        releases = [release] if release else []
        async with holding(context, releases):
            if _has_ports(context, service) != trial.version:
                return _has_ports(context, service) or trial.version
            plan = plan_rollback(service, target, await context.observe(service, releases))
            why = f"{service}@{trial.version} {reason}"
            await Executor(context).run(plan, itself(), why, lambda _: None)
        return target

    def _forget(self, running: _Running, verdict: Verdict) -> None:
        self._stop(running)
        if self._running.get(running.trial.service) is running:
            del self._running[running.trial.service]
        if not running.verdict.done():
            running.verdict.set_result(verdict)

    def _end(self, running: _Running, verdict: Verdict, outcome: Outcome, detail: str = "") -> None:
        context, trial = self._context, running.trial
        try:
            with context.database.transaction():
                context.trials.close(trial)
                if verdict.log:
                    context.journal.write(trial.operation, verdict.log)
                context.journal.end(trial.operation, outcome, detail or verdict.reason)
        except StateUnwritable:
            raise  # it is none yet: see `_run`
        except Exception as error:  # whoever waits for it does not wait for ever
            said = f"{verdict.reason or detail}; that could not be written down: {said_of(error)}"
            self._forget(running, replace(verdict, reason=said))
            raise
        self._forget(running, verdict)
        context.retirement.wake()
        for call in self.on_verdict:
            try:
                call(trial.service)
            except Exception:  # the verdict stands, whatever becomes of what follows from it
                _log.exception("what follows the trial of %s failed", trial.service)


def _has_ports(context: Context, service: str) -> Version | None:
    release = context.in_force(service)
    return release.version if release else None
