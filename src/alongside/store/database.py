"""Opening the state file, bringing it up to date, and transactions."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from alongside.domain.errors import AlongsideError, StateUnwritable, Unavailable
from alongside.host.reserve import Reserve, free, reserved
from alongside.store.connection import Connection, is_of_the_disk

UNRELEASED = "unreleased-tree"  # of settings: a tree that no release has yet, or any more
MARGIN = 1 << 20  # bytes that must be free before anything is begun

Upgrading = Callable[[sqlite3.Connection, int], None]


class Database:
    """One connection, used by the daemon's event loop alone."""

    def __init__(
        self, path: Path | str, *, upgrading: Upgrading = lambda connection, schema: None
    ) -> None:
        """Open or create; run the migrations that are missing. `upgrading` is called before they
        change a schema that is there. Raises StateUnwritable, Unavailable."""
        self.rollbacks = 0  # how many transactions were taken back
        self._folder = Path(path).parent
        self.reserve = Reserve(self._folder)
        self._upgrading = upgrading
        self.on_commit: Callable[[], None] = lambda: None
        # Set where nothing may be written now: makes the error that says why.
        self.refusal: Callable[[], AlongsideError] | None = None
        self.unwritten = ""  # why the last transaction could not be written; empty if it was
        self.failures = 0  # how many could not be
        self.connection = sqlite3.connect(path, isolation_level=None, factory=Connection)
        try:
            self.connection.row_factory = sqlite3.Row
            self.connection.execute("PRAGMA journal_mode = WAL")
            self.connection.execute("PRAGMA foreign_keys = ON")
            self._migrate()
        except sqlite3.Error as error:
            self.connection.close()
            if is_of_the_disk(error):
                raise _unwritable(error) from error
            raise Unavailable(
                f"The state file {path} cannot be used: {error}.",
                hint="Look at the folder's permissions and free space; "
                "the file may come from a newer alongside.",
            ) from error
        except BaseException:
            self.connection.close()
            raise

    @classmethod
    def in_memory(
        cls, source: sqlite3.Connection | None, refusal: Callable[[], AlongsideError]
    ) -> Database:
        """A copy that can be read and not be changed; of nothing, an empty one."""
        made = cls.__new__(cls)
        memory = sqlite3.connect(":memory:", isolation_level=None, factory=Connection)
        if source is not None:
            source.backup(memory)
        made.rollbacks, made._folder, made.unwritten, made.failures = 0, Path(), "", 0
        made._upgrading, made.on_commit = lambda connection, schema: None, lambda: None
        made.connection = memory
        made.connection.row_factory = sqlite3.Row
        made._migrate()
        made.reserve = Reserve(made._folder)  # of a file that is not there: never held
        made.refusal = refusal
        return made

    def _migrate(self) -> None:
        known = migrations()
        (present,) = self.connection.execute("PRAGMA user_version").fetchone()
        if present > len(known):
            raise sqlite3.DatabaseError(f"it has schema {present}, this program knows {len(known)}")
        if 0 < present < len(known):
            self._upgrading(self.connection, present)
        for number, entry in enumerate(known, start=1):
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
        if self.refusal is not None:
            raise self.refusal()
        try:
            self.connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self.connection.execute("BEGIN IMMEDIATE")
            yield self.connection
            self.connection.execute("COMMIT")
        except BaseException as error:
            self.rollbacks += 1
            if self.connection.in_transaction:
                with suppress(sqlite3.Error):  # SQLite has taken it back itself
                    self.connection.execute("ROLLBACK")
            if isinstance(error, sqlite3.OperationalError):
                self.unwritten, self.failures = str(error), self.failures + 1
                raise _unwritable(error) from error
            raise
        self.unwritten = ""
        self.on_commit()

    def check_space(self, *, going_back: bool = False) -> None:
        """Raises StateUnwritable where the disk is full, or as good as that: what is begun should
        be written to its end, and SQLite finds room for some transactions long after files do not.
        `going_back`: what is kept for that may be used up."""
        if self.refusal is not None:
            raise self.refusal()
        margin = MARGIN
        if going_back:
            self.reserve.release()
            margin = min(margin, reserved(self._folder) // 2)
        if free(self._folder) < margin:
            raise StateUnwritable(
                f"The state could not be written: less than {margin >> 10} KiB are free in "
                f"{self._folder.resolve()}.",
                hint="Nothing has changed. Look at the free space of the state folder.",
            )

    def setting(self, key: str, default: str) -> str:
        """The value kept under `key`; `default` is kept if there is none yet."""
        row = self.connection.execute("SELECT value FROM settings WHERE key = ?", (key,)).fetchone()
        if row is not None:
            return str(row["value"])
        self.keep(key, default)
        return default

    def keep(self, key: str, value: str) -> None:
        statement = "INSERT OR REPLACE INTO settings VALUES (?, ?)"
        if self.refusal is not None:  # a copy in memory, which is thrown away
            self.connection.execute(statement, (key, value))
            return
        with self.transaction() as connection:
            connection.execute(statement, (key, value))

    def drop(self, key: str) -> None:
        with self.transaction() as connection:
            connection.execute("DELETE FROM settings WHERE key = ?", (key,))

    def marked(self, kind: str) -> list[str]:
        """The rest of the settings' keys that are of this kind: `KIND REST`."""
        rows = self.connection.execute(
            "SELECT key FROM settings WHERE substr(key, 1, length(?1)) = ?1", (f"{kind} ",)
        )
        return [str(row["key"]).removeprefix(f"{kind} ") for row in rows]

    def keep_if_writable(self, key: str, value: str) -> None:
        """For what is only seen again after a restart; that the disk is full is said elsewhere."""
        with suppress(StateUnwritable):
            self.keep(key, value)

    def is_blank(self) -> bool:
        """Whether nothing was ever done with it."""
        tables = ("services", "releases", "instances", "routes", "assignments", "operations")
        any_of = " UNION ALL ".join(f"SELECT 1 FROM {name}" for name in tables)  # noqa: S608
        return self.connection.execute(f"{any_of} LIMIT 1").fetchone() is None

    def close(self) -> None:
        self.connection.close()


def migrations() -> list[Traversable]:
    """In the order in which they are applied; a file's schema is how many of them it has."""
    found = files("alongside.store").joinpath("migrations").iterdir()
    return sorted(found, key=lambda entry: entry.name)


def _unwritable(error: sqlite3.Error) -> StateUnwritable:
    return StateUnwritable(
        f"The state could not be written: {error}.",
        hint="Nothing has changed. Look at the free space of the state folder.",
    )
