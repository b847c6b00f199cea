"""Carrying plans out, step by step, each written down before and after."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from alongside.daemon import faults, ways
from alongside.daemon.background import in_background
from alongside.daemon.before import run_before
from alongside.daemon.beforehand import Beforehand
from alongside.daemon.context import Context
from alongside.daemon.disk import disk_errors
from alongside.daemon.first_error import added_to
from alongside.daemon.former import ITSELF, record_former
from alongside.daemon.images import load_image, remove_release
from alongside.daemon.mending import bring_up, start_shared
from alongside.daemon.operations import Emit
from alongside.daemon.projects import instance_project
from alongside.daemon.singletons import converge, prepare, record_singleton, tidy
from alongside.daemon.writers import refuse_writers_beside
from alongside.domain.deployment import Former
from alongside.domain.errors import (
    AlongsideError,
    Conflict,
    NotReady,
    StepFailed,
    add_words,
    said_of,
)
from alongside.domain.history import Actor, Outcome
from alongside.domain.port import Port
from alongside.domain.version import Version
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
    LoadImage,
    OpenTrial,
    Pause,
    Plan,
    PrepareSingleton,
    RecordAssignments,
    RecordRoutes,
    RecordSingleton,
    Remove,
    RemoveRelease,
    ReplaceSingleton,
    RunBefore,
    Start,
    StartShared,
    Step,
    Stop,
    Switch,
    TidySingleton,
    Wake,
)
from alongside.ready import asked_at, wait_ready
from alongside.router.protocol import RoutedPort

if TYPE_CHECKING:
    from alongside.daemon.watcher import Verdict

# Seconds that an engine has, at the end of the daemon, to put back what was begun; else it is done
# when the engine is met again.
PUT_BACK = 20.0
LATE_REPLIES = 1.0  # seconds after a switch until UDP flows are looked at once more

_log = logging.getLogger(__name__)


async def to_its_end(work: Coroutine[Any, Any, None]) -> None:
    """Not cut off on the way: whoever cancels it waits until it has ended."""
    task = asyncio.create_task(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait((task,))
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("what was cut off had failed: %s", said_of(error))
        raise


class Executor:
    """`gap`: after a singleton was replaced, for how many seconds none ran."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._emit: Emit = lambda _: None
        self._actor = ""
        self._verb = ""
        self._service = ""
        self.operation = 0  # its number in the history
        self.verdict: asyncio.Future[Verdict] | None = None  # where a version is on trial now
        self.gap: float | None = None
        self._assigned: tuple[Port, ...] = ()  # or taken back
        self.before: Beforehand | None = None  # what was wanted of the plan's instances
        self._former: list[Former] = []  # of the service, before its routes were changed
        self._undo: Callable[[], None] | None = None  # takes the intent back, once it is written
        self._may_put_back = False  # a singleton's old instance
        self._settled = False  # from here on a failure takes nothing back
        self._for_ports = False  # what runs on the way is wanted for the ports that follow
        self._actions: dict[type, Callable[[Any], Awaitable[None]]] = {
            Allocate: self._allocate,
            StartShared: self._start_shared,
            LoadImage: self._load_image,
            RunBefore: self._run_before,
            Wake: self._wake,
            Start: self._start,
            AwaitReady: self._await_ready,
            Switch: self._switch,
            CleanUdp: self._clean_udp,
            OpenTrial: self._open_trial,
            PrepareSingleton: self._prepare_singleton,
            ReplaceSingleton: self._replace_singleton,
            TidySingleton: self._tidy_singleton,
            Pause: self._pause,
            Stop: self._stop,
            Remove: self._remove,
            Forget: self._forget,
            RemoveRelease: self._remove_release,
        }

    async def run(self, plan: Plan, actor: Actor, message: str, emit: Emit) -> None:
        """Carry the plan out. Raises what a step raises; the routes, and what is wanted of
        instances, are then the old ones, unless the kernel had the new ones already. An operation
        whose version is then on trial is ended by the verdict."""
        context, journal = self._context, self._context.journal
        self.before = before = Beforehand(context, plan)
        with context.database.transaction():
            operation = journal.begin(
                plan.verb,
                plan.service,
                actor,
                before=plan.before,
                after=plan.after,
                message=message,
                going_back=self._goes_back(plan),
            )
            before.remember(operation)
        self.operation, self._emit = operation, emit
        self._actor, self._verb, self._service = actor.name, plan.verb, plan.service
        emit(
            {
                "event": "operation",
                "id": operation,
                "verb": plan.verb,
                "service": plan.service,
            }
        )
        self._undo = None
        self._may_put_back, self._settled = plan.singleton, False
        self._for_ports = plan.routes is not None
        try:
            for position in range(1, len(plan.steps) + 1):
                await self._step(operation, plan, position, emit)
        except BaseException as error:
            if not self._settled:
                await self._take_all_back(plan, error)
            elif isinstance(error, AlongsideError):
                rest = error.hint.removeprefix("Nothing has changed. ")
                error.hint = f"What was asked for had been done by then. {rest}".strip()
            if self._settled:
                with added_to(error):
                    before.forget()
            with added_to(error):
                journal.end(operation, Outcome.FAILED, said_of(error))
                log = error.log if isinstance(error, AlongsideError) else ()
                if log and not journal.output(operation):
                    journal.write(operation, log)
            raise
        finally:
            context.switching_now.discard(plan.service)
            journal.leave(operation)
        if plan.trial is not None:
            return
        detail = plan.reason
        if self.gap is not None:
            detail = f"none ran for {self.gap:.2f} s"
        with context.database.transaction():
            before.forget()
            journal.end(operation, Outcome.DONE if plan.steps else Outcome.UNCHANGED, detail)

    async def _take_all_back(self, plan: Plan, error: BaseException) -> None:
        """What is written at once, then the kernel and the engine; `error` tells what of it
        fails as well."""
        assert self.before is not None  # noqa: S101 - it has begun
        taken = False
        with added_to(error):
            self._context.database.reserve.release()  # it may be what had filled the disk
            with self._context.database.transaction():
                if self._undo is not None:
                    self._undo()
                    self._context.journal.mark_routed(self.operation, False)
                self.before.want_again()
            taken = True
        if not taken:
            if self._undo is not None:
                await self._go_forward(plan, error)
            return
        if self._undo is not None:
            await self._commit_back(error)
        cut_off = isinstance(error, asyncio.CancelledError)
        try:
            async with asyncio.timeout(PUT_BACK if cut_off else None):
                await self.before.put_back(error)
        except TimeoutError:
            _log.error("what %s had started is put back when the engine is met again", plan.verb)
        if self._may_put_back:
            with added_to(error):
                await self._put_back(plan, error)

    def _goes_back(self, plan: Plan) -> bool:
        """To what was before; by hand it may be called so, too."""
        if plan.verb != "activate":
            return plan.verb == "rollback"
        return Version(plan.after) in self._context.trail(plan.service)

    async def _step(self, operation: int, plan: Plan, position: int, emit: Emit) -> None:
        step = plan.steps[position - 1]
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
            with disk_errors():
                await self._actions[type(step)](step)
        self._remember_undo(plan, position, step)
        faults.point(step.name, "after")
        self._context.journal.step(operation, position, step.name, "done")
        emit({**event, "state": "done", "seconds": round(time.monotonic() - started, 4)})

    def _remember_undo(self, plan: Plan, position: int, step: Step) -> None:
        """At once, before the journal has the step as done: that may fail, too."""
        context = self._context
        if isinstance(step, RecordSingleton):
            self._undo = partial(record_singleton, context, step, back=True)
        elif isinstance(step, RecordRoutes):
            self._undo = partial(self._take_back, step, self._former)
            context.switching_now.add(plan.service)
        elif isinstance(step, RecordAssignments):
            self._undo = partial(context.assignments.replace, step.ports, step.seen)
        elif isinstance(step, Forget):
            self._undo = partial(context.instances.add, step.instance)
        if position == plan.settled_at:
            self._undo, self._may_put_back, self._settled = None, False, True
            context.switching_now.discard(plan.service)

    def _record_routes(self, operation: int, step: RecordRoutes) -> None:
        context = self._context
        routes = context.routes.all()
        now = {route for route in routes if route.service == step.service}
        if now != set(step.seen):
            raise Conflict(
                f"The ports of {step.service} were given to another version while this one "
                "was made ready.",
                hint=f"Look at `alongside status {step.service}`, and say it again if it still "
                "holds.",
            )
        ports = [route.port for route in step.routes]
        check_free(step.service, ports, routes, context.assignments.all())
        with context.database.transaction():
            self._former = context.former.all(step.service)
            context.routes.replace(step.service, step.routes)
            by_hand = self._verb in ("activate", "rollback") and self._actor != ITSELF
            record_former(context, step, by_hand=by_hand)
            context.journal.mark_routed(operation, True)

    def _take_back(self, step: RecordRoutes, former: list[Former]) -> None:
        self._context.routes.replace(step.service, step.seen)
        self._context.former.replace(step.service, former)

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
        self._assigned = step.ports

    async def _allocate(self, step: Allocate) -> None:
        # The engine's own words for it are a riddle. A route that is wider than the pool is no
        # obstacle: the instance's is the narrower one.
        pool = self._context.pool.ipv4
        await check_pool(step.instance.subnet.ipv4, shortest=pool.prefixlen)
        with self._context.database.transaction():
            self._context.instances.add(step.instance)
            if self._for_ports:
                # It is to run once what goes before its start has come to pass.
                self._context.instances.want(step.instance, "stopped")
        if self._context.ipv6:
            await ensure_proxy_address(step.instance.subnet.proxy6)
        await self._context.commit()  # the guard stands before the container does

    async def _start_shared(self, step: StartShared) -> None:
        await start_shared(self._context, step.release, step.services)

    async def _load_image(self, step: LoadImage) -> None:
        await load_image(self._context, step.release)

    async def _run_before(self, step: RunBefore) -> None:
        await run_before(self._context, step, self.operation, self._emit)

    async def _wake(self, step: Wake) -> None:
        context, instance = self._context, step.instance
        container = await context.engine.container(instance.name)
        release = context.releases.get(instance.service, instance.version)
        if container is not None and release is not None:
            await refuse_writers_beside(context, release, container)
        context.instances.want(instance, "running")
        await context.engine.start(instance.name)

    async def _pause(self, step: Pause) -> None:
        self._context.instances.want(step.instance, "paused")
        await self._context.engine.pause(step.instance.name)

    async def _open_trial(self, step: OpenTrial) -> None:
        watcher, emit = self._context.watcher, self._emit
        self.verdict = watcher.open(step.release, step.seconds, self.operation, emit)

    async def _start(self, step: Start) -> None:
        self._context.instances.want(step.instance, "running")
        container = await bring_up(self._context, step.release, step.instance)
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
        ready, address = asked_at(step.release.spec, step.instance)
        folder = self._context.paths.compose_file(step.release).parent
        await wait_ready(ready, address, step.instance, self._context.engine, folder=folder)
        if not await self._reachable6(step):
            raise NotReady(
                f"{step.instance.name} did not become ready: its IPv6 address "
                f"{step.instance.subnet.address6} is still tentative.",
                hint="Somebody else on its network may have the address: ip -6 neighbour.",
            )

    async def _reachable6(self, step: AwaitReady) -> bool:
        container = await self._context.engine.container(step.instance.name)
        if container is None or not container.pid or step.release.spec.host_network:
            return True
        return await settled6(container.pid)

    async def _commit_back(self, error: BaseException) -> None:
        """The kernel may have had the new routes already: one that was cut off says nothing.
        What fails is told with `error`."""
        with added_to(error):
            try:
                await to_its_end(self._context.commit())
            except AlongsideError as second:
                self._context.problems["table"] = second.message  # the reconciler looks again
                raise

    async def _switch(self, _: Switch) -> None:
        await to_its_end(self._context.commit())
        self._context.half_open.look(self._assigned)
        self._context.watcher.displaced(self._service, f"{self._verb} by {self._actor}")
        self._context.retirement.wake()

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

        in_background(context, f"moving late UDP flows of {self._service}", once_more)

    async def _prepare_singleton(self, step: PrepareSingleton) -> None:
        await prepare(self._context, step.release, step.instance)

    async def _replace_singleton(self, step: ReplaceSingleton) -> None:
        # One without ports has no switch; and the end of the old one is no fault of its own.
        self._context.watcher.displaced(step.service, f"{self._verb} by {self._actor}")
        self.gap = await converge(self._context, step.service, looked=True)

    async def _tidy_singleton(self, step: TidySingleton) -> None:
        await tidy(self._context, step.service)

    async def _go_forward(self, plan: Plan, error: BaseException) -> None:
        """The intent is written and cannot be taken back. So the kernel follows it: the old state
        in one and the new one in the other is neither. A singleton's container follows when the
        daemon meets the engine the next time. `error` says so."""
        await self._commit_back(error)
        said = (
            f"What was asked for {plan.service} had been written before that, and the ports are as "
            "it says: look at `alongside status`, and at the free space of the state folder."
        )
        if isinstance(error, AlongsideError):
            error.hint = said
        else:
            add_words(error, said)

    async def _put_back(self, plan: Plan, error: BaseException) -> None:
        """The one that ran before runs again, and `error` says whether it does."""
        context, old = self._context, plan.before
        try:
            await context.commit()
            await converge(context, plan.service, looked=True)
            await tidy(context, plan.service)
        except AlongsideError as second:
            said = f"{plan.service}@{old} could not be started again: {second.message}"
            context.problems[f"start {plan.service}-current"] = said
            add_words(error, said)
        else:
            if old:
                add_words(error, f"{plan.service}@{old} runs again.")

    async def _stop(self, step: Stop) -> None:
        self._context.instances.want(step.instance, "stopped")
        await self._context.engine.stop(step.instance.name)

    async def _remove(self, step: Remove) -> None:
        self._context.instances.want(step.instance, "stopped")
        project = await instance_project(self._context, step.release, step.instance, removing=True)
        await self._context.compose.down(project, volumes=step.volumes)

    async def _remove_release(self, step: RemoveRelease) -> None:
        await remove_release(self._context, step.release, data=step.data)

    async def _forget(self, step: Forget) -> None:
        self._context.instances.forget(step.instance)
