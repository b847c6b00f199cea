"""Singletons in the engine: one container a service, named by what it is now.

Whatever happened before, `converge` ends in the same state: what is not to run is gone, and then
what is to run does. A replacement is that, prepared, and so is finishing one that was interrupted.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from functools import partial

from alongside.daemon import starting
from alongside.daemon.context import Context
from alongside.daemon.images import give_name
from alongside.daemon.mending import bring_up, network_ids
from alongside.daemon.projects import instance_project
from alongside.daemon.writers import refuse_writers, refuse_writers_beside
from alongside.domain.errors import AlongsideError, NotReady, StepFailed
from alongside.domain.history import Entry, Outcome
from alongside.domain.instance import Instance
from alongside.domain.release import Release
from alongside.domain.route import Route
from alongside.domain.service import Sharing
from alongside.domain.version import Version
from alongside.engine import ours
from alongside.engine.protocol import LABEL_ORDINAL, LABEL_SERVICE, LABEL_VERSION, Container
from alongside.plan.activate import routes_of
from alongside.plan.steps import RecordSingleton
from alongside.plan.well import Kind, ill
from alongside.ready import asked_at, wait_ready

_log = logging.getLogger(__name__)


async def prepare(context: Context, release: Release, instance: Instance) -> None:
    """Make the container, and all that it needs, while the old one runs under another name."""
    project = await instance_project(context, release, instance)
    await refuse_writers(context, release, project, [release.service])
    await _step_aside(context, instance)
    own = [one.name for one in release.spec.depends if one.sharing is Sharing.OWN]
    if own:
        await context.compose.up(project, own)
    await context.compose.create(project, [release.service])
    name = f"{release.spec.image}:current"
    whose = await give_name(context, name, release.image_id, release.service, release.repository)
    if whose:
        _log.warning("%s was left alone: it is %s", name, whose)


async def _step_aside(context: Context, instance: Instance) -> None:
    there = await context.engine.container(instance.name)
    if there is None or ours.own(there, instance):
        return
    if not ours.of_service(there, instance.service):
        raise StepFailed(
            f"The container {instance.name} is none of alongside's.",
            hint=f"Remove it first: docker rm --force {instance.name}",
        )
    version = there.labels.get(LABEL_VERSION, there.id[:12])
    await context.engine.rename(instance.name, f"{instance.service}-{version}")


async def converge(
    context: Context, service: str, *, anew: Collection[str] = (), looked: bool = False
) -> float | None:
    """What is to run of the service runs, and nothing else of it; returns for how many seconds
    none ran, None where that is not known (none ran before, or nothing was changed). `anew`: the
    service, where its container is to be made anew in any case.

    Raises what the engine raises; and Conflict, with nothing ended, where another container writes
    to its data, unless that was `looked` at when it was prepared: clients wait meanwhile.
    Containers that somebody started by hand are not touched.
    """
    wanted = context.instances.singletons().get(service)
    ended: Container | None = None
    new: Container | None = None
    others: list[Container] = []
    for container in await _ours(context, service):
        if wanted is not None and ours.of_version(container, wanted):
            new = container
        else:
            others.append(container)
    release = context.releases.get(service, wanted) if wanted is not None else None
    if new is not None and release is not None and not looked:
        await refuse_writers_beside(context, release, new)
    for container in others:
        ended = await _end(context, container) or ended
    if wanted is None:
        return None
    started = await _start(context, service, wanted, new, anew)
    if ended is None or ended.finished is None or started is None or started.started is None:
        return None
    return max(0.0, (started.started - ended.finished).total_seconds())


async def _ours(context: Context, service: str) -> list[Container]:
    return [
        one
        for one in await context.engine.containers()
        if one.labels[LABEL_SERVICE] == service and one.labels.get(LABEL_ORDINAL) == "1"
    ]


async def _end(context: Context, container: Container) -> Container | None:
    """Stopped and gone; as it was when it had ended, if it had run."""
    ran = container.state not in ("created", "exited", "dead")
    await context.engine.stop(container.name)
    after = await context.engine.container(container.name)
    await context.engine.remove(container.name)
    return after if ran else None


async def _start(
    context: Context,
    service: str,
    version: Version,
    there: Container | None,
    anew: Collection[str],
) -> Container | None:
    """As it is when it runs; None where it ran already."""
    instance = context.instances.get(service, version)
    release = context.releases.get(service, version)
    if instance is None or release is None:
        raise StepFailed(f"{service}@{version} is to run, and there is no such release.")
    if there is None:
        await prepare(context, release, instance)
    elif there.name != instance.name:
        await context.engine.rename(there.name, instance.name)
    if there is not None:
        placed = None if release.spec.host_network else instance
        found = ill(there, await network_ids(context), instance=placed)
        own = any(one.sharing is Sharing.OWN for one in release.spec.depends)
        if own or anew or (found is not None and found.kind is Kind.LOST):
            # Also where it runs: what it needs of its own may have ended.
            await bring_up(context, release, instance, anew=anew)
            return None
        if there.running:
            return None
    await starting.start(
        context,
        instance,
        partial(context.engine.start, instance.name),
        partial(bring_up, context, release, instance, anew=[service]),
    )
    return await context.engine.container(instance.name)


async def tidy(context: Context, service: str) -> None:
    """Remove what is left of the versions that are not to run. What cannot be removed now is a
    problem to show, and tried again when the engine is met the next time."""
    wanted = context.instances.singletons().get(service)
    about = f"tidy {service}"
    context.problems.pop(about, None)
    for instance in context.instances.all():
        release = context.releases.get(instance.service, instance.version)
        if instance.service != service or not instance.singleton or instance.version == wanted:
            continue
        try:
            if release is not None:
                project = await instance_project(context, release, instance, removing=True)
                await context.compose.down(project)
            context.instances.forget(instance)
            await context.commit()
        except AlongsideError as error:
            left = f"{service}@{instance.version}"
            context.problems[about] = f"What is left of {left} is still there: {error.message}"


def record_singleton(context: Context, step: RecordSingleton, *, back: bool = False) -> None:
    """Which version is to run, and its routes; `back`: as it was before the step."""
    old, new = (step.new, step.old) if back else (step.old, step.new)
    with context.database.transaction():
        if old is not None:
            context.instances.want(old, "stopped")
        if new is not None:
            context.instances.want(new, "running")
        context.routes.replace(step.service, step.seen if back else step.routes)


async def finish(context: Context, entry: Entry) -> None:
    """A replacement that ended with the daemon, after its intent was written: the new one runs
    and is ready, or the old one is wanted again. Raises Unavailable, and is then tried again."""
    service, journal = entry.service, context.journal
    new = context.instances.get(service, Version(entry.after))
    release = context.releases.get(service, Version(entry.after))
    assert new is not None and release is not None  # noqa: S101 - the intent refers to them
    try:
        await converge(context, service)
        ready, address = asked_at(release.spec, new)
        folder = context.paths.compose_file(release).parent
        await wait_ready(ready, address, new, context.engine, folder=folder)
    except (NotReady, StepFailed) as error:
        old = context.instances.get(service, Version(entry.before)) if entry.before else None
        with context.database.transaction():
            context.instances.want(new, "stopped")
            if old is not None:
                context.instances.want(old, "running")
            context.routes.replace(service, _routes(context, service, old))
            journal.mark_routed(entry.id, False)
            journal.end(
                entry.id, Outcome.FAILED, f"{error.message} (the daemon had ended meanwhile)"
            )
        await context.commit()
    else:
        if entry.verb == "deploy" and release.spec.watch.length:
            seconds = release.spec.watch.length
            context.watcher.open(release, seconds, entry.id, lambda _: None)
            return
        journal.end(entry.id, Outcome.DONE, "finished after a restart of the daemon")


def _routes(context: Context, service: str, instance: Instance | None) -> list[Route]:
    release = context.releases.get(service, instance.version) if instance else None
    return routes_of(release) if release is not None and release.spec.ports else []
