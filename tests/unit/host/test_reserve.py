"""Space that is kept for going back, on a disk of a size that the test says."""

from __future__ import annotations

from pathlib import Path

import pytest

from alongside.domain.errors import StepFailed
from alongside.domain.history import Actor
from alongside.host import reserve
from alongside.host.reserve import Reserve, shortage
from alongside.store.database import Database
from alongside.store.journal import Journal

SIZE = 1 << 20


class Disk:
    """What is free of it beside the reserve's file."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "reserve"
        self.rest = 10 * SIZE

    def free(self, _: Path) -> int:
        return self.rest - (self.file.stat().st_size if self.file.exists() else 0)


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk(tmp_path)
    monkeypatch.setattr(reserve, "reserved", lambda _: SIZE)
    monkeypatch.setattr(reserve, "free", disk.free)
    for name in ("free", "reserved"):
        monkeypatch.setattr(f"alongside.store.database.{name}", getattr(reserve, name))
    return disk


def test_it_is_a_part_of_a_small_disk_and_bounded_on_a_large_one(tmp_path: Path) -> None:
    assert 0 < reserve.reserved(tmp_path) <= 64 << 20


def test_it_takes_up_space_and_gives_way_only_where_there_is_none(
    tmp_path: Path, disk: Disk
) -> None:
    kept = Reserve(tmp_path)
    kept.hold()
    found = disk.file.stat()
    assert (found.st_size, found.st_blocks * 512 >= SIZE) == (SIZE, True)
    kept.release()
    assert disk.file.exists(), "there was space without it"
    disk.rest = SIZE
    kept.release()
    assert not disk.file.exists()
    kept.hold()
    assert not disk.file.exists(), "it would take what little there is"
    disk.rest = 3 * SIZE
    kept.hold()
    assert disk.file.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["reserve"]


def test_a_disk_that_refuses_it_is_no_failure(
    tmp_path: Path, disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    Reserve(tmp_path / "gone").hold()
    assert "no space could be kept for a rollback" in caplog.text


def test_what_is_sent_stops_before_it(tmp_path: Path, disk: Disk) -> None:
    disk.rest = SIZE + 5000
    assert shortage(tmp_path) == shortage(tmp_path, 5000) == ""
    assert shortage(tmp_path, 5001).startswith("No space left on device for 5.0 kB more: ")
    disk.rest = SIZE - 1
    assert "of which 1.0 MB are kept for a rollback" in shortage(tmp_path)


def test_going_back_is_begun_on_a_full_disk_and_nothing_else(tmp_path: Path, disk: Disk) -> None:
    database = Database(tmp_path / "state.db")
    journal = Journal(database)

    def begin(verb: str, *, going_back: bool) -> int:
        actor = Actor(0, "root")
        return journal.begin(
            verb, "web", actor, before="2", after="1", message="", going_back=going_back
        )

    database.reserve.hold()
    disk.rest = SIZE  # all of which the file has
    with pytest.raises(StepFailed, match="The state could not be written: less than"):
        begin("up", going_back=False)
    assert disk.file.exists()
    assert begin("rollback", going_back=True)
    assert not disk.file.exists()
    disk.rest = SIZE // 4
    with pytest.raises(StepFailed, match="The state could not be written: less than"):
        begin("rollback", going_back=True)
    database.close()
