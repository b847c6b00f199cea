"""Archives of images, for the day on which the engine has lost one."""

from __future__ import annotations

from alongside.daemon.context import Context
from alongside.domain.errors import StepFailed
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
