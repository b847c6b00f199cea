"""`state backup`, `state restore`, `state rebuild`: the state file itself."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Literal

from alongside.daemon.context import Context
from alongside.daemon.opening import OPENED
from alongside.daemon.operations import Emit
from alongside.daemon.rebuilding import Rebuilding, Rebuilt, said_of
from alongside.daemon.relics import relics
from alongside.daemon.verbs.change import Asked, Result
from alongside.domain.errors import Conflict, NotFound, StateUnwritable
from alongside.host.files import sync_folder
from alongside.store import backup
from alongside.store.condition import beside, fault
from alongside.store.database import Database

_GONE = (
    "Only the file knew of marks, trials, holds, drains and the history: they are gone, and the "
    "history begins anew."
)


async def back_up(context: Context, asked: Asked) -> Result:
    """Add a copy of the state to the backups. Raises Conflict, StateUnwritable."""
    _refuse_lost(context)
    place = context.paths.backups / f"state-{backup.stamp()}.db"
    result = _result("state backup", asked, [f"1. copy the state to {place}"])
    if asked.dry_run:
        return result
    backup.write(context.database.connection, place, replacing=True)
    return result | {"changed": True, "summary": [f"The state is backed up: {place}"]}


def content(context: Context) -> bytes:
    """The state as a file of SQLite's. Raises Conflict where it is lost."""
    _refuse_lost(context)
    raw = context.database.connection.serialize()
    # As one that has no log beside it (file format: the write and read version).
    return raw[:18] + b"\x01\x01" + raw[20:]


def _refuse_lost(context: Context) -> None:
    if context.lost:
        raise Conflict("There is no state to back up.", hint=context.lost)


async def restore(
    context: Context, file: str | None, asked: Asked, emit: Emit, *, force: bool
) -> Result:
    """Put a backup in place of the state, brought up to what there is. Raises NotFound,
    InvalidInput, Conflict."""
    if not force and not asked.dry_run:
        _refuse_whole(context)
    place = Path(file) if file else None
    if place is None:
        newest = backup.newest_whole(context.paths.backups)
        if newest is None:
            raise NotFound(
                f"There is no backup in {context.paths.backups} that is whole.",
                hint="alongside state rebuild makes the state again from what there is.",
            )
        place = newest.path
    with closing(backup.opened(place)) as content:
        database = _database(content)
    said = [f"{place} is restored, brought up to what there is now."]
    return await _put(context, database, "state restore", asked, emit, said, force=force)


async def rebuild(context: Context, asked: Asked, emit: Emit, *, force: bool) -> Result:
    """Make the state again from labels, trees and the table. Raises Conflict."""
    if not asked.dry_run:
        _refuse_whole(context)
    said = [_GONE]
    return await _put(context, _database(None), "state rebuild", asked, emit, said, force=force)


def _refuse_whole(context: Context) -> None:
    if context.database.refusal is None:
        raise Conflict(
            f"The state file {context.paths.database} is there and whole.",
            hint="--dry-run says what would be made of what there is; `alongside state restore "
            "--force` puts a backup in place of the state.",
        )


def _database(content: sqlite3.Connection | None) -> Database:
    """In memory, to be changed until it is right."""
    database = Database.in_memory(content, _never)
    database.refusal = None
    return database


def _never() -> Conflict:
    return Conflict("The state is being put together.")


async def _put(
    context: Context,
    database: Database,
    verb: Literal["state rebuild", "state restore"],
    asked: Asked,
    emit: Emit,
    said: list[str],
    *,
    force: bool,
) -> Result:
    with closing(database):
        found = await relics(context)
        rebuilding = Rebuilding(context, database, found)
        done = rebuilding.run(verb, asked.actor, asked.message)
        transaction = await context.router.plan(rebuilding.wanted())
        differs = bool(transaction.text) and found.table is not None
        result = _result(verb, asked, _plan(done, context.paths.database))
        result["nft"] = transaction.text
        result["summary"] = [*said, *said_of(done)]
        if found.table is None:
            result["summary"].append("The kernel has no table, so that it says of no route.")
        elif not differs:
            result["summary"].append("The kernel's table is what is wanted by it.")
        if asked.dry_run:
            if differs:
                result["summary"].append("The kernel's table would be changed; see the nft text.")
            return result
        if differs and not force:
            raise Conflict(
                "By what can be made of the state the kernel's table would be another one, so "
                f"nothing was changed. {' '.join(done.unknown)}".strip(),
                hint=f"alongside {verb} --dry-run shows it all, to the nft text; --force goes on.",
                log=transaction.text.splitlines()[:20],
            )
        emit({"event": "log", "text": f"writing {context.paths.database}"})
        aside = _replace(context, database)
    result["changed"] = True
    result["summary"] += [f"What was there is kept: {one}" for one in aside]
    context.reopening.ask()
    return result


def _plan(done: Rebuilt, path: Path) -> list[str]:
    lines = [
        *(f"release {one}" for one in done.releases),
        *(f"instance {one}" for one in done.instances),
        *(f"route {one}" for one in done.routes),
        *(f"forget the instance {one}, which is gone" for one in done.forgotten),
        f"write {path}",
    ]
    return [f"{number}. {line}" for number, line in enumerate(lines, 1)]


def _replace(context: Context, database: Database) -> list[Path]:
    """Put it in place, and what was there aside; returns where to. Raises StateUnwritable."""
    path = context.paths.database
    new = path.with_name(f"{path.name}.restored")
    if context.database.refusal is None:
        backup.saved(context.paths.backups, context.database.connection)
    database.keep(OPENED, backup.stamp())
    backup.write(database.connection, new, replacing=True)
    aside: list[Path] = []
    try:
        kind = "damaged" if fault(path) else "replaced"
        for one in (path, *beside(path)):
            if one.exists():
                place = one.with_name(f"{one.name}.{kind}-{backup.stamp()}")
                one.rename(place)
                aside.append(place)
        new.rename(path)
        sync_folder(path.parent)
    except OSError as error:
        raise StateUnwritable(
            f"The state could not be put in place: {error}.",
            hint=f"It is whole in {new}; what was there is in {', '.join(map(str, aside)) or path}",
        ) from error
    return aside


def _result(verb: str, asked: Asked, plan: list[str]) -> Result:
    return {
        "verb": verb,
        "service": "",
        "changed": False,
        "from": "",
        "to": "",
        "dry_run": asked.dry_run,
        "plan": plan,
        "summary": ["Nothing was changed; this is what would be done."] if asked.dry_run else [],
    }
