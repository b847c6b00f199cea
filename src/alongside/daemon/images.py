"""Images of releases: their names, archives of them, and their end.

A release is held by a name of alongside's own (domain/image_names.py). The name that the compose
file says is given to its image beside that, unless it is another image's.
"""

from __future__ import annotations

import logging
from typing import TypeGuard

from alongside.compose.override import former_copies, held_names
from alongside.daemon import faults, removals, strays
from alongside.daemon.context import Context
from alongside.daemon.held import Held, mounted
from alongside.daemon.locks import TREES
from alongside.domain.errors import AlongsideError, Conflict, StepFailed
from alongside.domain.image_names import held_name
from alongside.domain.release import Release
from alongside.engine.protocol import LABEL_REPOSITORY, LABEL_SERVICE, LABEL_VERSION, Image
from alongside.host.reserve import shortage

_REVISION = "org.opencontainers.image.revision"

_log = logging.getLogger(__name__)


async def give_name(
    context: Context, name: str, image_id: str, service: str, repository: str
) -> str:
    """Give a service's image a name that people know it by, unless another image has it. Returns
    whose the name is, as the end of a sentence; "" if the image has it."""
    there = await context.engine.image(name)
    if there is not None and there.id == image_id:
        return ""
    if there is not None and not _is_ours(context, there, name, service, repository):
        return _whose(there)
    await context.engine.tag_image(image_id, name)
    return ""


def _is_ours(context: Context, image: Image, name: str, service: str, repository: str) -> bool:
    """Whether it was built for this service. Labels alone do not say so: an image that is built
    FROM a release has them too."""
    labels = image.labels
    if (labels.get(LABEL_SERVICE), labels.get(LABEL_REPOSITORY)) != (service, repository):
        return False
    if labels.get(LABEL_VERSION) == name.rpartition(":")[2]:
        return True
    return any(image.id == one.image_id for one in context.releases.all())


def _whose(image: Image) -> str:
    service, version = image.labels.get(LABEL_SERVICE), image.labels.get(LABEL_VERSION)
    if service is None:
        return f"an image that alongside did not build ({image.id[:19]})"
    repository = image.labels.get(LABEL_REPOSITORY, "?")
    return f"an image of {service}@{version} from the repository {repository}"


async def hold_images(context: Context) -> None:
    """Give the releases of an alongside that gave no names of its own theirs. Raises StepFailed,
    Unavailable."""
    engine = context.engine
    there = {one.id: one for one in await engine.images()}
    for release in context.releases.all():
        name = held_name(release.service, release.version)
        image = there.get(release.image_id)
        if image is not None and name not in image.tags and await engine.image(name) is None:
            _log.info("the image of %s is held as %s", release.reference, name)
            await engine.tag_image(release.image_id, name)
        for former, now in former_copies(release).items():
            copy = await engine.image(former)
            if _is_copy(copy, release) and await engine.image(now) is None:
                await engine.tag_image(copy.id, now)


def _is_copy(image: Image | None, release: Release) -> TypeGuard[Image]:
    return image is not None and image.labels.get(_REVISION) == release.commit


async def save_image(context: Context, release: Release) -> None:
    """Keep an archive of it. Raises StepFailed."""
    path = context.paths.archive(release)
    path.parent.mkdir(parents=True, exist_ok=True)
    image = await context.engine.image(release.image_id)
    if short := shortage(path.parent, image.size if image else 0):
        raise StepFailed(
            f"The image of {release.reference} could not be saved: {short}.",
            hint="Look at the free space of the state folder, or take `x-alongside.save` off.",
        )
    await context.engine.save(held_name(release.service, release.version), path)


async def load_image(context: Context, release: Release) -> None:
    """Raises StepFailed where what is in the archive is another image."""
    path, engine = context.paths.archive(release), context.engine
    # An older alongside's archive has the person's name, which may be another image's by now.
    before = await engine.image(release.image)
    await engine.load(path)
    after = await engine.image(release.image)
    if before is not None and after is not None and before.id != after.id:
        await engine.tag_image(before.id, release.image)
    if await engine.image(release.image_id) is None:
        raise StepFailed(
            f"The archive of {release.reference} holds another image than "
            f"{release.image_id[:19]}, which was released.",
            hint=f"Somebody replaced {path}. Tag the commit anew with another version.",
        )
    await engine.tag_image(release.image_id, held_name(release.service, release.version))
    await give_name(context, release.image, release.image_id, release.service, release.repository)


async def remove_release(context: Context, release: Release, *, data: bool = False) -> None:
    """Its images and its archive, then the release itself, then its tree where no other release
    came from it. `data`: with what containers have written into the tree.

    Raises Conflict, and then nothing is removed, where its files are needed; StepFailed where the
    engine holds on to an image. That it has begun is written down first: a release whose image is
    gone is none, and one that the daemon's end has left so is removed at the next start
    (`removals`).
    """
    # What versions share is not started meanwhile, and it may use files of an older tree.
    async with context.locks[f"shared {release.repository}"]:
        why = await (await Held.look(context)).why(release, data=data)
        if why:
            raise Conflict(f"{why}.")
        removals.begin(context, release)
        try:
            await _remove_images(context, release)
        except AlongsideError:
            if await context.engine.image(release.image_id) is not None:
                removals.end(context, release)
            raise
        faults.point("remove-release", "half")
        tree = context.paths.tree(release.repository, release.tree)
        async with context.locks[TREES]:  # a build may be about to record a release that has it
            with context.database.transaction():
                context.former.forget(release.service, release.version)
                context.releases.remove(release)
                removals.end(context, release)
                if tree not in strays.released(context):
                    strays.expect(context, tree)
            await strays.discard_tree(context, tree, await mounted(context))


async def _remove_images(context: Context, release: Release) -> None:
    others = [one for one in context.releases.all() if one != release]
    if any(one.image_id == release.image_id for one in others):
        await _untag(context, release)
    else:
        await context.engine.remove_image(release.image_id)  # with all of its names
    for name in held_names(release.spec, release.version):
        await context.engine.untag(name)
    for name in former_copies(release):
        if _is_copy(await context.engine.image(name), release):
            await context.engine.untag(name)
    context.paths.archive(release).unlink(missing_ok=True)


async def _untag(context: Context, release: Release) -> None:
    """Take off the name that people know it by, if it has it."""
    named = await context.engine.image(release.image)
    if named is not None and named.id == release.image_id:
        await context.engine.untag(release.image)
