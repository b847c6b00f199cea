"""Whether a state file is there and whole, found out without writing a byte of it.

A connection that could write would make the file where it is missing, and merge its log into a
damaged one when it is closed.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterable
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import quote

from alongside.store.connection import is_damage
from alongside.store.database import migrations

MISSING = "is missing"
EMPTY = "is empty (0 bytes)"

# Where a copy of it is made when its own folder cannot be written: in memory, where there is that.
_ELSEWHERE = ("/dev/shm", "/run")  # noqa: S108 - a folder of its own is made there
_TELLING = 3  # of the complaints of a check


def fault(path: Path) -> str:
    """What is wrong with the state file, as what follows its name; empty where it is whole.
    Raises OSError, sqlite3.Error where it cannot be looked at at all."""
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        return MISSING
    if not size:
        return EMPTY
    try:
        with closing(_only_reading(path)) as connection:
            return unsound(connection)
    except sqlite3.DatabaseError as error:
        if is_damage(error):
            return f"is damaged: {error}"
    # Its log's index cannot be made: the disk is full, or read-only.
    try:
        with closing(snapshot(path)) as connection:
            return unsound(connection)
    except sqlite3.DatabaseError as error:
        if is_damage(error):
            return f"is damaged: {error}"
        raise


def unsound(connection: sqlite3.Connection) -> str:
    """What SQLite's own check says, as what follows the file's name; empty where all is well.
    Raises sqlite3.Error."""
    rows = connection.execute(f"PRAGMA quick_check({_TELLING})").fetchall()
    said = [str(row[0]) for row in rows]
    if said != ["ok"]:
        return f"is damaged: {'; '.join(' '.join(one.split()) for one in said)}"
    tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
    (schema,) = connection.execute("PRAGMA user_version").fetchone()
    if not schema or ("releases",) not in [tuple(one) for one in tables]:
        return "holds no state of alongside's"
    return ""


def is_newer(connection: sqlite3.Connection) -> bool:
    """Whether it was written by a later release of alongside than this one."""
    (schema,) = connection.execute("PRAGMA user_version").fetchone()
    return int(schema) > len(migrations())


def snapshot(path: Path) -> sqlite3.Connection:
    """Its content with that of its log, in memory; for where its own folder cannot be written.
    Raises OSError, sqlite3.Error."""
    with _elsewhere() as folder:
        copy = Path(folder) / path.name
        for one in (path, *beside(path)):
            if not one.name.endswith("-shm") and one.exists():
                shutil.copyfile(one, copy.with_name(one.name))
        memory = sqlite3.connect(":memory:", isolation_level=None)
        try:
            with closing(sqlite3.connect(copy)) as connection:
                connection.backup(memory)
        except BaseException:
            memory.close()
            raise
    return memory


def beside(path: Path) -> Iterable[Path]:
    """What SQLite keeps beside the file: its log, and that one's index."""
    return (path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm"))


def _only_reading(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)


def _elsewhere() -> tempfile.TemporaryDirectory[str]:
    """A folder that can be written. Raises OSError."""
    for place in _ELSEWHERE:
        with suppress(OSError):  # not there, or not for us: the next
            return tempfile.TemporaryDirectory(prefix="alongside-", dir=place)
    return tempfile.TemporaryDirectory(prefix="alongside-")
