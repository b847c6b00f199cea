"""Holds: services that follow no new release for now."""

from __future__ import annotations

from datetime import UTC, datetime

from alongside.domain.deployment import Hold
from alongside.store.database import Database


class Holds:
    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, service: str) -> Hold | None:
        row = self._database.connection.execute(
            "SELECT * FROM holds WHERE service = ?", (service,)
        ).fetchone()
        if row is None:
            return None
        return Hold(
            row["service"], datetime.fromisoformat(row["since"]), row["actor"], row["message"]
        )

    def hold(self, service: str, actor: str, message: str) -> None:
        """The first word stands where there is one already."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO holds VALUES (?, ?, ?, ?)",
                (service, datetime.now(UTC).isoformat(), actor, message),
            )

    def resume(self, service: str) -> None:
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM holds WHERE service = ?", (service,))
