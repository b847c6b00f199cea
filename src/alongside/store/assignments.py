"""Assignments wanted: public ports of what is no version of a service."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address

from alongside.domain.assignment import Assignment
from alongside.domain.port import Port, Protocol
from alongside.store.database import Database


class Assignments:
    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> list[Assignment]:
        rows = self._database.connection.execute(
            "SELECT * FROM assignments ORDER BY number, protocol, address"
        )
        return [
            Assignment(
                Port(
                    Protocol(row["protocol"]),
                    row["number"],
                    ip_address(row["address"]) if row["address"] else None,
                ),
                row["target_number"],
                ip_address(row["target_address"]) if row["target_address"] else None,
                bool(row["on_host"]),
            )
            for row in rows
        ]

    def replace(self, ports: Iterable[Port], assignments: Iterable[Assignment]) -> None:
        """What these ports are assigned to becomes this and nothing else, as one transaction."""
        with self._database.transaction() as connection:
            connection.executemany(
                "DELETE FROM assignments WHERE protocol = ? AND number = ? AND address = ?",
                [_key(port) for port in ports],
            )
            connection.executemany(
                "INSERT INTO assignments VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (*_key(one.port), one.number, str(one.address or ""), int(one.on_host))
                    for one in assignments
                ],
            )


def _key(port: Port) -> tuple[str, int, str]:
    return (port.protocol.value, port.number, str(port.address or ""))
