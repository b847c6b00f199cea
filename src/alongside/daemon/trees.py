"""Receiving a tag's tree: spooled, unpacked safely and within bounds, linked, read-only."""

from __future__ import annotations

import asyncio
import os
import shutil
import tarfile
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path

from alongside.domain.errors import InvalidInput, StepFailed

MAX_BYTES = 8 << 30  # of a tree, unpacked
MAX_FILES = 1_000_000


async def spool(chunks: AsyncIterator[bytes], folder: Path) -> Path:
    """Write what arrives to a file in `folder`. Raises InvalidInput past MAX_BYTES."""
    handle, name = tempfile.mkstemp(suffix=".tar", dir=folder)
    path = Path(name)
    size = 0
    try:
        with os.fdopen(handle, "wb") as file:
            async for chunk in chunks:
                size += len(chunk)
                if size > MAX_BYTES:
                    raise _too_large()
                file.write(chunk)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise StepFailed(
            f"The tree could not be received: {error}.",
            hint=f"Look at the free space of {folder}.",
        ) from error
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path


async def unpack(archive: Path, incoming: Path) -> Path:
    """Unpack into a new folder beneath `incoming`. Raises InvalidInput, StepFailed."""
    folder = Path(tempfile.mkdtemp(dir=incoming))
    try:
        await asyncio.to_thread(_extract, archive, folder)
    except tarfile.TarError as error:
        raise InvalidInput(
            f"The tree cannot be unpacked safely: {error}.",
            hint="Links that leave the repository are not released; make them relative, or files.",
        ) from error
    except OSError as error:
        raise StepFailed(
            f"The tree could not be unpacked: {error}.",
            hint=f"Look at the free space of {incoming}.",
        ) from error
    return folder


def _extract(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as tar:
        tar.extractall(folder, members=_bounded(tar), filter="data")


def _bounded(members: Iterable[tarfile.TarInfo]) -> Iterator[tarfile.TarInfo]:
    size = 0
    for number, member in enumerate(members):
        size += member.size
        if number >= MAX_FILES or size > MAX_BYTES:
            raise _too_large()
        yield member


def _too_large() -> InvalidInput:
    return InvalidInput(
        f"The tree is larger than {MAX_BYTES >> 30} GiB or has over {MAX_FILES:,} files.",
        hint="Keep generated and binary files out of the repository.",
    )


def link(folder: Path, linked: Iterable[str], shared: Path) -> None:
    """Put the repository's shared files where the tag's tree expects them.

    Raises InvalidInput for one that is not there, or that the tree has itself.
    """
    missing = [name for name in linked if not (shared / name).is_file()]
    if missing:
        raise InvalidInput(
            f"x-alongside.linked names {', '.join(missing)}, which nobody has given to this host.",
            hint=f"Run `alongside init` where the file is, or put it at {shared / missing[0]}.",
        )
    for name in linked:
        place = folder / name
        if place.is_symlink() or place.exists():
            raise InvalidInput(
                f"x-alongside.linked names {name}, but the tag's tree has that file itself.",
                hint=f"Take {name} out of git, or out of x-alongside.linked.",
            )
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(shared / name)


def keep(folder: Path, tree: Path) -> None:
    """Make the unpacked tree read-only and give it its place, in one rename."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & ~0o222)
    tree.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder.rename(tree)
    except OSError:
        if not tree.is_dir():
            raise
        discard(folder)  # another build of the same tree was faster


def discard(path: Path) -> None:
    """Remove a file or folder of ours, also a read-only one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
