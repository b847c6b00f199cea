"""What was wanted of instances before the operations that change them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from alongside.domain.instance import Instance
from alongside.domain.version import Version
from alongside.store.database import Database
from alongside.store.instances import Wanted


@dataclass(frozen=True, slots=True)
class Before:
    operation: int
    service: str
    version: Version
    ordinal: int
    wanted: Wanted


class WantedBefore:
    """An instance is changed by one operation at a time, so it has one row at most."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> list[Before]:
        rows = self._database.connection.execute("SELECT * FROM wanted_before ORDER BY rowid")
        return [
            Before(
                row["operation"],
                row["service"],
                Version(row["version"]),
                row["ordinal"],
                row["wanted"],
            )
            for row in rows
        ]

    def remember(self, operation: int, wanted: Mapping[Instance, Wanted]) -> None:
        """In the transaction that begins the operation."""
        with self._database.transaction() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO wanted_before VALUES (?, ?, ?, ?, ?)",
                [
                    (one.service, one.version.text, one.ordinal, operation, what)
                    for one, what in wanted.items()
                ],
            )

    def forget(self, operation: int) -> None:
        """It has succeeded, or nothing is left of it."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM wanted_before WHERE operation = ?", (operation,))

    def forget_one(self, before: Before) -> None:
        """The instance is as it was. Nothing where another operation changes it by now."""
        with self._database.transaction() as connection:
            connection.execute(
                "DELETE FROM wanted_before "
                "WHERE service = ? AND version = ? AND ordinal = ? AND operation = ?",
                (before.service, before.version.text, before.ordinal, before.operation),
            )
