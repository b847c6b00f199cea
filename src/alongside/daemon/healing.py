"""Healing: what is to run is brought back, whatever ended it.

`alongside stop` is how a version stays down. One that ends again and again is started at growing
intervals; what is wrong is a problem to show for as long as it is.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Iterable, Mapping

from alongside.daemon import supervise
from alongside.daemon.care import Care
from alongside.daemon.context import Context
from alongside.daemon.needs import Needs
from alongside.daemon.subjects import Seen, Subject, singletons_of, subjects
from alongside.domain.backoff import Backoff
from alongside.domain.errors import AlongsideError, Unavailable
from alongside.domain.history import Entry
from alongside.domain.release import Release
from alongside.domain.version import Version
from alongside.engine.protocol import Container, Event
from alongside.plan.well import Ill, Kind, holder

TICK = 30.0  # seconds between two looks where nothing was heard
TOGETHER = 0.1  # seconds in which what belongs together is heard together
AT_ONCE = 8  # how many are started side by side

_HEARD = {
    "container": ("die", "stop", "kill", "pause", "unpause", "destroy", "start", "rename"),
    "network": ("destroy", "disconnect", "connect"),
}

# HUP, USR1 and USR2 are how programs are told to read their files again.
_HARMLESS = ("1", "10", "12")

_log = logging.getLogger(__name__)


class Healing:
    """`backoff`: how long to wait for the next try. One that has run for `backoff.longest` is
    well again."""

    def __init__(self, context: Context, backoff: Backoff | None = None) -> None:
        self._context = context
        self._backoff = backoff or Backoff()
        self._woken = asyncio.Event()
        self._cares: dict[str, Care] = {}
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._met: set[str] = set()  # instances that are looked at although they are on trial
        self._met_singletons: set[str] = set()
        self._here = False  # whether the engine was met
        self.needs = Needs(context)
        self.unfinished: list[Entry] = []  # singletons that were being replaced when it ended
        self.on_healed: list[Callable[[], object]] = []

    def wake(self) -> None:
        self._woken.set()

    def met(self) -> None:
        """The engine is there, for the first time or again: all is looked at anew."""
        self._here = True
        self._met_singletons |= singletons_of(self._context)
        self._met |= {one.name for one in self._context.instances.all()}
        for care in self._cares.values():
            care.met()
        self.wake()

    def heard(self, event: Event) -> None:
        """Something happened in the engine."""
        if event.action == "kill" and event.attributes.get("signal", "9") not in _HARMLESS:
            self.needs.told.add(event.name)
        elif event.kind == "container" and event.action in ("start", "destroy"):
            self.needs.told.discard(event.name)
        known = _HEARD.get(event.kind, ())
        if event.action in known or event.action.startswith("health_status"):
            self.wake()

    async def look_at(
        self, releases: Iterable[Release]
    ) -> tuple[Mapping[str, str], dict[Version, str]]:
        """For a plan: the engine's networks, and those of the releases whose dependencies are not
        well, with why. Raises Unavailable."""
        releases = list(releases)
        if not releases:
            return {}, {}
        seen = await Seen.take(self._context)
        containers, needy = seen.containers.values(), {}
        for release in releases:
            instance = self._context.instances.get(release.service, release.version)
            if instance is None or not release.spec.depends:
                continue
            own = await self.needs.own_ill(release, instance.project, containers, seen.networks)
            if own is not None:
                needy[release.version] = own.said
            elif self.needs.lacking(release, containers, seen.networks):
                needy[release.version] = "needs what is not running"
        return seen.networks, needy

    async def lacking(self) -> tuple[str, ...]:
        """What versions share and is not well, as sentences; nothing where the engine does not
        answer."""
        try:
            seen = await Seen.take(self._context)
        except AlongsideError:
            return ()  # a check of its own
        containers = list(seen.containers.values())
        return tuple(
            f"{one.title} {found.said}."
            for one in self.needs.shared()
            if (
                found := self.needs.ill(
                    one.containers(containers), seen.networks, completes=one.completes
                )
            )
        )

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                self._woken.clear()
                wait = await self._look()
                await supervise.pause(self._woken, wait)
                if self._woken.is_set():
                    await asyncio.sleep(TOGETHER)
        finally:
            for care in self._cares.values():
                if care.task is not None:
                    care.task.cancel()

    async def _look(self) -> float:
        """Begin to heal what is ill; returns in how many seconds to look again."""
        if not self._here:
            return TICK
        try:
            # What has ports by then had its network before, or it would be found to have none.
            routed = self._routed()
            seen = await Seen.take(self._context)
            await self._keep_strangers_out(seen, routed)
            waits = [await self._see(one, seen) for one in await self._subjects()]
        except Unavailable:
            return TICK  # a problem already; it is met again
        except AlongsideError as error:
            self._say("healing", f"What is to run could not be looked at: {error.message}")
            return self._backoff.first
        self._say("healing", "")
        self._met.clear()
        return max(0.0, min([TICK, *waits]))

    async def _subjects(self) -> list[Subject]:
        context = self._context
        try:
            await self.needs.learn()
            self._say("needs", "")
        except Unavailable:
            raise
        except AlongsideError as error:
            self._say("needs", f"What shared services need could not be read: {error.message}")
        found = subjects(context, self.needs, self.unfinished, self._met_singletons, set(self._met))
        names = {one.name for one in found}
        for name in [name for name in self._cares if name not in names]:
            if not self._cares[name].busy:
                del self._cares[name]
                self._say(f"start {name}", "")
        return found

    async def _see(self, subject: Subject, seen: Seen) -> float:
        """One that cannot be looked at hides no other."""
        care = self._cares.setdefault(subject.name, Care(self._backoff))
        if care.busy:
            return TICK  # it wakes us when it has ended
        try:
            return await self._judge(subject, care, seen)
        except Unavailable:
            raise
        except Exception as error:
            _log.exception("%s could not be looked at", subject.name)
            self._say(f"start {subject.name}", f"{subject.name} could not be looked at: {error!r}")
            return self._backoff.longest

    async def _judge(self, subject: Subject, care: Care, seen: Seen) -> float:
        now = asyncio.get_running_loop().time()
        found = await self._ill(subject, care, seen)
        if found is None:
            return self._well(subject, care, subject.containers(seen), now)
        busy = self._context.locks[subject.lock].locked()  # with what may be about to mend it
        if not found.curable:
            if busy:
                return self._backoff.first
            self._say(f"start {subject.name}", f"{subject.title} {found.said}.")
            return TICK
        care.ended(now, by_hand=self._by_hand(subject, found, seen))
        if care.due > now:
            if not busy:
                self._say(f"start {subject.name}", self._later(subject, found, care, now))
            return care.due - now
        care.task = asyncio.create_task(self._heal(subject, care), name=f"heal {subject.name}")
        return TICK

    def _by_hand(self, subject: Subject, found: Ill, seen: Seen) -> bool:
        names = {one.name for one in subject.containers(seen)}
        return found.kind not in (Kind.ENDED, Kind.NEEDY) or bool(names & self.needs.told)

    async def _ill(self, subject: Subject, care: Care, seen: Seen) -> Ill | None:
        """Also what was on a network before, and is not any more since that is gone."""
        found = await subject.ill(seen)
        if found is not None:
            return found
        for one in subject.containers(seen):
            lost = care.networks.get(one.id, frozenset()) - set(one.networks) - set(seen.networks)
            if lost:
                return Ill(Kind.CUT_OFF, f"was on the network {min(lost)}, which was removed")
        return None

    def _well(self, subject: Subject, care: Care, containers: list[Container], now: float) -> float:
        care.well(now, containers)
        said, left = care.until_trusted(now)
        log = f" `docker logs {containers[0].name}` may say why." if said and containers else ""
        self._say(f"start {subject.name}", f"{subject.title} {said}.{log}" if said else "")
        return left if said else TICK

    async def _heal(self, subject: Subject, care: Care) -> None:
        """Under the lock of whatever else starts or stops it, so look again at what is wanted."""
        supervise.alone()
        context, about = self._context, f"start {subject.name}"
        loop = asyncio.get_running_loop()
        try:
            async with context.locks[subject.lock], self._slots:
                seen = await Seen.take(context)
                found = await self._ill(subject, care, seen)
                if found is None or not found.curable:
                    return
                self._say(about, f"{_said(subject, found, care)} It is being started again.")
                _log.info("%s %s: starting it", subject.name, found.said)
                await subject.mend(found, seen)
                care.started(loop.time())
            for call in self.on_healed:
                call()
            context.retirement.wake()  # it may be one that is kept paused
        except Unavailable:
            self._say(about, "")  # a problem already
        except Exception as error:
            said = error.message if isinstance(error, AlongsideError) else repr(error)
            care.failed(loop.time(), said)
            if isinstance(error, AlongsideError):
                _log.error("%s could not be started: %s", subject.name, said)
            else:
                _log.exception("%s could not be started", subject.name)
        finally:
            self.wake()

    def _later(self, subject: Subject, found: Ill, care: Care, now: float) -> str:
        wait = math.ceil(care.due - now)
        return f"{_said(subject, found, care)} It is started again in {wait} s (try {care.try_})."

    def _routed(self) -> set[tuple[str, Version]]:
        return {
            (route.service, version)
            for route in self._context.routes.all()
            for version in route.split.versions
        }

    async def _keep_strangers_out(self, seen: Seen, routed: set[tuple[str, Version]]) -> None:
        """A port never leads to an address that is another container's, or nobody's."""
        context = self._context
        astray: set[tuple[str, Version]] = set()
        for instance in context.instances.all():
            if (instance.service, instance.version) not in routed:
                continue
            if not context.on_bridge(instance):
                continue
            if instance.network not in seen.networks or holder(instance, seen.containers):
                astray.add((instance.service, instance.version))
        if astray != context.astray:
            for service, version in astray - context.astray:
                _log.warning("ports of %s@%s reject: its address is not its own", service, version)
            context.astray = frozenset(astray)
            await context.commit()
            await context.router.clean_udp(context.wanted())

    def _say(self, about: str, sentence: str) -> None:
        problems = self._context.problems
        if problems.get(about, "") == sentence:
            return
        if sentence:
            problems[about] = sentence
        else:
            problems.pop(about, None)
        self._context.news.tell()


def _said(subject: Subject, found: Ill, care: Care) -> str:
    if care.why:
        return f"{subject.name} could not be started: {care.why}"
    return f"{subject.title} {found.said}."
