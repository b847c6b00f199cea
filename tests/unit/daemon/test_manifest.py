"""What a tree was when it was unpacked, and what was written there since."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from alongside.daemon.manifest import (
    forget_lost,
    is_as_unpacked,
    read_manifest,
    strays,
    take_manifest,
    write_manifest,
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A kept tree with its manifest."""
    tree = tmp_path / "trees" / "app" / "abc"
    (tree / "sub").mkdir(parents=True)
    (tree / "sub" / "file").write_text("one")
    (tree / "compose.yaml").write_text("services: {}")
    (tree / "link").symlink_to("sub/file")
    for path in (tree / "sub" / "file", tree / "compose.yaml"):
        path.chmod(0o444)
    write_manifest(tree, take_manifest(tree))
    return tree


def test_a_tree_that_nothing_wrote_to(tree: Path) -> None:
    manifest = read_manifest(tree)
    assert manifest is not None
    assert is_as_unpacked(tree, manifest)
    assert strays(tree) == []


def write(path: str, text: str) -> Callable[[Path], object]:
    def change(tree: Path) -> None:
        (tree / path).parent.mkdir(exist_ok=True)
        (tree / path).write_text(text)

    return change


def relink(tree: Path) -> None:
    (tree / "link").unlink()
    (tree / "link").symlink_to("compose.yaml")


def file_for_link(tree: Path) -> None:
    (tree / "link").unlink()
    (tree / "link").write_text("one")


def same_size_and_time(tree: Path) -> None:
    file = tree / "sub" / "file"
    before = file.stat()
    file.write_text("two")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (write("sub/file", "longer"), ["sub/file"]),
        (same_size_and_time, ["sub/file"]),
        (write("data/log", "x"), ["data/log"]),
        (write("sub/new", ""), ["sub/new"]),
        (relink, ["link"]),
        (file_for_link, ["link"]),
        (lambda tree: os.mkfifo(tree / "pipe"), ["pipe"]),
        # Differences that are no data:
        (lambda tree: (tree / "data").mkdir(), []),
        (lambda tree: (tree / "sub" / "file").chmod(0o644), []),
        (lambda tree: (tree / "sub").chmod(0o700), []),
        (lambda tree: (tree / "compose.yaml").unlink(), []),
    ],
)
def test_whatever_a_container_writes_is_seen(
    tree: Path, change: Callable[[Path], object], found: list[str]
) -> None:
    manifest = read_manifest(tree)
    assert manifest is not None
    change(tree)
    assert not is_as_unpacked(tree, manifest)
    assert strays(tree) == found


def test_of_an_older_alongsides_tree_the_writable_files_are_strays(tree: Path) -> None:
    """It made trees read-only, and no manifest."""
    (tree.parents[2] / "manifests" / "app" / "abc").unlink()
    (tree / "data").mkdir()
    (tree / "data" / "log").write_text("x")
    assert strays(tree) == ["data/log"]


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(tree: Path) -> None:
    (tree / "sub" / "file").unlink()
    os.mkfifo(tree / "sub" / "file")
    assert strays(tree) == ["sub/file"]


def test_names_that_are_no_text(tree: Path) -> None:
    (tree / os.fsdecode(b"caf\xe9")).write_text("x")
    write_manifest(tree, take_manifest(tree))
    assert strays(tree) == []


def test_manifests_of_trees_that_are_gone_are_forgotten(tree: Path) -> None:
    state = tree.parents[2]
    gone = tree.parent / "gone"
    write_manifest(gone, {})
    forget_lost(state)
    assert read_manifest(gone) is None
    assert read_manifest(tree) is not None


def test_an_unreadable_manifest_is_none(tree: Path) -> None:
    (tree.parents[2] / "manifests" / "app" / "abc").write_text("{")
    assert read_manifest(tree) is None
