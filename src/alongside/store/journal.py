"""The journal: each operation, and each step that it has come through."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from alongside.domain.errors import StateUnwritable
from alongside.domain.history import Actor, Entry, Outcome
from alongside.domain.words import clipped
from alongside.store.database import Database

OUTPUT = 64 << 10  # characters of what an operation wrote
DETAIL = 4000  # characters of how it ended: programs' words within may have no end


class Journal:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._live: dict[int, asyncio.Task[Any] | None] = {}  # those that run, and in which task
        # How those ended that have, and whose end could not be written yet.
        self._unwritten: dict[int, tuple[str, str, str]] = {}

    def begin(
        self,
        verb: str,
        service: str,
        actor: Actor,
        *,
        before: str,
        after: str,
        message: str,
        going_back: bool = False,
    ) -> int:
        """Write an operation down before its first step; returns its number. `going_back`: to
        what was before, for which space is kept. Raises StepFailed where there is no room to
        write it to its end."""
        self._database.check_space(going_back=going_back)
        with self._database.transaction() as connection:
            cursor = connection.execute(
                "INSERT INTO operations "
                "(verb, service, at, uid, actor, before, after, message, outcome) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'pending')",
                (verb, service, _now(), actor.uid, actor.name, before, after, message),
            )
        number = int(cursor.lastrowid or 0)
        self._live[number] = _task()
        return number

    def step(self, operation: int, position: int, name: str, state: str) -> None:
        with self._database.transaction(durable=False) as connection:
            connection.execute(
                "INSERT INTO steps VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT (operation, position) DO UPDATE SET state = excluded.state",
                (operation, position, name, state, _now()),
            )

    def mark_routed(self, operation: int, routed: bool) -> None:
        """The routes wanted are now this operation's, or not after all; call it in the
        transaction that changes them."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE operations SET routed = ? WHERE id = ?", (int(routed), operation)
            )

    def end(self, operation: int, outcome: Outcome, detail: str = "") -> None:
        """How it ended; where that cannot be written now, it is as soon as it can (`catch_up`).
        Within a transaction it is written with that, or not at all."""
        self._live.pop(operation, None)
        how = (outcome.value, clipped(detail, DETAIL), _now())
        try:
            self._end(operation, how)
        except StateUnwritable:
            self._unwritten[operation] = how

    def _end(self, operation: int, how: tuple[str, str, str]) -> None:
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE operations SET outcome = ?, detail = ?, finished = ? WHERE id = ?",
                (*how, operation),
            )

    def leave(self, operation: int) -> None:
        """Nothing in this process carries it on; how it ends is for others to say."""
        self._live.pop(operation, None)

    def catch_up(self) -> None:
        """Write the ends that could not be written. Raises StateUnwritable."""
        for operation, how in list(self._unwritten.items()):
            self._end(operation, how)
            del self._unwritten[operation]

    def abandoned(self) -> list[Entry]:
        """Of the latest those that have not ended, and that nothing carries on."""
        return [
            entry
            for entry in self.running()
            if entry.id not in self._live or _has_ended(self._live[entry.id])
        ]

    def write(self, operation: int, lines: Sequence[str]) -> None:
        """What it ran has written, or the container that failed: the last of it is kept."""
        text = "\n".join(lines)[-OUTPUT:]
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO outputs VALUES (?, ?) "
                "ON CONFLICT (operation) DO UPDATE "
                "SET text = substr(text || char(10) || excluded.text, ?)",
                (operation, text, -OUTPUT),
            )

    def output(self, operation: int) -> list[str]:
        row = self._database.connection.execute(
            "SELECT text FROM outputs WHERE operation = ?", (operation,)
        ).fetchone()
        return str(row["text"]).splitlines() if row else []

    def get(self, operation: int) -> Entry | None:
        row = self._database.connection.execute(
            "SELECT * FROM operations WHERE id = ?", (operation,)
        ).fetchone()
        return _read(row) if row else None

    def entries(self, service: str | None = None, limit: int | None = None) -> list[Entry]:
        """Oldest first; the latest `limit` of them."""
        rows = self._database.connection.execute(
            "SELECT * FROM (SELECT * FROM operations WHERE ?1 IS NULL OR service = ?1 "
            "ORDER BY id DESC LIMIT ?2) ORDER BY id",
            (service, -1 if limit is None else limit),
        )
        return [_read(row) for row in rows]

    def routed(self, service: str) -> list[Entry]:
        """The operations that changed the service's routes, oldest first."""
        rows = self._database.connection.execute(
            "SELECT * FROM operations WHERE service = ? AND routed = 1 ORDER BY id", (service,)
        )
        return [_read(row) for row in rows]

    def pending(self) -> list[Entry]:
        rows = self._database.connection.execute(
            "SELECT * FROM operations WHERE outcome = 'pending' ORDER BY id"
        )
        return [_read(row) for row in rows if row["id"] not in self._unwritten]

    def running(self) -> list[Entry]:
        """Those of the latest that have not ended; asked for at every look at the status, so
        without a look at all that ever was."""
        rows = self._database.connection.execute(
            "SELECT * FROM (SELECT * FROM operations ORDER BY id DESC LIMIT 256) "
            "WHERE outcome = 'pending' ORDER BY id"
        )
        return [_read(row) for row in rows if row["id"] not in self._unwritten]

    def steps(self, operation: int) -> list[tuple[str, str]]:
        """(name, state) in order."""
        rows = self._database.connection.execute(
            "SELECT name, state FROM steps WHERE operation = ? ORDER BY position", (operation,)
        )
        return [(row["name"], row["state"]) for row in rows]


def _task() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None  # no loop: a state that is being put together


def _has_ended(task: asyncio.Task[Any] | None) -> bool:
    return task is not None and task.done()


def _now() -> str:
    return datetime.now(UTC).isoformat()


def _read(row: sqlite3.Row) -> Entry:
    return Entry(
        id=row["id"],
        verb=row["verb"],
        service=row["service"],
        at=datetime.fromisoformat(row["at"]),
        actor=Actor(row["uid"], row["actor"]),
        before=row["before"],
        after=row["after"],
        message=row["message"],
        outcome=Outcome(row["outcome"]),
        detail=row["detail"],
        routed=bool(row["routed"]),
        finished=datetime.fromisoformat(row["finished"]) if row["finished"] else None,
    )
