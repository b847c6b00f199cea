"""Copies of the state file: made whole, found again, and few."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from alongside.domain.errors import Conflict, InvalidInput, StateUnwritable
from alongside.host.files import sync_folder
from alongside.store.condition import fault, is_newer

KEPT = 7  # of those that are made each day
ROOM = 1 << 20  # bytes that stay free beside a copy

_DAILY = "state"
_UPGRADE = "before-schema"  # the last that was made before a migration
_SAVED = "saved"  # what a file held that was lost while the daemon ran


@dataclass(frozen=True, slots=True)
class Backup:
    path: Path
    at: datetime


def daily(folder: Path, connection: sqlite3.Connection) -> Path:
    """Make today's, and remove those that are too many. Raises StateUnwritable."""
    made = write(connection, folder / f"{_DAILY}-{stamp()}.db", replacing=True)
    for one in sorted(folder.glob(f"{_DAILY}-*.db"))[:-KEPT]:
        one.unlink(missing_ok=True)
    return made


def before_upgrade(folder: Path, connection: sqlite3.Connection, schema: int) -> Path:
    """Make one of the schema that is there, in place of an earlier one. Raises StateUnwritable."""
    made = write(connection, folder / f"{_UPGRADE}-{schema + 1}-{stamp()}.db", replacing=True)
    for one in folder.glob(f"{_UPGRADE}-*.db"):
        if one != made:
            one.unlink(missing_ok=True)
    return made


def saved(folder: Path, connection: sqlite3.Connection) -> Path:
    """Make one of what an open file held when it was lost. Raises StateUnwritable."""
    made = write(connection, folder / f"{_SAVED}-{stamp()}.db", replacing=True)
    for one in sorted(folder.glob(f"{_SAVED}-*.db"))[:-KEPT]:
        one.unlink(missing_ok=True)
    return made


def all_of(folder: Path) -> list[Backup]:
    """Newest first, whether they are whole or not."""
    found = [Backup(path, _at(path)) for path in folder.glob("*.db") if path.is_file()]
    return sorted(found, key=lambda one: (one.at, one.path.name), reverse=True)


def newest_whole(folder: Path) -> Backup | None:
    return next((one for one in all_of(folder) if not _unusable(one.path)), None)


def opened(path: Path) -> sqlite3.Connection:
    """A backup's content, in memory. Raises InvalidInput where it is none that can be used."""
    why = _unusable(path)
    if why:
        raise InvalidInput(
            f"{path} cannot be restored: it {why}.",
            hint="Name another one; `alongside state restore` without a name takes the newest "
            "that is whole.",
        )
    memory = sqlite3.connect(":memory:", isolation_level=None)
    with closing(sqlite3.connect(path)) as connection:
        connection.backup(memory)
    return memory


def write(connection: sqlite3.Connection, path: Path, *, replacing: bool = False) -> Path:
    """Copy all that the connection sees to `path`: whole and on the disk, or not there. Raises
    Conflict where there is such a file, StateUnwritable."""
    if not replacing and path.exists():
        raise Conflict(f"There is a file {path} already.", hint="Name one that is not there.")
    new = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check_room(connection, path.parent)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.close(descriptor)
        with closing(sqlite3.connect(new, isolation_level=None)) as copy:
            connection.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, with no log beside it
        _sync(new)
        new.replace(path)
        sync_folder(path.parent)
    except (OSError, sqlite3.Error) as error:
        raise StateUnwritable(
            f"No backup could be made at {path}: {error}.",
            hint="Look at the free space and the permissions of that folder.",
        ) from error
    finally:
        for one in _left(new):
            with suppress(OSError):
                one.unlink(missing_ok=True)
    return path


def _left(new: Path) -> Iterator[Path]:
    for suffix in ("", "-wal", "-shm", "-journal"):
        yield new.with_name(f"{new.name}{suffix}")


def _check_room(connection: sqlite3.Connection, folder: Path) -> None:
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (size,) = connection.execute("PRAGMA page_size").fetchone()
    found = os.statvfs(folder)
    free = found.f_bavail * found.f_frsize
    if free < pages * size + ROOM:
        raise OSError(f"only {free >> 20} MiB are free in {folder}")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unusable(path: Path) -> str:
    """As what follows `it`."""
    try:
        if why := fault(path):
            return why
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            if is_newer(connection):
                return "was written by a newer alongside than this one"
    except (OSError, sqlite3.Error) as error:
        return f"cannot be read: {error}"
    return ""


def stamp() -> str:
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}"


def _at(path: Path) -> datetime:
    """By its name, which a copy elsewhere keeps; else when it was written."""
    try:
        stamp = path.stem.rpartition("-")[2]
        return datetime.strptime(stamp, "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
