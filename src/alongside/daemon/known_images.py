"""What the engine has now under the names and IDs of releases' images."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from alongside.domain.image_names import held_name
from alongside.domain.release import Release
from alongside.engine.protocol import LABEL_REPOSITORY, LABEL_SERVICE, Engine, Image


async def image_ids(engine: Engine, releases: Iterable[Release]) -> dict[str, str]:
    """The IDs of the images that the engine has now by the releases' names and IDs. A name that
    is another service's release's by now says nothing of the one that had it once."""
    found: dict[str, str] = {}
    names = {
        name: release
        for release in releases
        for name in (
            release.image,
            held_name(release.service, release.version),
            release.image_id,
        )
    }
    images = await asyncio.gather(*map(engine.image, names))
    for (name, release), image in zip(names.items(), images, strict=True):
        if image is not None and not (name == release.image and _is_anothers(image, release)):
            found[name] = image.id
    return found


def _is_anothers(image: Image, release: Release) -> bool:
    labels = image.labels
    if LABEL_SERVICE not in labels:
        return False
    return (labels[LABEL_SERVICE], labels.get(LABEL_REPOSITORY)) != (
        release.service,
        release.repository,
    )
