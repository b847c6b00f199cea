"""A connection whose statements say that the file is damaged in our own words.

SQLite finds out when it reads a page, in whichever statement that is.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

from alongside.domain.errors import StateDamaged

_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_DISK = {
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
}


def _code(error: sqlite3.Error) -> int:
    """The primary result code, without what the extended one adds."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def is_damage(error: sqlite3.Error) -> bool:
    return _code(error) in _DAMAGE


def is_of_the_disk(error: sqlite3.Error) -> bool:
    """Full, read-only, or broken: the file itself may be whole."""
    return _code(error) in _DISK


class _Cursor(sqlite3.Cursor):
    def execute(self, *arguments: Any) -> _Cursor:
        try:
            super().execute(*arguments)
        except sqlite3.DatabaseError as error:
            self._tell(error)
            raise
        return self

    def executemany(self, *arguments: Any) -> _Cursor:
        try:
            super().executemany(*arguments)
        except sqlite3.DatabaseError as error:
            self._tell(error)
            raise
        return self

    def fetchone(self) -> Any:
        try:
            return super().fetchone()
        except sqlite3.DatabaseError as error:
            self._tell(error)
            raise

    def fetchall(self) -> list[Any]:
        try:
            return super().fetchall()
        except sqlite3.DatabaseError as error:
            self._tell(error)
            raise

    def __next__(self) -> Any:
        try:
            return super().__next__()
        except sqlite3.DatabaseError as error:
            self._tell(error)
            raise

    def _tell(self, error: sqlite3.DatabaseError) -> None:
        """Raises StateDamaged where that is what it means."""
        if not is_damage(error):
            return
        if isinstance(self.connection, Connection):
            self.connection.on_damage()
        raise StateDamaged(
            f"The state file is damaged: {error}.",
            hint="What is routed stays as it is. `alongside status` says what to do.",
        ) from error


class Connection(sqlite3.Connection):
    """`on_damage` is called when a statement finds damage, before that is raised."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.on_damage: Callable[[], None] = lambda: None

    # CPython's own makes a plain cursor, whatever `cursor` returns.
    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        return self.cursor(_Cursor).execute(*arguments)

    def executemany(self, *arguments: Any) -> sqlite3.Cursor:
        return self.cursor(_Cursor).executemany(*arguments)
