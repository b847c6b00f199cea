from __future__ import annotations

from pathlib import Path

import pytest

from alongside.host.files import sync_filesystem, sync_folder, write_whole


def test_a_file_is_replaced_with_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_whole(path, "one", mode=0o600)
    write_whole(path, b"two", mode=0o640)
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o777 == 0o640
    assert [one.name for one in tmp_path.iterdir()] == ["a"]


def test_where_it_cannot_be_written_it_stays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.mkdir()
    (path / "kept").touch()
    with pytest.raises(OSError, match="directory"):
        write_whole(path, "text")
    assert [one.name for one in tmp_path.iterdir()] == ["a"]
    assert (path / "kept").exists()


def test_a_folder_that_is_not_there_cannot_be_synced(tmp_path: Path) -> None:
    sync_folder(tmp_path)
    sync_filesystem(tmp_path)
    with pytest.raises(FileNotFoundError):
        sync_folder(tmp_path / "none")
    with pytest.raises(FileNotFoundError):
        sync_filesystem(tmp_path / "none")
