"""Carrying plans out, step by step, each written down before and after."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from alongside.daemon import faults
from alongside.daemon.context import Context
from alongside.daemon.operations import Emit
from alongside.daemon.projects import instance_project, shared_project
from alongside.domain.errors import AlongsideError, Conflict, NotReady, StepFailed
from alongside.domain.history import Actor, Outcome
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
    RecordRoutes,
    Remove,
    Start,
    StartShared,
    Step,
    Stop,
    Switch,
)
from alongside.ready import wait_ready

LATE_REPLIES = 1.0  # seconds after a switch until UDP flows are looked at once more


class Executor:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._actions: dict[type, Callable[[Any], Awaitable[None]]] = {
            Allocate: self._allocate,
            StartShared: self._start_shared,
            Start: self._start,
            AwaitReady: self._await_ready,
            Switch: self._switch,
            CleanUdp: self._clean_udp,
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
        undo: RecordRoutes | None = None
        try:
            for position, step in enumerate(plan.steps, start=1):
                await self._step(operation, position, step, emit)
                if isinstance(step, RecordRoutes):
                    undo = step
                elif isinstance(step, Switch):
                    undo = None
        except BaseException as error:
            if undo is not None:
                with self._context.database.transaction():
                    self._context.routes.replace(undo.service, undo.seen)
                    journal.mark_routed(operation, False)
            detail = error.message if isinstance(error, AlongsideError) else repr(error)
            journal.end(operation, Outcome.FAILED, detail)
            raise
        journal.end(operation, Outcome.DONE if plan.steps else Outcome.UNCHANGED, plan.reason)

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
        check_free(step.service, [route.port for route in step.routes], routes)
        with self._context.database.transaction():
            self._context.routes.replace(step.service, step.routes)
            self._context.journal.mark_routed(operation, True)

    async def _allocate(self, step: Allocate) -> None:
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
        gateway = default_gateway(container.pid) if container.pid else None
        if gateway not in (None, step.instance.subnet.gateway4):
            raise StepFailed(
                f"The default route of {step.instance.name} leads over {gateway}, another of its "
                "networks, so answers to clients would not come back the way they came.",
                hint="Take the other networks off the service, or make them `internal: true`.",
            )

    async def _await_ready(self, step: AwaitReady) -> None:
        try:
            await wait_ready(step.release.spec.ready, step.instance, self._context.engine)
            container = await self._context.engine.container(step.instance.name)
            if container is not None and container.pid and not await settled6(container.pid):
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

    async def _switch(self, _: Switch) -> None:
        await self._context.commit()

    async def _clean_udp(self, _: CleanUdp) -> None:
        context = self._context
        await context.router.clean_udp(context.wanted())

        async def once_more() -> None:
            await asyncio.sleep(LATE_REPLIES)
            await context.router.clean_udp(context.wanted())

        task = asyncio.create_task(once_more())
        context.background.add(task)
        task.add_done_callback(context.background.discard)

    async def _stop(self, step: Stop) -> None:
        self._context.instances.want(step.instance, "stopped")
        await self._context.engine.stop(step.instance.name)

    async def _remove(self, step: Remove) -> None:
        self._context.instances.want(step.instance, "stopped")
        project = await instance_project(self._context, step.release, step.instance, removing=True)
        await self._context.compose.down(project, volumes=step.volumes)

    async def _forget(self, step: Forget) -> None:
        self._context.instances.forget(step.instance)
