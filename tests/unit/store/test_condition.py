"""Whether a state file is whole is found out without touching it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from alongside.domain.errors import Conflict, InvalidInput, StateDamaged, StateUnwritable
from alongside.domain.history import Actor
from alongside.store import backup
from alongside.store.condition import EMPTY, MISSING, beside, fault, snapshot
from alongside.store.database import Database
from alongside.store.journal import Journal

ANN = Actor(1000, "ann")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A closed one, of many pages."""
    path = tmp_path / "state.db"
    database = Database(path)
    journal = Journal(database)
    for _ in range(200):
        journal.begin("build", "dns", ANN, before="", after="1.0.0", message="x" * 200)
    database.close()
    return path


def files(path: Path) -> dict[str, bytes]:
    return {one.name: one.read_bytes() for one in path.parent.iterdir()}


def test_one_that_is_whole(path: Path) -> None:
    assert fault(path) == ""


def test_missing_empty_and_another_kind_of_file(path: Path) -> None:
    path.write_bytes(b"")
    assert fault(path) == EMPTY
    path.write_text("services: {}\n" * 1000)
    assert "not a database" in fault(path)
    path.unlink()
    assert fault(path) == MISSING
    assert not path.exists(), "a look at it makes none"
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE theirs (x)")
    assert fault(path) == "holds no state of alongside's"


@pytest.mark.parametrize("where", [1, 4096 * 3, -4096])
def test_garbage_anywhere_is_damage_and_stays_as_it_is(path: Path, where: int) -> None:
    whole = path.read_bytes()
    place = where % len(whole)
    path.write_bytes(whole[:place] + b"\xa5" * 4096 + whole[place + 4096 :])
    before = files(path)
    assert fault(path).startswith("is damaged: ")
    assert files(path)["state.db"] == before["state.db"]


def test_a_truncated_one_is_damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:20_000])
    assert "damaged" in fault(path)


def test_a_copy_has_what_is_in_the_log_alone(path: Path) -> None:
    database = Database(path)
    Journal(database).begin("build", "dns", ANN, before="", after="in-the-log", message="")
    assert next(iter(beside(path))).stat().st_size
    with closing(snapshot(path)) as copy:
        rows = copy.execute("SELECT 1 FROM operations WHERE after = 'in-the-log'").fetchall()
    assert rows == [(1,)]
    database.close()


def test_a_statement_that_meets_damage_says_so_and_tells(path: Path) -> None:
    database = Database(path)
    told = []
    database.connection.on_damage = lambda: told.append(1)  # type: ignore[attr-defined]
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * (path.stat().st_size - 4096))
    with pytest.raises(StateDamaged, match="damaged"):
        Journal(database).entries(None, 10_000)
    assert told
    database.connection.close()


def test_backups_are_whole_few_and_found_newest_first(path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    database = Database(path)
    for day in range(9):
        backup.write(database.connection, folder / f"state-2026010{day + 1}T000000.db")
    made = backup.daily(folder, database.connection)
    assert len(list(folder.iterdir())) == backup.KEPT
    found = backup.all_of(folder)
    assert found[0].path == made
    assert [one.at for one in found] == sorted((one.at for one in found), reverse=True)
    made.write_bytes(b"\xa5" * 9999)
    newest = backup.newest_whole(folder)
    assert newest is not None
    assert newest.path.name == "state-20260109T000000.db"
    with closing(backup.opened(newest.path)) as content:
        assert content.execute("SELECT count(*) FROM operations").fetchone() == (200,)
    with pytest.raises(InvalidInput, match="cannot be restored"):
        backup.opened(made)
    with pytest.raises(Conflict, match="already"):
        backup.write(database.connection, made)
    database.close()


def test_where_there_is_no_room_no_backup_is_begun(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "ROOM", 1 << 62)
    database = Database(path)
    with pytest.raises(StateUnwritable, match="No backup could be made"):
        backup.daily(tmp_path / "backups", database.connection)
    assert list((tmp_path / "backups").iterdir()) == []
    database.close()


def test_an_upgrade_is_backed_up_before_and_only_then(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    seen: list[int] = []
    Database(path, upgrading=lambda _, schema: seen.append(schema)).close()
    assert seen == [], "a new one has nothing to lose"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 4")
        for table in ("trials", "former", "holds", "removed", "outputs", "wanted_before"):
            connection.execute(f"DROP TABLE {table}")
        connection.execute("ALTER TABLE releases DROP COLUMN mark_reason")
        connection.execute("ALTER TABLE releases DROP COLUMN prepared")
        connection.execute("ALTER TABLE instances DROP COLUMN paused")
        connection.commit()

    def keep(connection: sqlite3.Connection, schema: int) -> None:
        seen.append(schema)
        backup.before_upgrade(tmp_path / "backups", connection, schema)

    Database(path, upgrading=keep).close()
    assert seen == [4]
    (kept,) = (tmp_path / "backups").iterdir()
    with closing(sqlite3.connect(kept)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (4,)


def test_a_copy_that_may_not_be_changed_says_why(path: Path) -> None:
    database = Database(path)
    copy = Database.in_memory(database.connection, lambda: Conflict("It is lost."))
    with pytest.raises(Conflict, match=r"It is lost\."):
        Journal(copy).begin("build", "dns", ANN, before="", after="2", message="")
    assert len(Journal(copy).entries(None, 10_000)) == 200
    copy.keep("seen", "again")  # what is only looked at again is not in the way
    assert copy.setting("seen", "") == "again"
    copy.close()
    database.close()
