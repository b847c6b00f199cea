"""What becomes of versions that have left the ports: drained, cut, and kept or stopped.

The order is always that, and no lock is held while a version drains. What is to be done is read
from the store and from the host each time, so that a crash on the way costs nothing.
"""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import suppress

from alongside.daemon.context import Context
from alongside.daemon.countdown import Drains
from alongside.daemon.executor import Executor
from alongside.daemon.former import ITSELF
from alongside.daemon.locks import holding
from alongside.domain.deployment import Former
from alongside.domain.errors import AlongsideError
from alongside.domain.history import Actor, Outcome
from alongside.domain.instance import Instance
from alongside.domain.policy import StandbyAs
from alongside.domain.port import Protocol
from alongside.domain.release import Release
from alongside.engine import ours
from alongside.host.cut import cut
from alongside.plan.standby import kept_as, plan_keep
from alongside.router.protocol import FarEnd

LOOK = 1.0  # seconds between two looks at who is left

_log = logging.getLogger(__name__)


def itself() -> Actor:
    """Who does what nobody asked for."""
    return Actor(os.geteuid(), ITSELF)


class Retirement:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._woken = asyncio.Event()
        self._drains = Drains()

    def wake(self) -> None:
        """Somebody has left the ports, or a trial has ended."""
        self._woken.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._woken.clear()
            wait = await self._look()
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._woken.wait()

    async def _look(self) -> float | None:
        """Do what can be done now; returns in how many seconds to look again, None for not
        before somebody wakes it."""
        self._forget_problems()
        try:
            await self._drain()
            for service in {one.service for one in self._context.former.all()}:
                await self._settle(service)
            self._context.problems.pop("standby", None)
        except AlongsideError as error:
            self._context.problems["standby"] = error.message
            return LOOK
        draining = [one for one in self._context.former.all() if not one.drained]
        ends = [end.left for one in draining if (end := self._drains.of(one))]
        return min([LOOK, *ends]) if draining else None

    def _forget_problems(self) -> None:
        """Of versions that are kept by policy no longer."""
        kept = {f"{one.service}@{one.version}" for one in self._context.former.all()}
        for about in list(self._context.problems):
            kind, _, reference = about.partition(" ")
            if kind in ("standby", "drain") and reference and reference not in kept:
                del self._context.problems[about]

    async def _drain(self) -> None:
        context = self._context
        draining = {
            one: instance
            for one in context.former.all()
            # Out of the route comes first: not while the kernel may still lead there.
            if not one.drained
            and one.service not in context.switching_now
            and (instance := context.instances.get(one.service, one.version))
        }
        left = await context.router.connections(
            {one: far_ends(context, instance) for one, instance in draining.items()}
        )
        for one, instance in draining.items():
            if not left[one].tcp:
                context.former.drained(one)
            elif (end := self._drains.of(one)) is not None and not end.left:
                about = f"drain {one.service}@{one.version}"
                try:
                    await self._cut(one, instance)
                except AlongsideError as error:  # it hides no other
                    context.problems[about] = error.message
                else:
                    context.problems.pop(about, None)
                    context.former.drained(one)

    async def _cut(self, former: Former, instance: Instance) -> None:
        """Reset what is left of the connections, at both ends."""
        context = self._context
        release = context.releases.get(former.service, former.version)
        container = ours.own(await context.engine.container(instance.name), instance)
        if release is None or container is None or not container.pid:
            return
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
                    await Executor(context).run(plan, itself(), why, lambda _: None)
                except AlongsideError as error:
                    said = f"could not be kept {how}" if how else "could not be stopped"
                    context.problems[about] = (
                        f"{release.reference}, which a rollback may go to, {said}: {error.message}"
                    )
            if how is None and about not in context.problems:
                context.former.forget(release.service, release.version)
                context.collector.look(release.service)


def far_ends(context: Context, instance: Instance) -> list[FarEnd]:
    """Where its clients' connections end, in conntrack's words."""
    release = context.releases.get(instance.service, instance.version)
    if release is not None and release.spec.host_network:
        return [FarEnd(local.protocol, local.number, ()) for local in instance.local_ports]
    addresses = (instance.subnet.address4, instance.subnet.address6)
    return [FarEnd(local.protocol, local.target, addresses) for local in instance.local_ports]
