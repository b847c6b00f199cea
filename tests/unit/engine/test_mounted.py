"""Who mounts something, however it is called."""

from __future__ import annotations

from pathlib import Path

import pytest

from alongside.engine.fake import FakeEngine
from alongside.engine.mounted import LABEL_PROJECT, Mounted, names
from alongside.engine.protocol import Container, Mount


def container(source: Path | str, *, project: str = "") -> Container:
    engine = FakeEngine()
    engine.tag("image", "x")
    mount = Mount("bind", str(source), "/x")
    return engine.create("one", "image", labels={LABEL_PROJECT: project}, mounts=[mount])


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "state" / "trees" / "app" / "abc"
    (tree / "conf").mkdir(parents=True)
    (tree / "conf" / "file").touch()
    return tree


def by(tree: Path, source: Path | str, path: Path | None = None) -> bool:
    return bool(Mounted(tree.parents[2], [container(source)]).by(path or tree))


def test_itself_what_is_in_it_and_what_it_is_in(tree: Path) -> None:
    root = tree.parents[2]
    for source in (tree, tree / "conf", tree / "conf" / "file", tree.parent, root / "trees", root):
        assert by(tree, source)
    assert not by(tree, tree.with_name("abcd"))
    assert not by(tree, root / "shared")
    assert by(tree, tree / "not-there-any-more")


def test_a_container_that_looks_at_the_whole_host_holds_nothing(tree: Path) -> None:
    assert not by(tree, "/")
    assert not by(tree, tree.parents[3])


def test_by_other_names(tree: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tree)
    assert by(tree, link / "conf")
    assert by(tree, tree / "conf" / ".." / "conf")
    state = tmp_path / "other-name"
    state.symlink_to(tree.parents[2])
    assert by(state / "trees" / "app" / "abc", tree)
    hard = tmp_path / "hard"
    hard.hardlink_to(tree / "conf" / "file")
    assert by(tree, tree / "conf" / "file", hard)


def test_a_link_that_leads_out_of_the_tree_is_mounted_itself(tree: Path) -> None:
    (tree / ".env").symlink_to("/nowhere/.env")
    assert by(tree, tree / ".env")


def test_but_for_a_project(tree: Path) -> None:
    mounted = Mounted(tree.parents[2], [container(tree, project="web-1")])
    assert mounted.by(tree)
    assert not mounted.by(tree, beside="web-1")
    assert names(mounted.by(tree)) == "the container one"
