"""Space on the state folder's disk that is kept for going back.

What is sent to the daemon may fill the disk up to it and no further. And because others fill
disks too, as much again is held by a file, which gives way when a rollback finds no space.
"""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from pathlib import Path

from alongside.domain.size import size_text

LARGEST = 64 << 20  # bytes
_PART = 8  # of a smaller disk

_log = logging.getLogger(__name__)


def reserved(folder: Path) -> int:
    """Bytes that are kept for going back on the disk of `folder`: 64 MiB, or an eighth of a disk
    of less than 512 MiB. Raises OSError."""
    found = os.statvfs(folder)
    return min(LARGEST, found.f_blocks * found.f_frsize // _PART)


def free(folder: Path) -> int:
    """Bytes that root can still write to the disk of `folder`. Raises OSError."""
    found = os.statvfs(folder)
    return found.f_bfree * found.f_frsize


def shortage(folder: Path, needed: int = 0) -> str:
    """What stands in the way of writing `needed` bytes to the disk of `folder`, as a sentence
    without its end; "" if nothing does. Raises OSError."""
    there, kept = free(folder), reserved(folder)
    if there - needed >= kept:
        return ""
    more = f" for {size_text(needed)} more" if needed else ""
    return (
        f"No space left on device{more}: {size_text(there)} are free in {folder}, of which "
        f"{size_text(kept)} are kept for a rollback"
    )


class Reserve:
    """A file in `folder` that takes up space until a rollback needs it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = folder / "reserve"

    def hold(self) -> None:
        """Take the space up, if as much again is free then. That it could not be is logged, and
        no error: it is tried again."""
        try:
            size = reserved(self._folder)
            if self._held() >= size or free(self._folder) < 2 * size:
                return
            new = self._file.with_suffix(".new")
            try:
                with new.open("wb") as file:
                    os.posix_fallocate(file.fileno(), 0, size)
                new.replace(self._file)
            finally:
                new.unlink(missing_ok=True)
        except OSError as error:
            _log.warning("no space could be kept for a rollback: %s", error)

    def release(self) -> None:
        """Give the space to whoever goes back, if there is less than that without it."""
        with suppress(OSError):  # then there is no more space than there was
            if free(self._folder) < reserved(self._folder):
                self._file.unlink(missing_ok=True)

    def _held(self) -> int:
        try:
            return self._file.stat().st_size
        except FileNotFoundError:
            return 0
