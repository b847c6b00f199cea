"""What was wanted of instances before an operation, and making it so again where that fails.

A plan wants its instances to run, or not to, as it goes along. Where it fails, what is wanted is
what was wanted before, and the engine follows: what the plan had started is stopped again. It is in
the store until the operation has succeeded or all of it is taken back, so that an end of the daemon
on the way loses nothing.
"""

from __future__ import annotations

from collections.abc import Collection

from alongside.daemon.context import Context
from alongside.daemon.first_error import added_to
from alongside.domain.errors import AlongsideError, StepFailed, Unavailable
from alongside.domain.history import Entry, Outcome
from alongside.domain.instance import Instance
from alongside.domain.version import Version
from alongside.engine import ours
from alongside.plan.standby import ALIVE
from alongside.plan.steps import Allocate, Pause, Plan, Remove, Start, Stop, Wake
from alongside.store.instances import Wanted

# Their intent is the route. What runs on the way there is a means to it, so a crash before the
# route is written ends in the old state. The intent of every other verb is what is wanted itself: a
# crash after that is written ends in the new state.
_FOR_PORTS = frozenset({"activate", "deploy", "rollback", "follow"})


Key = tuple[str, Version]


class Beforehand:
    def __init__(self, context: Context, plan: Plan) -> None:
        self._context = context
        kinds = Allocate | Start | Wake | Pause | Stop | Remove
        touched = (step.instance for step in plan.steps if isinstance(step, kinds))
        # A singleton's are taken back with its routes (RecordSingleton).
        instances = [one for one in dict.fromkeys(touched) if not one.singleton]
        self._wanted = {one: context.instances.wanted(one) for one in instances}
        self._ended = {s.instance for s in plan.steps if isinstance(s, Pause | Stop | Remove)}
        self.operation = 0

    def remember(self, operation: int) -> None:
        """In the transaction that begins it."""
        self.operation = operation
        if self._wanted:
            self._context.wanted_before.remember(operation, self._wanted)

    def want_again(self, routed: Collection[Key] = ()) -> None:
        """In the transaction that takes the rest back. `routed`: versions that have ports all the
        same, and stay as they are. Raises StepFailed."""
        for instance, wanted in self._wanted.items():
            if (instance.service, instance.version) not in routed:
                self._context.instances.want(instance, wanted)

    async def put_back(self, error: BaseException, routed: Collection[Key] = ()) -> None:
        """Once it is wanted again. What cannot be put back now is told with `error`, and is tried
        again when the engine is met the next time."""
        left = len(self._wanted)
        for instance, wanted in self._wanted.items():
            with added_to(error):
                if (instance.service, instance.version) not in routed:
                    start = instance in self._ended
                    await _bring_back(self._context, instance, wanted, start=start)
                left -= 1
        if not left:
            with added_to(error):
                self.forget()

    def forget(self) -> None:
        if self._wanted:
            self._context.wanted_before.forget(self.operation)


def settle(context: Context) -> None:
    """At start, before operations that a crash cut off are ended: of those that had not come to
    write their intent down, what was wanted before is wanted again. Raises StepFailed."""
    for before in context.wanted_before.all():
        entry = context.journal.get(before.operation)
        instance = context.instances.get(before.service, before.version, before.ordinal)
        if entry is None or instance is None or entry.routed:
            context.wanted_before.forget_one(before)
        elif _is_taken_back(entry):
            context.instances.want(instance, before.wanted)


async def put_back(context: Context) -> None:
    """When the engine is met: what a crash, or an engine that was away, has left to be taken back.
    Raises Unavailable."""
    for before in context.wanted_before.all():
        entry = context.journal.get(before.operation)
        if entry is None or entry.outcome is Outcome.PENDING:
            continue  # it goes on
        if entry.routed:
            context.wanted_before.forget_one(before)
            continue
        async with context.locks[f"{before.service}@{before.version}"]:
            instance = context.instances.get(before.service, before.version, before.ordinal)
            if before not in context.wanted_before.all():
                continue  # another operation has begun to change it
            about = f"put back {before.service}-{before.version}"
            try:
                if instance is not None:
                    if _is_taken_back(entry):
                        context.instances.want(instance, before.wanted)
                    wanted = context.instances.wanted(instance)
                    await _bring_back(context, instance, wanted, start=False)
                context.wanted_before.forget_one(before)
                context.problems.pop(about, None)
            except Unavailable:
                raise
            except AlongsideError as error:
                context.problems[about] = error.message


def _is_taken_back(entry: Entry) -> bool:
    if entry.outcome is Outcome.FAILED:
        return True
    return entry.outcome is Outcome.PENDING and entry.verb in _FOR_PORTS


async def _bring_back(context: Context, instance: Instance, wanted: Wanted, *, start: bool) -> None:
    """`start`: it may have been ended, and runs again if that is wanted and there is still a
    container of it; else the reconciler starts what is wanted."""
    engine, name = context.engine, instance.name
    container = ours.own(await engine.container(name), instance)
    if container is None:
        return
    alive = container.state in ALIVE
    try:
        if wanted == "stopped":
            if alive:
                await engine.stop(name)
            return
        if start and not (alive if wanted == "paused" else container.running):
            await engine.start(name)
            alive = True
        if wanted == "paused" and alive:
            await engine.pause(name)
    except StepFailed as error:
        raise StepFailed(f"{name} could not be put back to {wanted}: {error.message}") from error
