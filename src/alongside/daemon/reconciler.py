"""Holding the host to what is wanted: after a start, a crash, a flush, an engine's restart."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

from alongside.daemon import beforehand, trees, ways
from alongside.daemon.context import Context
from alongside.daemon.images import load_image
from alongside.daemon.locks import BUILDS
from alongside.daemon.projects import instance_project, shared_project
from alongside.daemon.singletons import converge, finish, tidy
from alongside.daemon.verbs.follow import follow
from alongside.domain.deployment import Trial
from alongside.domain.errors import AlongsideError, Conflict, Unavailable
from alongside.domain.history import Entry, Outcome
from alongside.domain.instance import Instance
from alongside.domain.release import Release
from alongside.domain.service import Sharing
from alongside.domain.version import Version
from alongside.engine import ours
from alongside.engine.protocol import LABEL_SERVICE, LABEL_VERSION
from alongside.host.addresses import check_pool
from alongside.host.proxy_address import ensure_proxy_address
from alongside.plan.beside import is_singleton
from alongside.ready import asked_at, wait_ready

TICK = 30.0  # seconds between two looks where nothing was heard
RETRY = 1.0  # seconds between two tries to reach the engine
BRIDGES = "bridges"  # the key that they are kept under
LOOK = 5.0  # seconds between two looks at the ways to instances, at the least

_log = logging.getLogger(__name__)


class Reconciler:
    def __init__(self, context: Context, kernel_changes: AsyncIterator[None]) -> None:
        self._context = context
        self._kernel_changes = kernel_changes
        self._unfinished: list[Entry] = []  # singletons that were being replaced
        self._changed = asyncio.Event()  # something that the ways to instances may depend on

    def settle(self) -> None:
        """Before anything else at start: what a crash left half-way is decided from the journal.

        The intent is written before the kernel is touched, so an operation that has changed the
        routes wanted goes forward, and any other has switched nothing.
        """
        beforehand.settle(self._context)
        journal = self._context.journal
        singletons = self._context.instances.singletons()
        trials = {trial.operation for trial in self._context.trials.all()}
        for entry in journal.pending():
            if entry.id in trials:
                continue  # its verdict is yet to come
            if entry.routed and entry.after and entry.service in singletons:
                self._unfinished.append(entry)  # until the engine is there
            elif entry.routed and entry.verb == "deploy":
                self._on_trial(entry)
            elif entry.routed:
                journal.end(entry.id, Outcome.DONE, "finished after a restart of the daemon")
            else:
                journal.end(entry.id, Outcome.INTERRUPTED, "the daemon ended; nothing was switched")
        for leftover in self._context.paths.incoming.iterdir():
            trees.discard(leftover)
        released = {
            self._context.paths.tree(release.repository, release.tree)
            for release in self._context.releases.all()
        }
        for tree in (self._context.paths.root / "trees").glob("*/*"):
            if tree not in released:
                trees.discard(tree)

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
        self._context.watcher.resume()

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow_kernel())
            tasks.create_task(self._follow_engine())
            tasks.create_task(self._follow_ways())
            tasks.create_task(self._tick())
            tasks.create_task(self._context.retirement.run())
            tasks.create_task(self._context.collector.run())

    async def _follow_kernel(self) -> None:
        async for _ in self._kernel_changes:
            await self._check_table()
            self._changed.set()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            await self._check_table()
            self._changed.set()

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
            await context.router.clean_udp(context.wanted())
        except AlongsideError as error:
            context.problems["table"] = error.message
            _log.error("the table could not be put back: %s", error.message)

    async def _follow_ways(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                await self._look()
                self._context.problems.pop("ways", None)
            except Unavailable:
                pass  # the engine is away: a problem already, and looked for elsewhere
            except AlongsideError as error:
                self._context.problems["ways"] = error.message
            await asyncio.sleep(LOOK)

    async def _look(self) -> None:
        """From one instance that runs, whichever: what lets one of them through lets all."""
        context = self._context
        for instance in context.instances.all():
            if context.instances.wanted(instance) == "running" and context.on_bridge(instance):
                container = await context.engine.container(instance.name)
                if container is not None and container.running:
                    await ways.look(context, instance, container)
                    return
        context.problems.pop(ways.CONTAINERS, None)  # nobody to ask

    async def _follow_engine(self) -> None:
        while True:
            try:
                await self._meet_engine()
                self._context.problems.pop("engine", None)
                self._context.news.tell()
                async for event in self._context.engine.events():
                    self._context.news.tell()
                    if event.kind == "network" and event.action in ("create", "destroy"):
                        await self._refresh_bridges()
            except AlongsideError as error:
                if "engine" not in self._context.problems:
                    _log.warning("the engine does not answer: %s", error.message)
                self._context.problems["engine"] = error.message
                self._context.news.tell()
            await asyncio.sleep(RETRY)

    async def _meet_engine(self) -> None:
        """The engine is there, for the first time or again."""
        await self._refresh_bridges()
        await self._untag_unreleased()
        await beforehand.put_back(self._context)
        instances = self._context.instances
        routed = {
            (route.service, version)
            for route in self._context.routes.all()
            for version in route.split.versions
        }
        wanted = [one for one in instances.all() if instances.wanted(one) != "stopped"]
        wanted.sort(key=lambda one: (one.service, one.version) not in routed)
        for instance in wanted:
            if not instance.singleton:
                await self._start(instance)
        for service in self._singletons():
            await self._converge(service)
        self._changed.set()
        for service in {route.service for route in self._context.routes.all() if route.follows}:
            for sentence in await follow(self._context, service, lambda _: None):
                _log.info("%s", sentence)
        for service in {one.service for one in self._context.releases.all() if one.spec.follow}:
            for sentence in self._context.follower.look(service):
                _log.info("%s", sentence)
        self._context.retirement.wake()

    def _singletons(self) -> list[str]:
        """The services that are singletons now, or were by their last release."""
        newest = {release.service: release for release in self._context.releases.all()}
        running = self._context.instances.singletons()
        return [name for name, one in newest.items() if is_singleton(one) or name in running]

    async def _converge(self, service: str) -> None:
        """One instance runs, whatever a crash left; a replacement that it cut off is finished,
        or taken back where the new one does not become ready."""
        context = self._context
        about = f"start {service}-current"
        async with context.locks[service]:
            try:
                for entry in [one for one in self._unfinished if one.service == service]:
                    await finish(context, entry)
                    self._unfinished.remove(entry)
                await converge(context, service)
                await tidy(context, service)
                context.problems.pop(about, None)
            except AlongsideError as error:
                context.problems[about] = f"{service}-current is not as wanted: {error.message}"
                _log.error("%s", context.problems[about])

    async def _start(self, instance: Instance) -> None:
        """Start what is wanted and does not run; one that fails hides no other."""
        context = self._context
        about = f"start {instance.name}"
        release = context.releases.get(instance.service, instance.version)
        if release is None:
            return
        try:
            async with context.locks[release.reference]:
                if context.instances.wanted(instance) == "stopped":
                    return  # an operation that went on meanwhile has ended it
                container = ours.own(await context.engine.container(instance.name), instance)
                paused = context.instances.wanted(instance) == "paused"
                if container is not None and container.state == "paused" and paused:
                    return
                if container is not None and container.state == "paused":
                    await context.engine.start(instance.name)  # Compose does not
                elif container is None or not container.running:
                    _log.info("starting %s, which is wanted and does not run", instance.name)
                    await self._bring_up(release, instance)
                if paused:
                    ready, address = asked_at(release.spec, instance)
                    folder = context.paths.compose_file(release).parent
                    await wait_ready(ready, address, instance, context.engine, folder=folder)
                    await context.engine.pause(instance.name)
            context.problems.pop(about, None)
        except AlongsideError as error:
            context.problems[about] = f"{instance.name} could not be started: {error.message}"
            _log.error("%s", context.problems[about])

    async def _bring_up(self, release: Release, instance: Instance) -> None:
        """With all that it needs: what went before its start may not have come to pass."""
        context = self._context
        archived = context.paths.archive(release).exists()
        if archived and await context.engine.image(release.image_id) is None:
            await load_image(context, release)
        shared = [one.name for one in release.spec.depends if one.sharing is Sharing.SHARED]
        if shared:
            await context.compose.up(await shared_project(context, release), shared)
        project = await instance_project(context, release, instance)
        await context.compose.up(project, [release.service])

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
            self._context.database.keep(BRIDGES, " ".join(sorted(bridges)))
            await self._commit()

    async def _untag_unreleased(self) -> None:
        """An image that was built and whose release was never recorded: the daemon died between.
        Its name is taken off; a build of that tag starts anew."""
        context = self._context
        if context.locks[BUILDS].locked():
            return
        for image in await context.engine.images():
            service, version = image.labels[LABEL_SERVICE], image.labels.get(LABEL_VERSION, "")
            if context.releases.get(service, Version(version)) is None:
                for tag in image.tags:
                    if tag.endswith(f":{version}"):
                        _log.info("untagging %s: it was built, but never released", tag)
                        await context.engine.untag(tag)

    async def _commit(self) -> None:
        await self._context.commit()
        await self._context.router.clean_udp(self._context.wanted())
