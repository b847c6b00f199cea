"""The names that a build gives to images, and taking them off where no release comes of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from alongside.daemon import trees
from alongside.daemon.context import Context
from alongside.engine.protocol import LABEL_REPOSITORY, LABEL_SERVICE, LABEL_VERSION

_FILE = "names.json"
_FOLDERS = "build-*"  # below instances/


@dataclass(frozen=True, slots=True)
class BuildNames:
    """`own` are alongside's, whatever has them; `others` are given only to the release's image,
    and may be another's."""

    service: str
    version: str
    repository: str
    own: Sequence[str]
    others: Sequence[str]


def note_names(folder: Path, names: BuildNames) -> None:
    """In the build's folder, for the daemon that finds it there after a crash."""
    (folder / _FILE).write_text(json.dumps(asdict(names)))


async def take_back(context: Context, folder: Path) -> None:
    """After a build, however it ended: its folder is gone, and where there is no release of it
    so are the names. Raises StepFailed, Unavailable, and then the folder stays."""
    names = _noted(folder)
    if names is not None and not context.releases.named(names.service, names.version):
        for name in names.own:
            await context.engine.untag(name)
        for name in await _given(context, names):
            await context.engine.untag(name)
    trees.discard(folder)


async def take_back_all(context: Context) -> None:
    """Of the builds that a crash cut off. Raises StepFailed, Unavailable."""
    for folder in sorted((context.paths.root / "instances").glob(_FOLDERS)):
        await take_back(context, folder)


async def _given(context: Context, names: BuildNames) -> Iterable[str]:
    wanted = {
        LABEL_SERVICE: names.service,
        LABEL_VERSION: names.version,
        LABEL_REPOSITORY: names.repository,
    }
    given = []
    for name in names.others:
        image = await context.engine.image(name)
        if image is not None and wanted.items() <= dict(image.labels).items():
            given.append(name)
    return given


def _noted(folder: Path) -> BuildNames | None:
    try:
        return BuildNames(**json.loads((folder / _FILE).read_text()))
    except (OSError, ValueError, TypeError):  # it ended before it was written, or while it was
        return None
