"""`deploy`: a version through the gates to the ports, and back where it fails."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from alongside.daemon import ways
from alongside.daemon.context import Context
from alongside.daemon.executor import Executor
from alongside.daemon.first_error import added_to
from alongside.daemon.locks import holding
from alongside.daemon.operations import Emit
from alongside.daemon.verbs.activate import now_reach, with_others
from alongside.daemon.verbs.change import (
    Asked,
    Result,
    carry_out,
    one_version,
    releases_of,
)
from alongside.daemon.watcher import Verdict
from alongside.domain.errors import AlongsideError, TrialFailed
from alongside.domain.history import Actor
from alongside.domain.release import Release
from alongside.plan.beside import is_singleton
from alongside.plan.deploy import plan_deploy
from alongside.plan.rollback import plan_rollback, rollback_target
from alongside.plan.steps import Plan

T = TypeVar("T")


async def deploy(
    context: Context,
    reference: str,
    asked: Asked,
    emit: Emit,
    *,
    take: bool = False,
    force: bool = False,
    watch: float | None = None,
) -> Result:
    """Raises what `activate` raises; TrialFailed where the version had the ports and has lost
    them again, or where somebody aborted it. The version before then has them."""
    service, version = one_version(context, reference)
    releases = await with_others(context, service, version)
    release, executor = releases[0], Executor(context)
    ports = [one.port for one in release.spec.ports] + [one.port for one in release.spec.also]
    try:
        async with holding(context, releases):
            observed = await context.observe(service, releases, ports=ports)
            plan = plan_deploy(service, version, observed, take=take, force=force, watch=watch)
            work = carry_out(
                context,
                plan,
                asked,
                emit,
                lambda: [*now_reach(plan), *ways.notes(context)],
                executor=executor,
            )
            result = await _unless(asked.abort, work)
    except _Aborted as aborted:
        raise await _leave(context, plan, executor, releases, aborted.by, emit) from None
    finally:
        context.retirement.wake()  # it waits until nothing is deployed
    if executor.verdict is not None:
        # No lock is held from here on: whoever goes back need not wait for the trial.
        await _come_through(context, release, executor, asked, result)
    return result


async def _come_through(
    context: Context, release: Release, executor: Executor, asked: Asked, result: Result
) -> None:
    assert executor.verdict is not None  # noqa: S101 - it has been looked at
    try:
        verdict = await _unless(asked.abort, _shielded(executor.verdict))
    except _Aborted as aborted:
        why = f"was given up by {aborted.by.name}"
        failed = await context.watcher.fail(release.service, release.version, why)
        verdict = await executor.verdict  # if it was not failed it had just come
        if failed:
            kept = verdict.reason if verdict.now == release.version else ""
            raise _given_up(release, aborted.by, kept.partition(": ")[2]) from None
    if verdict.reason:
        raise TrialFailed(
            _lost(release, verdict),
            hint=f"`alongside logs {release.reference}` shows more; `alongside history "
            f"{release.service}` keeps this.",
            log=verdict.log,
        )
    result["summary"] = [*result["summary"], f"{release.reference} is good."]


def _lost(release: Release, verdict: Verdict) -> str:
    if verdict.now == release.version:
        return f"{release.reference} is not good: it {verdict.reason}"
    now = f"{release.service}@{verdict.now}" if verdict.now else ""
    if is_singleton(release):
        back = f" {now} runs again." if now else ""
        return f"{release.reference} ran and was ended again: it {verdict.reason}.{back}"
    have = f"{now or 'no version'} has them"
    return f"{release.reference} had the ports and lost them: it {verdict.reason}. {have}."


async def _leave(
    context: Context,
    plan: Plan,
    executor: Executor,
    releases: list[Release],
    by: Actor,
    emit: Emit,
) -> AlongsideError:
    """Everything as it was before the plan that was cut off: the ports, and what runs. Returns
    the error that says so, and what could not be."""
    service, release, kept = plan.service, releases[0], ""
    current = context.in_force(service)
    if plan.before != plan.after and current == release:
        try:
            target = rollback_target(service, await context.observe(service))
            back = releases_of(context, service, target)
            async with holding(context, back):
                undo = plan_rollback(service, target, await context.observe(service, back))
                await Executor(context).run(undo, by, f"{release.reference} was given up", emit)
        except AlongsideError as error:
            kept = error.message
    given_up = _given_up(release, by, kept)
    if executor.before is None:
        return given_up  # before it had begun
    async with holding(context, releases):
        routed = {
            (route.service, version)
            for route in context.routes.all()
            for version in route.split.versions
        }
        with added_to(given_up):
            with context.database.transaction():
                executor.before.want_again(routed)
            await executor.before.put_back(given_up, routed)
    return given_up


def _given_up(release: Release, by: Actor, kept: str) -> AlongsideError:
    return TrialFailed(
        f"The deploy of {release.reference} was given up by {by.name}."
        + (f" It keeps the ports: {kept}" if kept else ""),
        hint=f"`alongside status {release.service}` shows who has the ports.",
    )


class _Aborted(Exception):
    def __init__(self, by: Actor) -> None:
        super().__init__(by)
        self.by = by


async def _shielded(future: asyncio.Future[T]) -> T:
    return await asyncio.shield(future)


async def _unless(abort: asyncio.Future[Actor] | None, work: Coroutine[Any, Any, T]) -> T:
    """The work's own end, or _Aborted once it has been cut off."""
    task = asyncio.create_task(work)
    if abort is None:
        abort = asyncio.get_running_loop().create_future()
    try:
        await asyncio.wait((task, abort), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        by = abort.result()
        task.cancel(f"given up by {by.name}")
        await asyncio.wait((task,))
        if not task.cancelled() and task.exception() is None:
            return task.result()  # it had ended after all
        raise _Aborted(by)
    finally:
        if not task.done():  # the daemon stops
            task.cancel()
            await asyncio.wait((task,))
