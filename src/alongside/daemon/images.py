"""Images of releases beyond their build: archives of them, and their end."""

from __future__ import annotations

import asyncio

from alongside.compose.override import built_images
from alongside.daemon import faults, removals, strays, trees
from alongside.daemon.context import Context
from alongside.domain.errors import AlongsideError, StepFailed
from alongside.domain.release import Release


async def save_image(context: Context, release: Release) -> None:
    """Keep an archive of it. Raises StepFailed."""
    path = context.paths.archive(release)
    path.parent.mkdir(parents=True, exist_ok=True)
    await context.engine.save(release.image, path)


async def load_image(context: Context, release: Release) -> None:
    """Raises StepFailed where what is in the archive is another image."""
    path = context.paths.archive(release)
    await context.engine.load(path)
    if await context.engine.image(release.image_id) is None:
        raise StepFailed(
            f"The archive of {release.reference} holds another image than "
            f"{release.image_id[:19]}, which was released.",
            hint=f"Somebody replaced {path}. Tag the commit anew with another version.",
        )


async def remove_release(context: Context, release: Release) -> None:
    """Its images and its archive, then the release itself, then its tree where no other release
    came from it. Raises StepFailed where the engine holds on to an image.

    That it has begun is written down first: a release whose image is gone is none, and one that
    the daemon's end has left so is removed at the next start (`removals`).
    """
    removals.begin(context, release)
    try:
        await _remove_images(context, release)
    except AlongsideError:
        if await context.engine.image(release.image_id) is not None:
            removals.end(context, release)
        raise
    faults.point("remove-release", "half")
    tree = context.paths.tree(release.repository, release.tree)
    with context.database.transaction():
        context.former.forget(release.service, release.version)
        context.releases.remove(release)
        removals.end(context, release)
        gone = tree not in strays.released(context)
        if gone:
            strays.expect(context, tree)
    if gone:
        await asyncio.to_thread(trees.discard, tree)
        strays.settled(context, tree)


async def _remove_images(context: Context, release: Release) -> None:
    others = [one for one in context.releases.all() if one != release]
    for name in built_images(release):
        await context.engine.untag(name)
    if not any(one.image_id == release.image_id for one in others):
        await context.engine.remove_image(release.image_id)
    context.paths.archive(release).unlink(missing_ok=True)
