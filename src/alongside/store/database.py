"""Opening the state file, bringing it up to date, and transactions."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

from alongside.domain.errors import StepFailed, Unavailable
from alongside.host.reserve import Reserve, free, reserved

MARGIN = 1 << 20  # bytes that must be free before anything is begun


class Database:
    """One connection, used by the daemon's event loop alone."""

    def __init__(self, path: Path | str) -> None:
        """Open or create; run the migrations that are missing. Raises Unavailable."""
        self.rollbacks = 0  # how many transactions were taken back
        self._folder = Path(path).parent
        self.reserve = Reserve(self._folder)
        self.on_commit: Callable[[], None] = lambda: None
        try:
            self.connection = sqlite3.connect(path, isolation_level=None)
            self.connection.row_factory = sqlite3.Row
            self.connection.execute("PRAGMA journal_mode = WAL")
            self.connection.execute("PRAGMA foreign_keys = ON")
            self._migrate()
        except sqlite3.Error as error:
            raise Unavailable(
                f"The state file {path} cannot be used: {error}.",
                hint="Look at the folder's permissions and free space; "
                "the file may come from a newer alongside.",
            ) from error

    def _migrate(self) -> None:
        migrations = sorted(
            (entry for entry in files("alongside.store").joinpath("migrations").iterdir()),
            key=lambda entry: entry.name,
        )
        (present,) = self.connection.execute("PRAGMA user_version").fetchone()
        if present > len(migrations):
            raise sqlite3.DatabaseError(
                f"it has schema {present}, this program knows {len(migrations)}"
            )
        for number, entry in enumerate(migrations, start=1):
            if number > present:
                self.connection.executescript(
                    f"BEGIN;\n{entry.read_text()}\nPRAGMA user_version = {number};\nCOMMIT;"
                )

    @contextmanager
    def transaction(self, *, durable: bool = True) -> Iterator[sqlite3.Connection]:
        """All of it or nothing; nested use joins the outer transaction. Raises StepFailed.

        Not `durable`: it outlives the daemon, but a power cut may take the last few back; for
        what is worth less than the wait for the disk.
        """
        if self.connection.in_transaction:
            yield self.connection
            return
        try:
            self.connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self.connection.execute("BEGIN IMMEDIATE")
            yield self.connection
            self.connection.execute("COMMIT")
        except BaseException as error:
            self.rollbacks += 1
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            if isinstance(error, sqlite3.OperationalError):
                raise StepFailed(
                    f"The state could not be written: {error}.",
                    hint="Nothing has changed. Look at the free space of the state folder.",
                ) from error
            raise
        self.on_commit()

    def check_space(self, *, going_back: bool = False) -> None:
        """Raises StepFailed where the disk is full, or as good as that: what is begun should be
        written to its end, and SQLite finds room for some transactions long after files do not.
        `going_back`: what is kept for that may be used up."""
        margin = MARGIN
        if going_back:
            self.reserve.release()
            margin = min(margin, reserved(self._folder) // 2)
        if free(self._folder) < margin:
            raise StepFailed(
                f"The state could not be written: less than {margin >> 10} KiB are free in "
                f"{self._folder.resolve()}.",
                hint="Nothing has changed. Look at the free space of the state folder.",
            )

    def setting(self, key: str, default: str) -> str:
        """The value kept under `key`; `default` is kept if there is none yet."""
        with self.transaction() as connection:
            connection.execute("INSERT OR IGNORE INTO settings VALUES (?, ?)", (key, default))
            row = connection.execute("SELECT value FROM settings WHERE key = ?", (key,)).fetchone()
        return str(row["value"])

    def keep(self, key: str, value: str) -> None:
        with self.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (key, value))

    def close(self) -> None:
        self.connection.close()
