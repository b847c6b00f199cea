"""Carrying plans out, step by step, each written down before and after."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Any

from alongside.daemon import faults, ways
from alongside.daemon.context import Context
from alongside.daemon.operations import Emit
from alongside.daemon.projects import instance_project, shared_project
from alongside.daemon.singletons import converge, prepare, record_singleton, tidy
from alongside.domain.errors import AlongsideError, Conflict, NotReady, StepFailed
from alongside.domain.history import Actor, Outcome
from alongside.host.addresses import check_pool
from alongside.host.default_route import default_gateway
from alongside.host.proxy_address import ensure_proxy_address
from alongside.host.tentative import settled6
from alongside.plan.activate import check_free
from alongside.plan.render import describe
from alongside.plan.steps import (
    Allocate,
    AwaitReady,
    CleanUdp,
    Forget,
    Plan,
    PrepareSingleton,
    RecordAssignments,
    RecordRoutes,
    RecordSingleton,
    Remove,
    ReplaceSingleton,
    Start,
    StartShared,
    Step,
    Stop,
    Switch,
    TidySingleton,
)
from alongside.ready import asked_at, wait_ready
from alongside.router.protocol import RoutedPort

LATE_REPLIES = 1.0  # seconds after a switch until UDP flows are looked at once more


class Executor:
    """`gap`: after a singleton was replaced, for how many seconds none ran."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.gap: float | None = None
        self._actions: dict[type, Callable[[Any], Awaitable[None]]] = {
            Allocate: self._allocate,
            StartShared: self._start_shared,
            Start: self._start,
            AwaitReady: self._await_ready,
            Switch: self._switch,
            CleanUdp: self._clean_udp,
            PrepareSingleton: self._prepare_singleton,
            ReplaceSingleton: self._replace_singleton,
            TidySingleton: self._tidy_singleton,
            Stop: self._stop,
            Remove: self._remove,
            Forget: self._forget,
        }

    async def run(self, plan: Plan, actor: Actor, message: str, emit: Emit) -> None:
        """Carry the plan out. Raises what a step raises; the routes are then the old ones,
        unless the kernel had the new ones already."""
        journal = self._context.journal
        operation = journal.begin(
            plan.verb, plan.service, actor, before=plan.before, after=plan.after, message=message
        )
        emit(
            {
                "event": "operation",
                "id": operation,
                "verb": plan.verb,
                "service": plan.service,
            }
        )
        undo: Callable[[], None] | None = None
        put_back = self._put_back if plan.singleton else None
        try:
            for position, step in enumerate(plan.steps, start=1):
                await self._step(operation, position, step, emit)
                if isinstance(step, RecordSingleton):
                    undo = partial(record_singleton, self._context, step, back=True)
                elif isinstance(step, RecordRoutes):
                    undo = partial(self._context.routes.replace, step.service, step.seen)
                elif isinstance(step, RecordAssignments):
                    undo = partial(self._context.assignments.replace, step.ports, step.seen)
                if position == plan.settled_at:
                    undo = put_back = None
        except BaseException as error:
            if undo is not None:
                with self._context.database.transaction():
                    undo()
                    journal.mark_routed(operation, False)
            if put_back is not None:
                await put_back(plan, error)
            detail = error.message if isinstance(error, AlongsideError) else repr(error)
            journal.end(operation, Outcome.FAILED, detail)
            raise
        detail = plan.reason
        if self.gap is not None:
            detail = f"none ran for {self.gap:.2f} s"
        journal.end(operation, Outcome.DONE if plan.steps else Outcome.UNCHANGED, detail)

    async def _step(self, operation: int, position: int, step: Step, emit: Emit) -> None:
        event = {
            "event": "step",
            "position": position,
            "name": step.name,
            "text": describe(step),
        }
        self._context.journal.step(operation, position, step.name, "started")
        emit({**event, "state": "started"})
        started = time.monotonic()
        faults.point(step.name, "before")
        if isinstance(step, RecordRoutes):
            self._record_routes(operation, step)
        elif isinstance(step, RecordAssignments):
            self._record_assignments(operation, step)
        elif isinstance(step, RecordSingleton):
            with self._context.database.transaction():
                record_singleton(self._context, step)
                self._context.journal.mark_routed(operation, True)
        else:
            await self._actions[type(step)](step)
        faults.point(step.name, "after")
        self._context.journal.step(operation, position, step.name, "done")
        emit({**event, "state": "done", "seconds": round(time.monotonic() - started, 4)})

    def _record_routes(self, operation: int, step: RecordRoutes) -> None:
        routes = self._context.routes.all()
        now = {route for route in routes if route.service == step.service}
        if now != set(step.seen):
            raise Conflict(
                f"The ports of {step.service} were given to another version while this one "
                "was made ready.",
                hint=f"Look at `alongside status {step.service}`, and say it again if it still "
                "holds.",
            )
        ports = [route.port for route in step.routes]
        check_free(step.service, ports, routes, self._context.assignments.all())
        with self._context.database.transaction():
            self._context.routes.replace(step.service, step.routes)
            self._context.journal.mark_routed(operation, True)

    def _record_assignments(self, operation: int, step: RecordAssignments) -> None:
        context = self._context
        now = {one for one in context.assignments.all() if one.port in step.ports}
        routed = [
            route
            for route in context.routes.all()
            if any(route.port.overlaps(one.port) for one in step.assignments)
        ]
        if now != set(step.seen) or routed:
            raise Conflict(
                "The ports were given to something else a moment ago.",
                hint="Look at `alongside ports`, and say it again if it still holds.",
            )
        with context.database.transaction():
            context.assignments.replace(step.ports, step.assignments)
            context.journal.mark_routed(operation, True)

    async def _allocate(self, step: Allocate) -> None:
        # The engine's own words for it are a riddle. A route that is wider than the pool is no
        # obstacle: the instance's is the narrower one.
        pool = self._context.pool.ipv4
        await check_pool(step.instance.subnet.ipv4, shortest=pool.prefixlen)
        self._context.instances.add(step.instance)
        if self._context.ipv6:
            await ensure_proxy_address(step.instance.subnet.proxy6)
        await self._context.commit()  # the guard stands before the container does

    async def _start_shared(self, step: StartShared) -> None:
        project = await shared_project(self._context, step.release)
        await self._context.compose.up(project, step.services)

    async def _start(self, step: Start) -> None:
        self._context.instances.want(step.instance, "running")
        project = await instance_project(self._context, step.release, step.instance)
        await self._context.compose.up(project, [step.release.service])
        container = await self._context.engine.container(step.instance.name)
        if container is None:
            raise StepFailed(f"Compose made no container {step.instance.name}.")
        if step.release.spec.host_network:
            return
        gateway = default_gateway(container.pid) if container.pid else None
        if gateway not in (None, step.instance.subnet.gateway4):
            raise StepFailed(
                f"The default route of {step.instance.name} leads over {gateway}, another of its "
                "networks, so answers to clients would not come back the way they came.",
                hint="Take the other networks off the service, or make them `internal: true`.",
            )
        await ways.look(self._context, step.instance, container)

    async def _await_ready(self, step: AwaitReady) -> None:
        try:
            ready, address = asked_at(step.release.spec, step.instance)
            await wait_ready(ready, address, step.instance, self._context.engine)
            if not await self._reachable6(step):
                raise NotReady(
                    f"{step.instance.name} did not become ready: its IPv6 address "
                    f"{step.instance.subnet.address6} is still tentative.",
                    hint="Somebody else on its network may have the address: ip -6 neighbour.",
                )
        except NotReady:
            if step.undo:
                self._context.instances.want(step.instance, "stopped")
                await self._context.engine.stop(step.instance.name)
            raise

    async def _reachable6(self, step: AwaitReady) -> bool:
        container = await self._context.engine.container(step.instance.name)
        if container is None or not container.pid or step.release.spec.host_network:
            return True
        return await settled6(container.pid)

    async def _switch(self, _: Switch) -> None:
        await self._context.commit()

    async def _clean_udp(self, step: CleanUdp) -> None:
        context = self._context

        async def clean() -> None:
            wanted = context.wanted()
            kept = {routed.port for routed in wanted.ports}
            gone = (RoutedPort(port, ()) for port in step.gone if port not in kept)
            await context.router.clean_udp(replace(wanted, ports=(*wanted.ports, *gone)))

        await clean()

        async def once_more() -> None:
            await asyncio.sleep(LATE_REPLIES)
            await clean()

        task = asyncio.create_task(once_more())
        context.background.add(task)
        task.add_done_callback(context.background.discard)

    async def _prepare_singleton(self, step: PrepareSingleton) -> None:
        await prepare(self._context, step.release, step.instance)

    async def _replace_singleton(self, step: ReplaceSingleton) -> None:
        self.gap = await converge(self._context, step.service)

    async def _tidy_singleton(self, step: TidySingleton) -> None:
        await tidy(self._context, step.service)

    async def _put_back(self, plan: Plan, error: BaseException) -> None:
        """The one that ran before runs again, and `error` says whether it does."""
        context, old = self._context, plan.before
        try:
            await context.commit()
            await converge(context, plan.service)
            await tidy(context, plan.service)
        except AlongsideError as second:
            said = f"{plan.service}@{old} could not be started again: {second.message}"
            context.problems[f"start {plan.service}-current"] = said
        else:
            said = f"{plan.service}@{old} runs again." if old else ""
        if isinstance(error, AlongsideError) and said:
            error.message = f"{error.message} {said}"

    async def _stop(self, step: Stop) -> None:
        self._context.instances.want(step.instance, "stopped")
        await self._context.engine.stop(step.instance.name)

    async def _remove(self, step: Remove) -> None:
        self._context.instances.want(step.instance, "stopped")
        project = await instance_project(self._context, step.release, step.instance, removing=True)
        await self._context.compose.down(project, volumes=step.volumes)

    async def _forget(self, step: Forget) -> None:
        self._context.instances.forget(step.instance)
