"""Looking after the state file while the daemon runs: its loss, its disk, and its backups."""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from alongside.daemon import supervise
from alongside.daemon.context import Context
from alongside.daemon.disk import DISK
from alongside.daemon.opening import OPENED, REMEDY, Salvaged
from alongside.daemon.supervise import Part
from alongside.domain.errors import AlongsideError, StateDamaged, StateUnwritable
from alongside.store import backup
from alongside.store.condition import fault, unsound
from alongside.store.database import MARGIN, Database

LOOK = 2.0  # seconds between two looks at the file and at its disk
SPARING = 50  # how many times longer than a check of the content it takes to the next
BACKUP_EVERY = timedelta(days=1)
BACKUP_RETRY = 600.0  # seconds to the next try where there was no room

STATE = "state"  # the problem's key, for all that keeps the file from being used
BACKUP = "backup"

_log = logging.getLogger(__name__)


class Guard:
    """Of a state that is used as it should be: see `Waiting` for one that is not."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._path = context.paths.database.resolve()
        self._largest = 0
        self._next_check = 0.0
        self._next_backup = 0.0
        self._damage = asyncio.Event()
        context.database.connection.on_damage = self._damage.set

    def part(self) -> Part:
        """A check of a large file takes its time."""
        return Part("state", "looks after the state file", self.run, limit=600, ends=True)

    async def run(self) -> None:
        """Until cancelled, or the file is lost."""
        while True:
            if why := await self._lost():
                await self._let_go(why)
                return
            await self._look_at_disk()
            await self._back_up()
            await supervise.pause(self._damage, LOOK)
            if not self._damage.is_set():
                continue
            self._next_check = 0.0  # a statement met it: see what it is
            self._damage.clear()

    # -- its loss -------------------------------------------------------------------------

    async def _lost(self) -> str:
        """Why it cannot be relied on any more, as what follows its name; empty where it can."""
        if why := self._away():
            return why
        begun = time.monotonic()
        if begun < self._next_check:
            return ""
        try:
            why = await asyncio.to_thread(fault, self._path)
        except (OSError, sqlite3.Error) as error:
            _log.warning("the state file could not be checked: %s", error)
            why = ""
        took = time.monotonic() - begun
        self._next_check = time.monotonic() + max(LOOK, took * SPARING)
        return why

    def _away(self) -> str:
        """What costs nothing to see: that the file, or its log, is another one than is open, or
        has become shorter. It never does by itself."""
        names = {str(self._path), f"{self._path}-wal"}
        for descriptor in Path("/proc/self/fd").iterdir():
            try:
                leads = str(descriptor.readlink())
            except OSError:
                continue  # closed since
            if leads.endswith(" (deleted)") and leads.removesuffix(" (deleted)") in names:
                gone = Path(leads.removesuffix(" (deleted)"))
                what = "was replaced" if gone.exists() else "was deleted"
                which = "" if gone == self._path else f"'s log {gone.name}"
                return f"{which} {what} while the daemon ran".strip()
        try:
            size = self._path.stat().st_size
        except OSError as error:
            return f"cannot be found: {error.strerror}"
        if size < self._largest:
            return "was truncated while the daemon ran"
        self._largest = size
        return ""

    async def _let_go(self, why: str) -> None:
        """Nothing is written any more; what the open file still holds is saved."""
        context = self._context
        said = f"The state file {self._path} {why}."
        context.database.refusal = lambda: StateDamaged(said, hint=REMEDY)
        context.problems[STATE] = f"{said} {REMEDY}"
        context.news.tell()
        _log.error("%s", said)
        content = _content(context.database)
        if content is None:
            context.reopening.ask()
            return
        try:
            place = backup.saved(context.paths.backups, content)
            said += f" Its last content was saved to {place}."
        except AlongsideError as error:
            said += f" Its last content is in the daemon's memory alone: {error.message}"
        _log.error("%s", said)
        said += " What is routed stays routed; nothing can be changed until it is there again."
        context.reopening.ask(Salvaged(content, f"{said} {REMEDY}"))

    # -- its disk -------------------------------------------------------------------------

    async def _look_at_disk(self) -> None:
        context, database = self._context, self._context.database
        before = context.problems.get(DISK)
        why = disk_problem(context.paths.root)
        if not why and database.unwritten:  # there is room again, as it seems
            try:
                database.keep(OPENED, backup.stamp())
            except StateUnwritable:
                why = database.unwritten
        if why:
            context.problems[DISK] = (
                f"The state folder {context.paths.root} cannot be written ({why}). What is routed "
                "stays routed; changes are refused until there is room again."
            )
        else:
            context.problems.pop(DISK, None)
        if before != context.problems.get(DISK):
            _log.warning("%s", context.problems.get(DISK, "the state folder can be written again"))
            context.news.tell()

    # -- its backups ----------------------------------------------------------------------

    async def _back_up(self) -> None:
        context = self._context
        if time.monotonic() < self._next_backup or DISK in context.problems:
            return
        folder = context.paths.backups
        made = [one.at for one in backup.all_of(folder) if one.path.name.startswith("state-")]
        due = made[0] + BACKUP_EVERY if made else datetime.now(UTC)
        wait = (due - datetime.now(UTC)).total_seconds()
        if wait <= 0 and context.database.is_blank():
            return  # there is nothing to keep yet
        if wait <= 0:
            try:
                place = await asyncio.to_thread(_daily, context.paths.database, folder)
            except (AlongsideError, OSError, sqlite3.Error) as error:
                said = error.message if isinstance(error, AlongsideError) else str(error)
                context.problems[BACKUP] = f"Today's backup of the state was not made: {said}"
                self._next_backup = time.monotonic() + BACKUP_RETRY
                return
            _log.info("the state is backed up: %s", place)
            wait = BACKUP_EVERY.total_seconds()
        context.problems.pop(BACKUP, None)
        self._next_backup = time.monotonic() + min(wait, 3600.0)


class Waiting:
    """Beside a state that cannot be used, or not be written: until it can."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def part(self) -> Part:
        return Part("state", "waits for the state file", self.run, limit=600, ends=True)

    async def run(self) -> None:
        paths = self._context.paths
        # One that is lost, or was saved out of an open file, waits for another file; one that is
        # there, for its disk.
        absent = bool(self._context.lost or await asyncio.to_thread(_fault, paths.database))
        before = _identity(paths.database)
        while True:
            await supervise.sleep(LOOK)
            if absent and _identity(paths.database) == before:
                continue
            there = not await asyncio.to_thread(_fault, paths.database)
            if there and (absent or await asyncio.to_thread(can_be_written, paths.root)):
                _log.info("the state file can be used again")
                self._context.reopening.ask()
                return


def disk_problem(folder: Path) -> str:
    """Why the disk of a folder cannot be written, in a few words; empty where it can."""
    try:
        found = os.statvfs(folder)
    except OSError as error:
        return str(error.strerror)
    if found.f_flag & os.ST_RDONLY:
        return "its disk is read-only"
    if found.f_bfree * found.f_frsize < MARGIN:
        return f"less than {MARGIN >> 10} KiB are free"
    return ""


def can_be_written(folder: Path) -> bool:
    """Tried with a file: a quota, or a broken disk, says nothing beforehand."""
    if disk_problem(folder):
        return False
    probe = folder / ".probe"
    try:
        probe.write_bytes(bytes(MARGIN // 4))
    except OSError:
        return False
    finally:
        try:
            probe.unlink(missing_ok=True)
        except OSError:
            return False
    return True


def _identity(path: Path) -> tuple[int, int, int] | None:
    """Another one for another file, or for other content; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_ino, found.st_size, found.st_mtime_ns)


def _fault(path: Path) -> str:
    try:
        return fault(path)
    except (OSError, sqlite3.Error) as error:
        return str(error) or "cannot be read"


def _content(database: Database) -> sqlite3.Connection | None:
    """What the open file holds, where it is whole."""
    memory = sqlite3.connect(":memory:", isolation_level=None)
    try:
        database.connection.backup(memory)
        if not unsound(memory):
            return memory
    except sqlite3.Error as error:
        _log.error("what the open state file holds cannot be read: %s", error)
    memory.close()
    return None


def _daily(path: Path, folder: Path) -> Path:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return backup.daily(folder, connection)
