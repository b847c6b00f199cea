"""Opening the state at a start: as it is, in part, or not at all.

Where it cannot be opened as it should be, the daemon serves all the same: what is routed stays
routed, it says what is wrong, and changes nothing until a person has decided, or the disk can be
written again.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from alongside.daemon.evidence import evidence
from alongside.daemon.paths import StatePaths
from alongside.domain.errors import AlongsideError, Conflict, StateUnwritable, Unavailable
from alongside.engine.protocol import Engine
from alongside.router.protocol import Router
from alongside.store import backup
from alongside.store.condition import EMPTY, MISSING, fault, snapshot
from alongside.store.database import UNRELEASED, Database

REMEDY = (
    "`alongside state restore [FILE]` restores a backup; `alongside state rebuild` makes the state "
    "again from the release trees, the engine's labels and the kernel's table. Both take --dry-run."
)
OPENED = "opened"  # the key that the last start is kept under

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Opened:
    """`lost`: why there is no state, so that nothing may be done by it. `unwritable`: why it can
    be read and not be written. Both are sentences; empty where all is well."""

    database: Database
    lost: str = ""
    unwritable: str = ""


@dataclass(frozen=True, slots=True)
class Salvaged:
    """What an open file held when it was lost, and the sentence that says so."""

    content: sqlite3.Connection
    said: str


async def open_state(
    paths: StatePaths, engine: Engine, router: Router, salvaged: Salvaged | None = None
) -> Opened:
    """Raises Unavailable where a newer alongside wrote it, or where it cannot be made."""
    try:
        why = fault(paths.database)
    except (OSError, sqlite3.Error) as error:
        return _without(f"The state file {paths.database} cannot be read: {error}.", paths)
    if not why:
        return await _there(paths, engine, router)
    if salvaged is not None:
        return _of_copy(salvaged.content, salvaged.said)
    found = await evidence(paths, engine, router)
    if found or why not in (MISSING, EMPTY):
        return _without(_said(paths, why, found), paths)
    try:
        return Opened(_open(paths))
    except StateUnwritable as error:
        raise Unavailable(
            f"The state file {paths.database} cannot be made: {error.message}", hint=error.hint
        ) from error


async def _there(paths: StatePaths, engine: Engine, router: Router) -> Opened:
    try:
        database = _open(paths)
    except StateUnwritable as error:
        return _as_it_was(paths, error)
    if not database.is_blank():
        return Opened(database)
    found = await evidence(paths, engine, router, known=_unreleased(paths, database))
    if not found:
        return Opened(database)
    database.close()
    return _without(_said(paths, "is blank, as on a new host", found), paths)


def _open(paths: StatePaths) -> Database:
    """Raises StateUnwritable, Unavailable."""

    def upgrading(connection: sqlite3.Connection, schema: int) -> None:
        made = backup.before_upgrade(paths.backups, connection, schema)
        _log.info("the state is brought to a newer schema; as it was it is in %s", made)

    database = Database(paths.database, upgrading=upgrading)
    try:
        # SQLite opens many a file that it cannot write.
        database.keep(OPENED, backup.stamp())
    except BaseException:
        database.close()
        raise
    return database


def _unreleased(paths: StatePaths, database: Database) -> set[Path]:
    return {paths.root / "trees" / key for key in database.marked(UNRELEASED)}


def _as_it_was(paths: StatePaths, error: AlongsideError) -> Opened:
    """From a copy in memory."""
    said = (
        f"The state folder {paths.root} cannot be written: "
        f"{error.message.removeprefix('The state could not be written: ')} "
        "What is routed stays routed, and nothing can be changed until it can be written again; "
        "that is noticed within seconds."
    )
    try:
        with closing(snapshot(paths.database)) as content:
            return _of_copy(content, said)
    except (OSError, sqlite3.Error) as second:
        return _without(f"{said} Nor could it be read: {second}.", paths)


def _of_copy(content: sqlite3.Connection, said: str) -> Opened:
    return Opened(Database.in_memory(content, _refusing(StateUnwritable, said)), unwritable=said)


def _without(said: str, paths: StatePaths) -> Opened:
    newest = backup.newest_whole(paths.backups)
    known = f" The newest backup is {newest.path}." if newest else " There is no backup."
    said = f"{said}{known} {REMEDY}"
    return Opened(Database.in_memory(None, _refusing(Conflict, said)), lost=said)


def _said(paths: StatePaths, why: str, found: list[str]) -> str:
    there = f", but this host has {', '.join(found)}" if found else ""
    return (
        f"The state file {paths.database} {why}{there}. Nothing is touched: what the kernel "
        "routes stays routed, and no tree, image or container is removed."
    )


def _refusing(kind: type[AlongsideError], said: str) -> Callable[[], AlongsideError]:
    def refusal() -> AlongsideError:
        first, _, rest = said.partition(". ")
        return kind(f"{first}.", hint=rest)

    return refusal
