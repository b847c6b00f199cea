"""Steps on this very file system, in a folder of the test's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from alongside.daemon.paths import StatePaths
from alongside.domain.errors import StepFailed
from alongside.install.carry_out import carry_out, untrusted
from alongside.install.run import must
from alongside.install.settings import STATE_FILES, STATE_FOLDERS
from alongside.install.steps import (
    Leave,
    Link,
    MakeFolder,
    Plan,
    Record,
    RemoveFile,
    RemoveFolder,
    Step,
    WriteFile,
)
from alongside.store.database import Database


def carried_out(*steps: Step) -> tuple[int, list[str]]:
    said: list[str] = []
    return carry_out(Plan(steps), {}, said.append), said


def test_steps_may_be_taken_again(tmp_path: Path) -> None:
    folder, file, link = tmp_path / "a" / "b", tmp_path / "a" / "b" / "c", tmp_path / "l"
    steps = (
        MakeFolder(folder, 0o700, (tmp_path / "a",)),
        WriteFile(file, "text\n", there=False),
        Link(link, file),
        Record(tmp_path / "record", (folder,), group=True),
    )
    for _ in range(2):
        short_of, said = carried_out(*steps)
        assert short_of == 0
        assert said[0] == f"done: make the folder {folder} (0700)"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert link.read_text() == "text\n"
    assert file.stat().st_mode & 0o777 == 0o644

    away = (RemoveFile(file), RemoveFolder(folder, empty=True), RemoveFolder(tmp_path / "a"))
    for _ in range(2):
        assert carried_out(*away)[0] == 0
    assert not (tmp_path / "a").exists()


def test_a_folder_that_somebody_else_uses_stays_and_keeps_nothing_back(tmp_path: Path) -> None:
    used, file = tmp_path / "used", tmp_path / "file"
    used.mkdir()
    (used / "theirs").touch()
    file.touch()
    short_of, said = carried_out(RemoveFolder(used, empty=True), RemoveFile(file))
    assert short_of == 1
    assert said[0].startswith(f"not done: remove {used}")
    assert (used / "theirs").exists()
    assert not file.exists()


def test_a_folder_goes_but_for_what_is_to_stay(tmp_path: Path) -> None:
    state = tmp_path / "state"
    for name in ("trees/a/x", "trees/b/x", "db", "mounted/file"):
        (state / name).parent.mkdir(parents=True, exist_ok=True)
        (state / name).touch()
    (state / "link").symlink_to(tmp_path)
    kept = (state / "trees" / "a", state / "mounted" / "file")
    steps = (RemoveFolder(state, but=kept), Leave(kept[0], "the container foreign"))
    short_of, said = carried_out(*steps)
    assert short_of == 1
    assert said[1].startswith(f"kept: {kept[0]}, which is mounted by the container foreign: ")
    left = {str(one.relative_to(state)) for one in state.rglob("*")}
    assert left == {"trees", "trees/a", "trees/a/x", "mounted", "mounted/file"}
    assert carried_out(RemoveFolder(state, but=(state,)))[0] == 0
    assert (state / "trees/a/x").exists()
    assert carried_out(RemoveFolder(state))[0] == 0
    assert not state.exists()


def test_what_cannot_be_written_is_said_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(StepFailed, match=r"Could not write .*: No such file or directory\."):
        carried_out(WriteFile(tmp_path / "nowhere" / "file", "", there=False))


def test_a_program_that_fails_is_quoted() -> None:
    with pytest.raises(StepFailed, match="`sh -c echo no >&2; exit 3` failed: no"):
        must("sh", "-c", "echo no >&2; exit 3")


def test_a_program_that_others_may_change_is_seen(tmp_path: Path) -> None:
    assert untrusted("/bin/sh") is None
    program = tmp_path / "open" / "alongside"
    program.parent.mkdir()
    program.touch(mode=0o755)
    program.parent.chmod(0o777)
    assert untrusted(str(program)) in (program.parent, program)  # the latter where not root's


def test_all_that_the_daemon_keeps_is_known(tmp_path: Path) -> None:
    """`--purge` removes these by name where the state folder is not ours alone."""
    paths = StatePaths(tmp_path)
    paths.make()
    database = Database(paths.database)
    database.setting("x", "y")
    paths.lock.touch()
    found = {path.name for path in tmp_path.iterdir()}
    assert found <= {*STATE_FILES, *STATE_FOLDERS}
    database.close()
