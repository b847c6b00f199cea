"""The folder that shared services run from, and what is data in it."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

import pytest

from alongside.daemon import trees
from alongside.daemon.outliving import Outliving, data_below
from alongside.daemon.written import written
from alongside.domain.errors import StepFailed
from alongside.engine.fake import FakeEngine
from alongside.engine.mounted import Mounted
from alongside.engine.protocol import Mount

CONF = PurePosixPath("conf")


@pytest.fixture
def room(tmp_path: Path) -> Path:
    return tmp_path / "state" / "services" / "app"


def tree(tmp_path: Path, name: str, files: dict[str, str]) -> Path:
    folder = tmp_path / "incoming" / name
    for file, text in files.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(text)
        os.utime(folder / file, (1e9, 1e9))  # the commit's time, as in a tag's tree
    kept = tmp_path / "state" / "trees" / "app" / name
    trees.keep(folder, kept)
    return kept


def fill(room: Path, tree: Path, *paths: str, mounting: Path | None = None) -> dict[str, str]:
    """What is there afterwards."""
    engine = FakeEngine()
    engine.tag("image", "x")
    if mounting is not None:
        engine.create("one", "image", mounts=[Mount("bind", str(mounting), "/x")])
    outliving = Outliving(room)
    mounted = Mounted(room.parents[1], engine.every())
    outliving.fill(tree, [PurePosixPath(one) for one in paths or ("conf",)], mounted)
    files = (one for one in outliving.files.rglob("*") if one.is_file())
    return {str(one.relative_to(outliving.files)): one.read_text() for one in files}


def test_files_of_the_tag_are_copied_and_brought_up_to_date(tmp_path: Path, room: Path) -> None:
    first = tree(tmp_path, "1", {"conf/a": "1", "conf/b/c": "1", "conf/gone": "1", "other": "1"})
    assert fill(room, first) == {"conf/a": "1", "conf/b/c": "1", "conf/gone": "1"}
    assert (room / "files/conf/a").stat().st_mode & 0o777 == 0o644
    assert (room / "files/conf/b").stat().st_mode & 0o777 == 0o755
    second = tree(tmp_path, "2", {"conf/a": "2", "conf/b/c": "1", "conf/new": "2"})
    assert fill(room, second) == {"conf/a": "2", "conf/b/c": "1", "conf/new": "2"}
    assert data_below(room) == []


def test_what_a_container_has_written_is_never_replaced_nor_removed(
    tmp_path: Path, room: Path
) -> None:
    fill(room, tree(tmp_path, "1", {"conf/a": "1", "conf/gone": "1", "conf/d": "1"}))
    conf = room / "files" / "conf"
    (conf / "a").write_text("mine")
    (conf / "gone").write_text("mine")
    (conf / "data").write_text("mine")
    (conf / "d").unlink()
    (conf / "d").mkdir()
    (conf / "d" / "x").write_text("mine")
    found = fill(room, tree(tmp_path, "2", {"conf/a": "2", "conf/data": "2", "conf/d": "2"}))
    assert found == dict.fromkeys(("conf/a", "conf/gone", "conf/data", "conf/d/x"), "mine")
    assert [one.name for one in data_below(room)] == ["a", "x", "data", "gone"]


def test_what_is_mounted_stays_as_it_is(tmp_path: Path, room: Path) -> None:
    fill(room, tree(tmp_path, "1", {"conf/a": "1", "b": "1"}), "conf", "b")
    second = tree(tmp_path, "2", {"conf/a": "2", "conf/new": "2", "b": "2"})
    found = fill(room, second, "conf", "b", mounting=room / "files" / "conf")
    assert found["conf/a"] == "1"
    assert found["b"] == "2"
    assert fill(room, second, "conf", "b")["conf/a"] == "2"


def test_links_and_what_they_lead_to(tmp_path: Path, room: Path) -> None:
    env = tmp_path / "state" / "shared" / "app" / ".env"
    env.parent.mkdir(parents=True)
    env.write_text("SECRET=1")
    folder = tmp_path / "incoming" / "1"
    (folder / "v2" / "sub").mkdir(parents=True)
    (folder / "v2" / "sub" / "x").write_text("x")
    (folder / "current").symlink_to("v2")
    (folder / ".env").symlink_to(env)
    kept = tmp_path / "state" / "trees" / "app" / "1"
    trees.keep(folder, kept)
    found = fill(room, kept, ".env", "current")
    assert found == {".env": "SECRET=1", "current/sub/x": "x"}
    assert (room / "files" / ".env").readlink() == env


def test_a_folder_that_the_engine_made_for_a_missing_file_gives_way(
    tmp_path: Path, room: Path
) -> None:
    (room / "files" / "conf").mkdir(parents=True)
    assert fill(room, tree(tmp_path, "1", {"conf": "1"})) == {"conf": "1"}


def test_a_link_that_a_container_put_there_leads_nowhere(tmp_path: Path, room: Path) -> None:
    fill(room, tree(tmp_path, "1", {"conf/b/c": "1", "conf/d/e": "1"}))
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "c").write_text("1")
    for name in ("b/c", "d/e"):
        (room / "files/conf" / name).unlink()
        (room / "files/conf" / name).parent.rmdir()
        (room / "files/conf" / name).parent.symlink_to(outside)
    fill(room, tree(tmp_path, "2", {"conf/d/e": "2", "conf/d/f": "2"}))
    assert [one.name for one in outside.iterdir()] == ["c"]


def test_the_whole_tree(tmp_path: Path, room: Path) -> None:
    assert fill(room, tree(tmp_path, "1", {"a/b": "1", "c": "1"}), ".") == {"a/b": "1", "c": "1"}


def test_a_record_that_cannot_be_read_is_said_and_not_taken_for_an_empty_one(room: Path) -> None:
    room.mkdir(parents=True)
    (room / "record.json").write_text("{")
    with pytest.raises(StepFailed, match=r"record\.json cannot be read"):
        Outliving(room)


def test_where_it_was_before_is_remembered(room: Path) -> None:
    Outliving(room).remember("db", CONF, Path("/old/conf"))
    Outliving(room).remember("cache", CONF, Path("/older/conf"))
    assert Outliving(room).before("db", CONF) == [Path("/old/conf")]
    assert Outliving(room).before("new", CONF) == []
    assert Outliving(room).before_of_others("new", CONF) == [Path("/older/conf"), Path("/old/conf")]


# -- a release's own tree ---------------------------------------------------------------------

SINCE = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_tree_as_it_was_unpacked_holds_nothing_of_a_containers(tmp_path: Path) -> None:
    kept = tree(tmp_path, "1", {"a/b": "1", "c": "1"})
    assert written(kept, SINCE) is None
    (kept / "data" / "below").mkdir(parents=True)  # as the engine does, for a mount
    assert written(kept, SINCE) is None
    assert written(tmp_path / "nowhere", SINCE) is None


@pytest.mark.parametrize("place", ["new", "a/new", "data/deep/new"])
def test_a_file_that_came_later_is_seen(tmp_path: Path, place: str) -> None:
    kept = tree(tmp_path, "1", {"a/b": "1"})
    (kept / place).parent.mkdir(parents=True, exist_ok=True)
    (kept / place).write_text("x")
    assert written(kept, SINCE) == kept / place
    assert written(kept) == kept / place
    (kept / place).chmod(0o400)
    assert written(kept, SINCE) == kept / place


def test_a_file_of_the_tags_that_was_changed_is_seen(tmp_path: Path) -> None:
    kept = tree(tmp_path, "1", {"a/b": "1"})
    (kept / "a" / "b").write_text("changed")
    assert written(kept, SINCE) == kept / "a" / "b"
