"""`gc`: releases that are too many go, with all that there is of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from alongside.daemon.context import Context
from alongside.daemon.executor import Executor
from alongside.daemon.held import Held, volumes_in_use
from alongside.daemon.locks import holding
from alongside.daemon.operations import Emit
from alongside.daemon.strays import discard_strays
from alongside.daemon.verbs.activate import known_service
from alongside.daemon.verbs.change import Asked, Result
from alongside.domain.errors import AlongsideError
from alongside.domain.policy import Retention
from alongside.domain.release import Release
from alongside.domain.size import size_text
from alongside.engine import ours
from alongside.plan.gc import Sorted, plan_remove, sort_out, what_was_tried
from alongside.plan.observed import Observed

_ALIVE = ("running", "paused", "restarting")

_log = logging.getLogger(__name__)


async def gc(
    context: Context,
    service: str | None,
    asked: Asked,
    emit: Emit,
    *,
    keep: int | None = None,
    keep_for: float | None = None,
    volumes: bool = False,
) -> Result:
    """Of one service, or of all. `keep` and `keep_for` stand in for what the version that has
    the ports says. One that cannot be removed hides no other."""
    names = [known_service(context, service)] if service else sorted(context.known())
    sizes, held = await _Sizes.take(context), await Held.look(context)
    plan: list[str] = []
    summary: list[str] = []
    removed: list[str] = []
    gone: list[Release] = []
    total = 0
    for name in names:
        found = await _sorted(context, name, Retention(keep, keep_for))
        kept = [(one, f"it {why}") for one, why in found.kept]
        for release in found.gone:
            why = await held.why(release, gone=gone, data=volumes)
            if why:
                kept.append((release, why))
                summary.append(f"{release.reference} is kept: {why}.")
                continue
            size = await sizes.of(release)
            total += size
            plan.append(f"{len(plan) + 1}. remove {release.reference} ({size_text(size)})")
            if asked.dry_run:
                gone.append(release)
                continue
            in_use = await volumes_in_use(context, release) if volumes else []
            error = await _remove(context, release, asked, emit, volumes=volumes)
            if not error:
                gone.append(release)
                removed.append(release.reference)
            summary.append(error or f"{release.reference} is removed ({size_text(size)}).")
            summary += [] if error else in_use
        if asked.dry_run:
            plan += [f"   keep {one.reference}: {why}" for one, why in kept]
    if total and not asked.dry_run:
        summary.append(f"{size_text(total)} in all, layers that images share counted with each.")
    if asked.dry_run:
        summary = [f"{size_text(total)} would be removed; nothing was changed."]
    else:
        await _discard_strays(context)
    return {
        "verb": "gc",
        "service": " ".join(names),
        "changed": bool(removed),
        "from": "",
        "to": "",
        "dry_run": asked.dry_run,
        "plan": plan,
        "releases": removed,
        "summary": summary or ["There is nothing to remove."],
    }


async def _sorted(
    context: Context, service: str, said: Retention, observed: Observed | None = None
) -> Sorted:
    observed = observed or await context.observe(service)
    instances = [one for one in context.instances.all() if one.service == service]
    containers = await asyncio.gather(*(context.engine.container(i.name) for i in instances))
    alive = {
        instance.version
        for instance, container in zip(instances, containers, strict=True)
        if (found := ours.own(container, instance)) is not None
        and found.state in _ALIVE
        and not instance.singleton
    }
    current = context.in_force(service)
    retention = said if said.limited or current is None else current.spec.retention
    former = {one.version for one in context.former.all(service)}
    marks = {one: marked.mark for one, marked in context.releases.marks(service).items()}
    return sort_out(
        service,
        retention,
        observed,
        former=former,
        alive=alive,
        now=datetime.now(UTC),
        tried=what_was_tried(context.journal.entries(service), observed.trail, marks),
    )


async def _remove(
    context: Context, release: Release, asked: Asked, emit: Emit, *, volumes: bool
) -> str:
    """Returns why it could not be removed, as a sentence."""
    async with holding(context, [release]):
        # It may have been given the ports since it was looked at.
        observed = await context.observe(release.service, [release])
        found = await _sorted(context, release.service, Retention(keep=0, keep_for=None), observed)
        if release not in found.gone:
            return f"{release.reference} is in use since a moment, and was kept."
        why = await (await Held.look(context)).why(release, data=volumes)
        if why:
            return f"{release.reference} is kept: {why}."
        plan = plan_remove(release, observed, volumes=volumes)
        try:
            await Executor(context).run(plan, asked.actor, asked.message, emit)
        except AlongsideError as error:
            return f"{release.reference} could not be removed: {error.message}"
    return ""


async def _discard_strays(context: Context) -> None:
    """What a build that went on at the same time had to leave, or what nothing mounts any more."""
    try:
        await discard_strays(context)
    except AlongsideError as error:
        _log.warning("trees of no release were not looked through: %s", error.message)


class _Sizes:
    """Bytes of images, trees and archives."""

    def __init__(self, context: Context, images: dict[str, int]) -> None:
        self._context = context
        self._images = images

    @classmethod
    async def take(cls, context: Context) -> _Sizes:
        return cls(context, {one.id: one.size for one in await context.engine.images()})

    async def of(self, release: Release) -> int:
        paths = self._context.paths
        places = (paths.tree(release.repository, release.tree), paths.archive(release))
        return self._images.get(release.image_id, 0) + await asyncio.to_thread(_bytes, places)


def _bytes(places: Iterable[Path]) -> int:
    files = [file for place in places for file in (place, *place.rglob("*"))]
    return sum(file.lstat().st_size for file in files if file.is_file() and not file.is_symlink())
