"""Instances: which address and which local ports were given to whom."""

from __future__ import annotations

import sqlite3
from ipaddress import IPv4Network, IPv6Network
from typing import Literal

from alongside.domain.errors import Conflict
from alongside.domain.instance import Instance, LocalPort, Subnet
from alongside.domain.port import Protocol
from alongside.domain.version import Version
from alongside.store.database import Database
from alongside.store.remembered import Remembered

Wanted = Literal["running", "paused", "stopped"]


class Instances:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._remembered = Remembered(database, self._read_all)

    def all(self) -> list[Instance]:
        return self._remembered.all()

    def _read_all(self) -> list[Instance]:
        rows = self._database.connection.execute(
            "SELECT * FROM instances ORDER BY service, rowid"
        ).fetchall()
        return [self._read(row) for row in rows]

    def get(self, service: str, version: Version, ordinal: int = 1) -> Instance | None:
        row = self._database.connection.execute(
            "SELECT * FROM instances WHERE service = ? AND version = ? AND ordinal = ?",
            (service, version.text, ordinal),
        ).fetchone()
        return self._read(row) if row else None

    def wanted(self, instance: Instance) -> Wanted:
        row = self._database.connection.execute(
            "SELECT wanted, paused FROM instances "
            "WHERE service = ? AND version = ? AND ordinal = ?",
            _key(instance),
        ).fetchone()
        if row is None or row["wanted"] == "stopped":
            return "stopped"
        return "paused" if row["paused"] else "running"

    def want(self, instance: Instance, wanted: Wanted) -> None:
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE instances SET wanted = ?, paused = ? "
                "WHERE service = ? AND version = ? AND ordinal = ?",
                (
                    "stopped" if wanted == "stopped" else "running",
                    int(wanted == "paused"),
                    *_key(instance),
                ),
            )

    def singletons(self) -> dict[str, Version]:
        """Of each singleton the version that is to run."""
        rows = self._database.connection.execute(
            "SELECT service, version FROM instances WHERE singleton = 1 AND wanted = 'running'"
        )
        return {row["service"]: Version(row["version"]) for row in rows}

    def add(self, instance: Instance) -> None:
        """Keep what was given out; the same instance again changes nothing.

        Raises Conflict where somebody else has one of its addresses or local ports.
        """
        if self.get(instance.service, instance.version, instance.ordinal) == instance:
            return
        try:
            self._insert(instance)
        except sqlite3.IntegrityError as error:
            raise Conflict(
                f"The addresses planned for {instance.name} were given to another a moment ago.",
                hint="Say it again.",
            ) from error

    def _insert(self, instance: Instance) -> None:
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO instances (service, version, ordinal, bridge, ipv4, ipv6, wanted, "
                "singleton) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *_key(instance),
                    instance.subnet.bridge,
                    str(instance.subnet.ipv4),
                    str(instance.subnet.ipv6),
                    # Of a singleton one is to run, and which is said when the other one ends.
                    "stopped" if instance.singleton else "running",
                    int(instance.singleton),
                ),
            )
            connection.executemany(
                "INSERT INTO local_ports VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (local.number, local.protocol.value, local.target, *_key(instance))
                    for local in instance.local_ports
                ],
            )
        self._remembered.change(lambda rows: sorted([*rows, instance], key=lambda one: one.service))

    def forget(self, instance: Instance) -> None:
        with self._database.transaction() as connection:
            connection.execute(
                "DELETE FROM instances WHERE service = ? AND version = ? AND ordinal = ?",
                _key(instance),
            )
        self._remembered.change(lambda rows: [one for one in rows if _key(one) != _key(instance)])

    def _read(self, row: sqlite3.Row) -> Instance:
        ports = self._database.connection.execute(
            "SELECT protocol, target, number FROM local_ports "
            "WHERE service = ? AND version = ? AND ordinal = ? ORDER BY rowid",
            (row["service"], row["version"], row["ordinal"]),
        )
        return Instance(
            service=row["service"],
            version=Version(row["version"]),
            ordinal=row["ordinal"],
            singleton=bool(row["singleton"]),
            subnet=Subnet(row["bridge"], IPv4Network(row["ipv4"]), IPv6Network(row["ipv6"])),
            local_ports=tuple(
                LocalPort(Protocol(port["protocol"]), port["target"], port["number"])
                for port in ports
            ),
        )


def _key(instance: Instance) -> tuple[str, str, int]:
    return (instance.service, instance.version.text, instance.ordinal)
