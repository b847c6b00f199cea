"""What becomes of versions that have left the ports: drained, cut, and kept or stopped.

The order is always that, and no lock is held while a version drains. What is to be done is read
from the store and from the host each time, so that a crash on the way costs nothing.

No version's drain waits for another's, nor for what is kept or stopped; and no service waits for
another: each is a part of its own under the supervisor (decision 48).
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import defaultdict
from collections.abc import Iterable
from functools import partial

from alongside.daemon import supervise
from alongside.daemon.context import Context
from alongside.daemon.countdown import Drains
from alongside.daemon.executor import Executor
from alongside.daemon.former import ITSELF
from alongside.daemon.left import Left
from alongside.daemon.locks import holding
from alongside.daemon.news import News
from alongside.daemon.supervise import Part
from alongside.domain.backoff import Backoff
from alongside.domain.deployment import Former
from alongside.domain.errors import AlongsideError
from alongside.domain.history import Actor, Outcome
from alongside.domain.instance import Instance
from alongside.domain.policy import StandbyAs
from alongside.domain.port import Protocol
from alongside.domain.release import Release
from alongside.domain.version import Version
from alongside.engine import ours
from alongside.host.cut import cut
from alongside.plan.standby import kept_as, plan_keep
from alongside.router.protocol import FarEnd

LOOK = 1.0  # seconds between two looks at who is left
SWITCHING = 0.05  # seconds until it is looked whether a switch is over

# Seconds that may pass without a beat. To cut takes a question to the engine, which may take a
# minute to answer; to keep or to stop takes several, and what it takes to be ready on top.
_DRAIN, _STANDBY = 300.0, 600.0


def itself() -> Actor:
    """Who does what nobody asked for."""
    return Actor(os.geteuid(), ITSELF)


class Retirement:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._left = Left(context.router)
        self._news = News()
        self._of_service: defaultdict[str, News] = defaultdict(News)  # for what keeps or stops
        self._drains = Drains()

    def wake(self) -> None:
        """Somebody has left the ports, or a trial has ended."""
        self._news.tell()
        for news in self._of_service.values():
            news.tell()

    async def run(self) -> None:
        """Sees to it that every service and every drain has its own part. Until cancelled."""
        kept: set[str] = set()
        try:
            while True:
                news = self._news.next()
                for part in self._parts():
                    self._context.supervisor.keep(part)
                    kept.add(part.name)
                await supervise.pause(news)
        except asyncio.CancelledError:
            await self._context.supervisor.end(kept)
            raise

    def _parts(self) -> Iterable[Part]:
        former = self._context.former.left()
        self._forget_problems({service for service, _, _ in former}, former)
        for service, version, drained in former:
            if not drained:
                reference = f"{service}@{version}"
                work = partial(self._drain, service, version)
                does = f"drains {reference}"
                yield Part(f"drain {reference}", does, work, limit=_DRAIN, ends=True)
        for service in {service for service, _, _ in former}:
            does = f"keeps or stops versions of {service} that had the ports"
            work = partial(self._stand_by, service)
            yield Part(f"standby {service}", does, work, limit=_STANDBY)

    def _forget_problems(
        self, services: set[str], former: Iterable[tuple[str, Version, bool]]
    ) -> None:
        """Of versions that are kept by policy no longer."""
        kept = services | {f"{service}@{version}" for service, version, _ in former}
        for about in list(self._context.problems):
            kind, _, of = about.partition(" ")
            if kind in ("standby", "drain") and of not in kept:
                del self._context.problems[about]

    async def _drain(self, service: str, version: Version) -> None:
        """Until nobody is left on it, or what is left has been cut."""
        context, about = self._context, f"drain {service}@{version}"
        while True:
            news = self._news.next()
            former = context.former.get(service, version)
            if former is None or former.drained:
                break
            try:
                wait = await self._look(former)
                context.problems.pop(about, None)
            except AlongsideError as error:
                context.problems[about] = error.message
                wait = LOOK
            if wait:
                await supervise.pause(news, wait)
        context.problems.pop(about, None)
        self._of_service[service].tell()

    async def _look(self, former: Former) -> float:
        """In how many seconds to look again; 0 once it has drained."""
        context = self._context
        instance = context.instances.get(former.service, former.version)
        if instance is None:
            return LOOK
        # Out of the route comes first: not while the kernel may still lead there.
        if former.service in context.switching_now:
            return SWITCHING
        left = await self._left.on(far_ends(context, instance))
        if left.tcp:
            # All at the same moment, so that they are one question.
            wait = LOOK - time.monotonic() % LOOK
            if (end := self._drains.of(former)) is not None:
                wait = min(wait, end.left)
            if wait > 0:
                return wait
            await self._cut(former, instance)
        context.former.drained(former)
        return 0.0

    async def _cut(self, former: Former, instance: Instance) -> None:
        """Reset what is left of the connections, at both ends."""
        context = self._context
        release = context.releases.get(former.service, former.version)
        container = ours.own(await context.engine.container(instance.name), instance)
        if release is None or container is None or not container.pid:
            return
        if context.former.get(former.service, former.version) != former:
            return  # it has the ports again, and its connections are not to be cut
        # A paused one has sockets too, and its clients wait.
        on_host = release.spec.host_network
        ports = {
            (Protocol.TCP, local.number if on_host else local.target)
            for local in instance.local_ports
            if local.protocol is Protocol.TCP
        }
        many = await cut(0 if on_host else container.pid, ports)
        if many:
            end = self._drains.of(former)
            seconds = end.age if end else 0.0
            operation = context.journal.begin(
                "drain", former.service, itself(), before="", after=str(former.version), message=""
            )
            said = f"{many} connection{'s were' if many > 1 else ' was'} left after {seconds:.0f} s"
            context.journal.end(operation, Outcome.DONE, f"{said}, and cut")

    async def _stand_by(self, service: str) -> None:
        """Until cancelled."""
        context, about, backoff = self._context, f"standby {service}", Backoff(longest=30.0)
        while True:
            news = self._of_service[service].next()
            try:
                await self._settle(service)
                context.problems.pop(about, None)
                backoff = backoff.went_well()
            except AlongsideError as error:
                context.problems[about] = error.message
                backoff = backoff.failed()
            await supervise.pause(news, backoff.wait or None)

    async def _settle(self, service: str) -> None:
        """Keep or stop whom nobody is left on; not while a version is on trial or about to be,
        since one of them may have the ports again in a moment."""
        context = self._context
        current = context.in_force(service)
        if current is None or context.trials.get(service) is not None:
            return
        if service in context.switching_now or any(
            (one.service, one.verb) == (service, "deploy") for one in context.journal.pending()
        ):
            return
        bad, trail, standby = context.bad(service), context.trail(service), current.spec.standby
        drained = []
        for one in context.former.all(service):
            if one.drained and one.by_hand and not standby.said:
                context.former.forget(service, one.version)  # it stays as the person left it
            elif one.drained:
                drained.append(one.version)
        kept = kept_as(drained, trail, current.version, bad, standby)
        for version, how in kept.items():
            release = context.releases.get(service, version)
            if release is not None:
                await self._keep(release, how)
                supervise.beat()

    async def _keep(self, release: Release, how: StandbyAs | None) -> None:
        context, about = self._context, f"standby {release.reference}"
        async with holding(context, [release]):
            if not any(
                one.drained and one.version == release.version
                for one in context.former.all(release.service)
            ):
                return  # it has the ports again, or is a person's now
            plan = plan_keep(release, how, await context.observe(release.service, [release]))
            context.problems.pop(about, None)
            if plan.steps:
                try:
                    why = f"kept {how}" if how else "not kept"
                    supervise.beat(allow=release.spec.ready.timeout)
                    await Executor(context).run(plan, itself(), why, lambda _: None)
                except AlongsideError as error:
                    said = f"could not be kept {how}" if how else "could not be stopped"
                    context.problems[about] = (
                        f"{release.reference}, which a rollback may go to, {said}: {error.message}"
                    )
            elif how in (None, StandbyAs.STOPPED):
                # It has ended already, and is not to be brought back.
                instance = context.instances.get(release.service, release.version)
                if instance is not None and release.version not in _routed(context, release):
                    context.instances.want(instance, "stopped")
            if how is None and about not in context.problems:
                context.former.forget(release.service, release.version)
                context.collector.look(release.service)


def _routed(context: Context, release: Release) -> set[Version]:
    routes = (one for one in context.routes.all() if one.service == release.service)
    return {version for route in routes for version in route.split.versions}


def far_ends(context: Context, instance: Instance) -> list[FarEnd]:
    """Where its clients' connections end, in conntrack's words."""
    release = context.releases.get(instance.service, instance.version)
    if release is not None and release.spec.host_network:
        return [FarEnd(local.protocol, local.number, ()) for local in instance.local_ports]
    addresses = (instance.subnet.address4, instance.subnet.address6)
    return [FarEnd(local.protocol, local.target, addresses) for local in instance.local_ports]
