"""Releases, and the services that they are releases of."""

from __future__ import annotations

import logging
import sqlite3
from datetime import UTC, datetime

from pydantic import TypeAdapter, ValidationError

from alongside.domain.deployment import Mark, Marked
from alongside.domain.errors import Conflict
from alongside.domain.release import Release
from alongside.domain.service import Service
from alongside.domain.version import Version
from alongside.store.database import Database
from alongside.store.remembered import Remembered

_SPEC = TypeAdapter(Service)
_log = logging.getLogger(__name__)


class Releases:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._remembered = Remembered(database, self._read)

    def all(self) -> list[Release]:
        """Every readable release. One that cannot be read is logged and hides no other."""
        return self._remembered.all()

    def _read(self) -> list[Release]:
        rows = self._database.connection.execute("SELECT * FROM releases ORDER BY created")
        return [release for row in rows if (release := _read(row)) is not None]

    def trees(self) -> set[tuple[str, str]]:
        """Repository and tree of every release, of those that cannot be read as well."""
        rows = self._database.connection.execute("SELECT repository, tree_id FROM releases")
        return {(row["repository"], row["tree_id"]) for row in rows}

    def named(self, service: str, version: str) -> bool:
        """Whether there is such a release, one that cannot be read among them."""
        row = self._database.connection.execute(
            "SELECT 1 FROM releases WHERE service = ? AND version = ?", (service, version)
        ).fetchone()
        return row is not None

    def get(self, service: str, version: Version) -> Release | None:
        row = self._database.connection.execute(
            "SELECT * FROM releases WHERE service = ? AND version = ?", (service, version.text)
        ).fetchone()
        return _read(row) if row else None

    def owner(self, service: str) -> tuple[str, str] | None:
        """The repository that has this service name, and where it was first built from."""
        row = self._database.connection.execute(
            "SELECT repository, source FROM services WHERE name = ?", (service,)
        ).fetchone()
        return (row["repository"], row["source"]) if row else None

    def add(self, release: Release) -> None:
        """Raises Conflict where the version is there already."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO services VALUES (?, ?, ?)",
                (release.service, release.repository, release.source),
            )
            try:
                connection.execute(
                    "INSERT INTO releases (service, version, repository, source, commit_id, "
                    "tree_id, image, image_id, compose_file, created, spec) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        release.service,
                        release.version.text,
                        release.repository,
                        release.source,
                        release.commit,
                        release.tree,
                        release.image,
                        release.image_id,
                        release.compose_file,
                        release.created.isoformat(),
                        _SPEC.dump_json(release.spec).decode(),
                    ),
                )
            except sqlite3.IntegrityError as error:
                raise Conflict(f"{release.reference} is released already.") from error
        self._remembered.change(lambda rows: sorted([*rows, release], key=lambda one: one.created))

    def marks(self, service: str) -> dict[Version, Marked]:
        rows = self._database.connection.execute(
            "SELECT version, mark, mark_reason FROM releases "
            "WHERE service = ? AND mark IS NOT NULL",
            (service,),
        )
        return {
            Version(row["version"]): Marked(Mark(row["mark"]), row["mark_reason"]) for row in rows
        }

    def mark(self, service: str, version: Version, mark: Mark, reason: str) -> None:
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE releases SET mark = ?, mark_reason = ? WHERE service = ? AND version = ?",
                (mark.value, reason, service, version.text),
            )

    def unmark_bad(self, service: str, version: Version) -> None:
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE releases SET mark = NULL, mark_reason = '' "
                "WHERE service = ? AND version = ? AND mark = 'bad'",
                (service, version.text),
            )

    def prepared(self, service: str, version: Version) -> bool:
        """Whether its `before` has run, to the end."""
        row = self._database.connection.execute(
            "SELECT prepared FROM releases WHERE service = ? AND version = ?",
            (service, version.text),
        ).fetchone()
        return bool(row and row["prepared"])

    def prepare(self, service: str, version: Version) -> None:
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE releases SET prepared = ? WHERE service = ? AND version = ?",
                (_now(), service, version.text),
            )

    def remove(self, release: Release) -> None:
        """The release is gone; its name stays its commit's."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO removed VALUES (?, ?, ?, ?)",
                (release.service, release.version.text, release.commit, _now()),
            )
            connection.execute(
                "DELETE FROM releases WHERE service = ? AND version = ?",
                (release.service, release.version.text),
            )
        key = (release.service, release.version)
        self._remembered.change(
            lambda rows: [one for one in rows if (one.service, one.version) != key]
        )

    def removed(self, service: str, version: Version) -> str | None:
        """The commit that a removed release was made from."""
        row = self._database.connection.execute(
            "SELECT commit_id FROM removed WHERE service = ? AND version = ?",
            (service, version.text),
        ).fetchone()
        return str(row["commit_id"]) if row else None


def _now() -> str:
    return datetime.now(UTC).isoformat()


def _read(row: sqlite3.Row) -> Release | None:
    try:
        return Release(
            service=row["service"],
            version=Version(row["version"]),
            repository=row["repository"],
            source=row["source"],
            commit=row["commit_id"],
            tree=row["tree_id"],
            image=row["image"],
            image_id=row["image_id"],
            compose_file=row["compose_file"],
            created=datetime.fromisoformat(row["created"]),
            spec=_SPEC.validate_json(row["spec"]),
        )
    except (ValidationError, ValueError):
        _log.exception("release %s@%s cannot be read", row["service"], row["version"])
        return None
