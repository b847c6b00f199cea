"""Removals of releases that the daemon's end cut off between the image and the record."""

from __future__ import annotations

import logging

from alongside.daemon.context import Context
from alongside.daemon.locks import holding
from alongside.domain.errors import Conflict, StateUnwritable, StepFailed
from alongside.domain.history import Entry, Outcome
from alongside.domain.image_names import held_name
from alongside.domain.release import Release
from alongside.domain.version import Version

_KIND = "removing"  # of settings: SERVICE@VERSION

_log = logging.getLogger(__name__)


def begin(context: Context, release: Release) -> None:
    """Before the first of it goes."""
    context.database.keep(f"{_KIND} {release.reference}", "")


def end(context: Context, release: Release) -> None:
    """All of it is gone, or it is whole."""
    context.database.drop(f"{_KIND} {release.reference}")


def has_begun(context: Context, entry: Entry) -> bool:
    """Whether an operation was removing a release when it ended."""
    reference = f"{entry.service}@{entry.after}"
    return entry.verb == "gc" and reference in context.database.marked(_KIND)


async def finish(context: Context) -> None:
    """Those that have begun, once the engine is there: a release whose image is gone goes, one
    that is whole stays. The history says which. Raises Unavailable, StateUnwritable."""
    for reference in context.database.marked(_KIND):
        service, _, version = reference.partition("@")
        release = context.releases.get(service, Version(version))
        if release is None:
            context.database.drop(f"{_KIND} {reference}")
            continue
        async with holding(context, [release]):
            try:
                outcome, said = await _finish(context, release)
            except StateUnwritable:
                raise
            except (StepFailed, Conflict) as error:  # the engine is there all the same
                context.problems[f"remove {reference}"] = (
                    f"{reference} is half removed, and could not be removed whole: {error.message}"
                )
                _log.warning("%s", context.problems[f"remove {reference}"])
                continue
        context.problems.pop(f"remove {reference}", None)
        _log.info("%s: %s", reference, said)
        for entry in context.journal.abandoned():
            if (entry.verb, entry.service, entry.after) == ("gc", service, version):
                context.journal.end(entry.id, outcome, said)


async def _finish(context: Context, release: Release) -> tuple[Outcome, str]:
    from alongside.daemon.images import remove_release  # noqa: PLC0415 - it looks back here

    there = await context.engine.image(release.image_id) is not None
    held = held_name(release.service, release.version)
    if there and await context.engine.image(held) is None:
        await context.engine.tag_image(release.image_id, held)
    if there or context.paths.archive(release).exists():
        end(context, release)
        return Outcome.INTERRUPTED, "the daemon ended; the release and its image are there"
    await remove_release(context, release)
    return Outcome.DONE, "finished after a restart of the daemon: its image was gone already"
