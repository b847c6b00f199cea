"""Trials: of each service at most one version has still to show that it is good."""

from __future__ import annotations

import sqlite3
from datetime import datetime

from alongside.domain.deployment import Trial
from alongside.domain.version import Version
from alongside.store.database import Database


class Trials:
    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> list[Trial]:
        rows = self._database.connection.execute("SELECT * FROM trials ORDER BY service")
        return [_read(row) for row in rows]

    def get(self, service: str) -> Trial | None:
        row = self._database.connection.execute(
            "SELECT * FROM trials WHERE service = ?", (service,)
        ).fetchone()
        return _read(row) if row else None

    def open(self, trial: Trial) -> None:
        """Begin it, in place of one that the service has."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO trials VALUES (?, ?, ?, ?, ?)",
                (
                    trial.service,
                    trial.version.text,
                    trial.operation,
                    trial.since.isoformat(),
                    trial.until.isoformat(),
                ),
            )

    def close(self, trial: Trial) -> None:
        """Nothing where the service is on another trial by now."""
        with self._database.transaction() as connection:
            connection.execute(
                "DELETE FROM trials WHERE service = ? AND operation = ?",
                (trial.service, trial.operation),
            )


def _read(row: sqlite3.Row) -> Trial:
    return Trial(
        row["service"],
        Version(row["version"]),
        row["operation"],
        datetime.fromisoformat(row["since"]),
        datetime.fromisoformat(row["until"]),
    )
