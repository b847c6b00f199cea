"""Holding the host to what is wanted: after a start, a crash, a flush, an engine's restart."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from alongside.daemon import beforehand, removals, supervise, ways
from alongside.daemon.build_names import take_back_all
from alongside.daemon.context import Context
from alongside.daemon.disk import DISK
from alongside.daemon.images import hold_images
from alongside.daemon.locks import BUILDS
from alongside.daemon.manifest import forget_lost
from alongside.daemon.shared import remember_mounts
from alongside.daemon.strays import discard_strays
from alongside.daemon.supervise import Part
from alongside.daemon.verbs.follow import follow
from alongside.domain.deployment import Trial
from alongside.domain.errors import (
    AlongsideError,
    Conflict,
    StateUnwritable,
    StepFailed,
    Unavailable,
)
from alongside.domain.history import Entry, Outcome
from alongside.domain.version import Version
from alongside.host.addresses import check_pool
from alongside.host.proxy_address import ensure_proxy_address

TICK = 30.0  # seconds between two looks where nothing was heard
RETRY = 1.0  # seconds between two tries to reach the engine
DISK_LOOK = 2.0  # seconds between two looks whether what waits for the disk can be written
BRIDGES = "bridges"  # the key that they are kept under
LOOK = 5.0  # seconds between two looks at the ways to instances, at the least

_log = logging.getLogger(__name__)


class Reconciler:
    def __init__(
        self, context: Context, kernel_changes: Callable[[], AsyncGenerator[None, None]]
    ) -> None:
        """`kernel_changes` is called anew after a failure: a generator that raised is over."""
        self._context = context
        self._kernel_changes = kernel_changes
        self._leftovers: list[Path] = []  # of trees that were being received
        self._changed = asyncio.Event()  # something that the ways to instances may depend on
        context.healing.on_healed.append(self._changed.set)

    def settle(self) -> None:
        """Before anything else at start: what a crash left half-way is decided from the journal.

        The intent is written before the kernel is touched, so an operation that has changed the
        routes wanted goes forward, and any other has switched nothing.
        """
        try:
            beforehand.settle(self._context)
        except StateUnwritable as error:  # then when it can be written
            _log.warning("what was wanted before waits for the disk: %s", error.message)
        trials = {trial.operation for trial in self._context.trials.all()}
        for entry in self._context.journal.pending():
            if entry.id not in trials:  # else its verdict is yet to come
                self._settle(entry)
        self._leftovers = list(self._context.paths.incoming.iterdir())

    def _settle(self, entry: Entry) -> None:
        """One that cannot be written now is settled when it can (`_follow_disk`)."""
        journal = self._context.journal
        singletons = self._context.instances.singletons()
        if entry.routed and entry.after and entry.service in singletons:
            self._context.healing.unfinished.append(entry)  # until the engine is there
        elif entry.routed and entry.verb == "deploy":
            try:
                self._on_trial(entry)
            except StateUnwritable as error:
                _log.warning("the trial of %s waits: %s", entry.service, error.message)
        elif entry.routed:
            journal.end(entry.id, Outcome.DONE, "finished after a restart of the daemon")
        elif removals.has_begun(self._context, entry):
            return  # what is left of the release, the engine knows
        else:
            journal.end(entry.id, Outcome.INTERRUPTED, "the daemon ended; nothing was switched")

    async def _follow_disk(self) -> None:
        """What could not be written when the disk was full is, once there is room: nothing stays
        half done until the next start."""
        database, failures = self._context.database, 0
        while True:
            await supervise.sleep(DISK_LOOK)
            seen = database.failures
            if seen == failures or DISK in self._context.problems:
                continue
            try:
                self._context.journal.catch_up()
                beforehand.settle(self._context)
                await self._settle_abandoned()
                await self._follow_releases()
                await self._context.commit()  # as it is written by now
                failures = seen
            except AlongsideError as error:
                _log.warning("what waits for the disk waits on: %s", error.message)
            self._context.retirement.wake()

    async def _settle_abandoned(self) -> None:
        context, said = self._context, "finished once the state could be written again"
        trials = {trial.operation for trial in context.trials.all()}
        for entry in context.journal.abandoned():
            unfinished = context.healing.unfinished
            if entry.id in trials or entry.id in [one.id for one in unfinished]:
                continue
            if removals.has_begun(context, entry):
                await removals.finish(context)
                continue
            version = Version(entry.after) if entry.after else None
            release = context.releases.get(entry.service, version) if version else None
            length = release.spec.watch.length if release else 0.0
            if entry.routed and entry.after and entry.service in context.instances.singletons():
                unfinished.append(entry)
                context.healing.met()
            elif entry.routed and entry.verb == "deploy" and release and length:
                context.watcher.open(release, length, entry.id, lambda _: None)
            elif entry.routed:
                context.journal.end(entry.id, Outcome.DONE, said)
            else:
                said_not = "the state could not be written; nothing was switched"
                context.journal.end(entry.id, Outcome.FAILED, said_not)

    def _on_trial(self, entry: Entry) -> None:
        """A deploy that had switched, and whose trial had not begun: it begins now."""
        version = Version(entry.after)
        release = self._context.releases.get(entry.service, version)
        length = release.spec.watch.length if release else 0.0
        if not length:
            said = "finished after a restart of the daemon"
            self._context.journal.end(entry.id, Outcome.DONE, said)
            return
        now = datetime.now(UTC)
        until = now + timedelta(seconds=length)
        self._context.trials.open(Trial(entry.service, version, entry.id, now, until))

    async def restore(self) -> None:
        """Routes first: they need no engine."""
        ways.recall(self._context)
        # As they were seen last, or containers would lose their way until the engine is met.
        kept = self._context.database.setting(BRIDGES, "")
        self._context.bridges = frozenset(kept.split())
        if self._context.ipv6:
            for address in {one.subnet.proxy6 for one in self._context.instances.all()}:
                await ensure_proxy_address(address)
        await self._commit()
        if self._context.database.refusal is None:
            self._context.watcher.resume()

    async def hold(self, *more: Part) -> None:
        """Until cancelled, where the state can only be read: keep the host as it is wanted, and
        decide nothing that would have to be written down."""
        holding = ("kernel", "engine", "tick", "half-open", "healing")
        parts = [part for part in self.parts() if part.name in holding]
        await self._context.supervisor.run([*parts, *more])

    def parts(self) -> list[Part]:
        """What goes on all the time. The limits allow for an engine that takes a minute to answer,
        a slow nft, and what an instance needs before it starts, which may come from a registry."""
        retirement, collector = self._context.retirement, self._context.collector
        healing, half_open = self._context.healing, self._context.half_open
        return [
            Part("kernel", "follows changes of nftables", self._follow_kernel, limit=120),
            Part("engine", "follows the container engine", self._follow_engine, limit=1800),
            Part("ways", "looks at the ways to instances", self._follow_ways, limit=300),
            Part("tick", "looks at the table now and then", self._tick, limit=120),
            Part("half-open", "moves half-open connections", half_open.run, limit=120),
            Part("retirement", "sees to versions that had the ports", retirement.run, limit=60),
            Part("collector", "removes old releases", collector.run, limit=60),
            Part("healing", "brings back what is to run", healing.run, limit=300),
            Part("disk", "catches up once a full disk has room", self._follow_disk, limit=300),
        ]

    async def run(self, *more: Part) -> None:
        """Until cancelled; each part by itself."""
        await self._context.supervisor.run([*self.parts(), *more])

    async def _follow_kernel(self) -> None:
        async with aclosing(self._kernel_changes()) as changes:
            async for _ in supervise.each(changes):
                await self._check_table()
                self._changed.set()
        raise Unavailable("The kernel tells of no more changes of nftables.")

    async def _tick(self) -> None:
        while True:
            if self._context.database.refusal is None:
                self._context.database.reserve.hold()
            await self._check_table()
            self._changed.set()
            await supervise.sleep(TICK)

    async def _check_table(self) -> None:
        """Somebody changed nftables: is our table still what it was?"""
        context = self._context
        try:
            async with context.switching:
                if await context.router.intact():
                    context.problems.pop("table", None)
                    return
                _log.warning("the table inet alongside was changed by somebody else; put back")
                await context.router.apply(context.wanted())
            context.half_open.look()
            await context.router.clean_udp(context.wanted())
        except AlongsideError as error:
            context.problems["table"] = error.message
            _log.error("the table could not be put back: %s", error.message)

    async def _follow_ways(self) -> None:
        self._changed.set()  # where it failed before, it has not looked
        while True:
            await supervise.pause(self._changed)
            self._changed.clear()
            try:
                await self._look()
                self._context.problems.pop("ways", None)
            except Unavailable:
                pass  # the engine is away: a problem already, and looked for elsewhere
            except AlongsideError as error:
                self._context.problems["ways"] = error.message
            await supervise.sleep(LOOK)

    async def _look(self) -> None:
        """From one instance that runs, whichever: what lets one of them through lets all."""
        context = self._context
        await ways.look_at_engine(context)
        for instance in context.instances.all():
            if context.instances.wanted(instance) == "running" and context.on_bridge(instance):
                container = await context.engine.container(instance.name)
                if container is not None and container.running:
                    await ways.look(context, instance, container)
                    return
        context.problems.pop(ways.CONTAINERS, None)  # nobody to ask
        context.problems.pop(ways.OUTSIDERS, None)

    async def _follow_engine(self) -> None:
        while True:
            try:
                # Heard from here on, so that nothing is missed while it is met.
                events = self._context.engine.events()
                await self._meet_engine()
                async with aclosing(events):
                    async for event in supervise.each(events):
                        self._context.news.tell()
                        self._context.healing.heard(event)
                        if event.kind == "network" and event.action in ("create", "destroy"):
                            await self._refresh_bridges()
            except AlongsideError as error:
                if "engine" not in self._context.problems:
                    _log.warning("the engine does not answer: %s", error.message)
                self._context.problems["engine"] = error.message
                self._context.news.tell()
            await supervise.sleep(RETRY)

    async def _meet_engine(self) -> None:
        """The engine is there, for the first time or again."""
        await self._refresh_bridges()
        self._context.problems.pop("engine", None)
        self._context.news.tell()
        self._context.healing.met()
        self._changed.set()
        if self._context.database.refusal is not None:
            return
        try:
            await removals.finish(self._context)
            await self._discard_strays()
            await self._tidy_images()
            await beforehand.put_back(self._context)
            await self._follow_releases()
        except StateUnwritable as error:  # the engine is there all the same
            _log.warning("what is to be tidied and followed waits for the disk: %s", error.message)
        self._context.retirement.wake()

    async def _follow_releases(self) -> None:
        """Raises StateUnwritable."""
        for service in {route.service for route in self._context.routes.all() if route.follows}:
            for sentence in await follow(self._context, service, lambda _: None):
                _log.info("%s", sentence)
        for service in {one.service for one in self._context.releases.all() if one.spec.follow}:
            for sentence in self._context.follower.look(service):
                _log.info("%s", sentence)

    async def _check_pool(self) -> None:
        """A network that somebody makes within the pool stands in the way of versions to come."""
        try:
            await check_pool(self._context.pool.ipv4)
            self._context.problems.pop("pool", None)
        except Conflict as error:
            self._context.problems["pool"] = f"{error.message} {error.hint}"

    async def _refresh_bridges(self) -> None:
        await self._check_pool()
        found = await self._context.engine.networks()
        bridges = frozenset(network.bridge for network in found if network.bridge)
        if bridges != self._context.bridges:
            self._context.bridges = bridges
            await self._commit()
            self._context.database.keep_if_writable(BRIDGES, " ".join(sorted(bridges)))

    async def _discard_strays(self) -> None:
        """Only now that the engine answers: it says what a container mounts. What fails here keeps
        nothing else back."""
        try:
            await remember_mounts(self._context)
            await discard_strays(self._context, self._leftovers)
            self._leftovers = []
            forget_lost(self._context.paths.root)
        except (Unavailable, StateUnwritable):
            raise
        except AlongsideError as error:
            _log.error("trees of no release were not looked through: %s", error.message)

    async def _tidy_images(self) -> None:
        """An image that was built and whose release was never recorded, as the daemon died
        between, loses its names; a build of that tag starts anew. And every release's image has
        a name of ours, also one that an older alongside built."""
        context = self._context
        try:
            if not context.locks[BUILDS].locked():
                async with context.locks[BUILDS]:
                    await take_back_all(context)
            await hold_images(context)
            context.problems.pop("images", None)
        except StepFailed as error:  # what runs does not depend on names
            context.problems["images"] = f"Names of images are not as they should be: {error}"

    async def _commit(self) -> None:
        await self._context.commit()
        await self._context.router.clean_udp(self._context.wanted())
