"""Routes wanted: the intent that the kernel is held to."""

from __future__ import annotations

import json
from bisect import insort
from collections.abc import Iterable
from ipaddress import ip_address

from alongside.domain.port import Port, Protocol
from alongside.domain.route import Assign, Follows, Route, Share, Split
from alongside.domain.version import Version
from alongside.store.database import Database
from alongside.store.remembered import Remembered


class Routes:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._remembered = Remembered(database, self._read)

    def all(self) -> list[Route]:
        return self._remembered.all()

    def _read(self) -> list[Route]:
        rows = self._database.connection.execute(
            "SELECT * FROM routes ORDER BY number, protocol, address"
        )
        return [
            Route(
                Port(
                    Protocol(row["protocol"]),
                    row["number"],
                    ip_address(row["address"]) if row["address"] else None,
                ),
                row["service"],
                _split_from(row["split"]),
                Follows(row["follows"], row["target"]) if row["follows"] else None,
            )
            for row in rows
        ]

    def replace(self, service: str, routes: Iterable[Route]) -> None:
        """The service's routes become these and no others, as one transaction."""
        routes = list(routes)
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM routes WHERE service = ?", (service,))
            connection.executemany(
                "INSERT INTO routes VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        route.port.protocol.value,
                        route.port.number,
                        str(route.port.address or ""),
                        service,
                        _split_to(route.split),
                        route.follows.range if route.follows else "",
                        route.follows.target if route.follows else 0,
                    )
                    for route in routes
                ],
            )

        def change(rows: list[Route]) -> list[Route]:
            left = [one for one in rows if one.service != service]
            for route in routes:
                insort(left, route, key=lambda one: one.port.sort_key)
            return left

        self._remembered.change(change)


def _split_to(split: Split) -> str:
    return json.dumps(
        {
            "assign": split.assign.value,
            "shares": [[share.version.text, share.weight] for share in split.shares],
        }
    )


def _split_from(text: str) -> Split:
    raw = json.loads(text)
    return Split(
        tuple(Share(Version(version), weight) for version, weight in raw["shares"]),
        Assign(raw["assign"]),
    )
