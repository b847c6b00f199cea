"""Versions that had the ports, and are kept by policy until somebody says otherwise."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from datetime import datetime

from alongside.domain.deployment import Former
from alongside.domain.version import Version
from alongside.store.database import Database


class Formers:
    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self, service: str | None = None) -> list[Former]:
        rows = self._database.connection.execute(
            "SELECT * FROM former WHERE ?1 IS NULL OR service = ?1 ORDER BY since", (service,)
        )
        return [_read(row) for row in rows]

    def get(self, service: str, version: Version) -> Former | None:
        row = self._database.connection.execute(
            "SELECT * FROM former WHERE service = ? AND version = ?", (service, version.text)
        ).fetchone()
        return _read(row) if row else None

    def left(self) -> list[tuple[str, Version, bool]]:
        """Of which service, which version, and whether it has drained: without reading the rest,
        so that a row that cannot be read hides no other."""
        rows = self._database.connection.execute(
            "SELECT service, version, drained FROM former ORDER BY since"
        )
        return [(row["service"], Version(row["version"]), bool(row["drained"])) for row in rows]

    def replace(self, service: str, former: Iterable[Former]) -> None:
        """The service's become these and no others."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM former WHERE service = ?", (service,))
            connection.executemany(
                "INSERT INTO former VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (
                        one.service,
                        one.version.text,
                        one.since.isoformat(),
                        one.deadline.isoformat() if one.deadline else "",
                        int(one.drained),
                        int(one.by_hand),
                    )
                    for one in former
                ],
            )

    def drained(self, former: Former) -> None:
        """Nobody is left on it."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE former SET drained = 1 WHERE service = ? AND version = ? AND since = ?",
                (former.service, former.version.text, former.since.isoformat()),
            )

    def forget(self, service: str, version: Version) -> None:
        """It is a person's from here on, or has the ports again."""
        with self._database.transaction() as connection:
            connection.execute(
                "DELETE FROM former WHERE service = ? AND version = ?", (service, version.text)
            )


def _read(row: sqlite3.Row) -> Former:
    return Former(
        row["service"],
        Version(row["version"]),
        datetime.fromisoformat(row["since"]),
        datetime.fromisoformat(row["deadline"]) if row["deadline"] else None,
        bool(row["drained"]),
        bool(row["by_hand"]),
    )
