"""Receiving a tag's tree: spooled, unpacked safely and within bounds, linked, read-only.

What is refused, cut off or cancelled on the way is gone when the caller hears of it.
"""

from __future__ import annotations

import lzma
import os
import shutil
import tarfile
import tempfile
import threading
import zlib
from collections.abc import AsyncIterator, Iterable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from alongside.daemon.threads import in_thread
from alongside.domain.errors import InvalidInput, StepFailed, TooLarge
from alongside.host.files import make_folder, sync_filesystem, sync_folder
from alongside.host.reserve import shortage

MAX_BYTES = 8 << 30  # of a tree, unpacked
MAX_FILES = 1_000_000

# What tarfile raises on what is no tar, is cut short, or cannot be unpacked as it says; in Python
# 3.11 a RuntimeError is a path that leads over links in a circle.
_UNREADABLE = (
    tarfile.TarError,
    EOFError,
    ValueError,
    OverflowError,
    RuntimeError,
    zlib.error,
    lzma.LZMAError,
)


async def spool(chunks: AsyncIterator[bytes], folder: Path) -> Path:
    """Write what arrives to a file in `folder`. Raises TooLarge past MAX_BYTES, StepFailed if
    there is no space for it beside what is kept for a rollback."""
    handle, name = tempfile.mkstemp(suffix=".tar", dir=folder)
    path = Path(name)
    size = 0
    try:
        with os.fdopen(handle, "wb") as file:
            async for chunk in chunks:
                size += len(chunk)
                if size > MAX_BYTES:
                    raise _too_large()
                if short := shortage(folder, len(chunk)):
                    raise StepFailed(
                        f"The tree could not be received: {short}.",
                        hint=f"Look at the free space of {folder}.",
                    )
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
    cancelled = threading.Event()
    try:
        await in_thread(partial(_extract, archive, folder, cancelled), cancelled)
    except BaseException as error:
        discard(folder)
        if isinstance(error, _UNREADABLE):
            raise InvalidInput(
                f"The tree cannot be unpacked safely: {error}.",
                hint="Links that leave the repository are not released; make them relative, or "
                "files.",
            ) from error
        if isinstance(error, OSError):
            raise StepFailed(
                f"The tree could not be unpacked: {error}.",
                hint=f"Look at the free space of {incoming}.",
            ) from error
        raise
    return folder


def _extract(archive: Path, folder: Path, cancelled: threading.Event) -> None:
    # Python before 3.11.4, Debian 12's among them, has no extraction filters: what `data` refuses
    # is refused here first, on every Python.
    filtered: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    with tarfile.open(archive) as tar:
        members = _until(cancelled, _safe(tar, folder.resolve()))
        tar.extractall(folder, members=members, **filtered)  # noqa: S202


def _until(
    cancelled: threading.Event, members: Iterable[tarfile.TarInfo]
) -> Iterator[tarfile.TarInfo]:
    for member in members:
        if cancelled.is_set():
            return
        yield member


def _safe(members: Iterable[tarfile.TarInfo], folder: Path) -> Iterator[tarfile.TarInfo]:
    """The members one after the other, each looked at when those before it are unpacked: what a
    path leads to depends on the links that are there by then."""
    size = 0
    for number, member in enumerate(members):
        size += member.size
        if number >= MAX_FILES or size > MAX_BYTES:
            raise _too_large()
        if short := shortage(folder, member.size):
            raise StepFailed(
                f"The tree could not be unpacked: {short}.",
                hint=f"Look at the free space of {folder.parent}.",
            )
        place = (folder / member.name).resolve()
        if not place.is_relative_to(folder) or member.name.startswith("/"):
            raise tarfile.ExtractError(f"{member.name} is outside the tree")
        if member.issym():
            target = (folder / member.name).parent / member.linkname
            if member.linkname.startswith("/") or not target.resolve().is_relative_to(folder):
                raise tarfile.ExtractError(f"{member.name} links to {member.linkname}, outside")
        elif not (member.isreg() or member.isdir()):
            raise tarfile.ExtractError(f"{member.name} is neither file, folder nor link")
        member.uid = member.gid = 0
        member.uname = member.gname = ""
        member.mode &= 0o755
        yield member


def _too_large() -> TooLarge:
    return TooLarge(
        f"The tree is larger than {MAX_BYTES >> 30} GiB or has over {MAX_FILES:,} files.",
        hint="Keep generated and binary files out of the repository.",
    )


def link(folder: Path, linked: Iterable[str], shared: Path) -> None:
    """Put the repository's shared files where the tag's tree expects them.

    Raises InvalidInput for one that is not there, that the tree has itself, or whose folder is a
    file there.
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
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise InvalidInput(
                f"x-alongside.linked names {name}, but {PurePosixPath(name).parent} is a file in "
                "the tag's tree.",
                hint=f"Take {name} out of x-alongside.linked, or make a folder for it.",
            ) from error
        place.symlink_to(shared / name)


def seal(folder: Path) -> None:
    """Make an unpacked tree read-only."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & ~0o222)


def keep(folder: Path, tree: Path) -> None:
    """Make the unpacked tree read-only, have it on the disk, and give it its place, in one
    rename."""
    seal(folder)
    make_folder(tree.parent)
    sync_filesystem(folder)
    try:
        folder.rename(tree)
    except OSError:
        if not tree.is_dir():
            raise
        discard(folder)  # another build of the same tree was faster
    sync_folder(tree.parent)


def discard(path: Path) -> None:
    """Remove a file or folder of ours, also a read-only one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
