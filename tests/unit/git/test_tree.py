"""The tag's exact tree, and nothing of the work tree."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from alongside.domain.errors import InvalidInput, NotFound
from alongside.git import Repository

ENV = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@example.test",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@example.test",
}


def git(path: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=path, env=ENV, check=True, capture_output=True, text=True
    ).stdout.strip()


def commit(path: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text, newline="")
    git(path, "add", "--all")
    git(path, "commit", "--quiet", "--allow-empty", "--message", "x")


@pytest.fixture
def top(tmp_path: Path) -> Path:
    path = tmp_path / "app"
    path.mkdir()
    git(path, "init", "--quiet", "--initial-branch=main")
    return path


def members(path: Path, tag: str = "1") -> dict[str, tuple[tarfile.TarInfo, bytes]]:
    repository = Repository.discover(path)
    with repository.tree_archive(repository.resolve_tag(tag)) as file:
        data = file.read()
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {
            one.name: (one, opened.read() if (opened := tar.extractfile(one)) else b"")
            if one.isreg()
            else (one, b"")
            for one in tar.getmembers()
        }


def test_what_lies_in_the_work_tree_does_not_leak_in(top: Path) -> None:
    commit(top, {"a": "tagged", "gone": "tagged"})
    git(top, "tag", "1")
    (top / "a").write_text("dirty")
    (top / "new").write_text("dirty")
    (top / "gone").unlink()
    git(top, "add", "--all")
    found = members(top)
    assert {name: content for name, (_, content) in found.items()} == {
        "a": b"tagged",
        "gone": b"tagged",
    }
    assert git(top, "status", "--short").split() == ["M", "a", "D", "gone", "A", "new"]


def test_export_attributes_change_nothing_and_line_ends_are_as_checked_out(top: Path) -> None:
    commit(
        top,
        {
            ".gitattributes": "secret export-ignore\nv export-subst\n*.bat text eol=crlf\n",
            "secret": "needed",
            "v": "$Format:%H$",
            "run.bat": "one\n",
        },
    )
    git(top, "tag", "1")
    found = members(top)
    assert found["secret"][1] == b"needed"
    assert found["v"][1] == b"$Format:%H$"
    assert found["run.bat"][1] == b"one\r\n"


def test_modes_links_and_names_are_kept_and_the_bytes_are_the_same_again(top: Path) -> None:
    commit(top, {"bin/run": "#!/bin/sh", "größe": "x", "-dash": "x", "sp ace/file": "x"})
    (top / "bin/run").chmod(0o755)
    (top / "link").symlink_to("bin/run")
    (top / "folder").symlink_to("bin")
    commit(top, {})
    git(top, "tag", "1")
    found = members(top)
    assert found["bin/run"][0].mode == 0o755
    assert found["größe"][0].mode == 0o644
    assert found["link"][0].linkname == "bin/run"
    assert found["folder"][0].issym()
    assert set(found) == {"bin/run", "größe", "-dash", "sp ace/file", "link", "folder"}
    repository = Repository.discover(top)
    with repository.tree_archive(repository.resolve_tag("1")) as file:
        first = file.read()
    os.utime(top / "bin/run", (1, 1))
    with repository.tree_archive(repository.resolve_tag("1")) as file:
        assert file.read() == first


def test_a_bare_repository_and_a_linked_work_tree_have_the_same_tree(
    top: Path, tmp_path: Path
) -> None:
    commit(top, {"a": "1", "sub/b": "2"})
    git(top, "tag", "1")
    git(tmp_path, "clone", "--quiet", "--bare", str(top), "served.git")
    git(top, "worktree", "add", "--quiet", str(tmp_path / "linked"))
    whole = {name: content for name, (_, content) in members(top).items()}
    for place in (tmp_path / "served.git", tmp_path / "linked"):
        assert {name: content for name, (_, content) in members(place).items()} == whole
    assert Repository.discover(tmp_path / "linked").name == "app"
    assert Repository.discover(tmp_path / "linked").common_dir == top / ".git"


def test_submodules_are_refused_by_name(top: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "--quiet")
    commit(other, {"x": "1"})
    git(top, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(other), "lib")
    commit(top, {})
    git(top, "tag", "1")
    with pytest.raises(InvalidInput, match=r"submodules \(lib\)"):
        members(top)


def test_lfs_pointers_are_refused_by_name(top: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    commit(top, {".gitattributes": "*.bin filter=lfs\n", "big.bin": pointer, "doc.txt": pointer})
    git(top, "tag", "1")
    with pytest.raises(InvalidInput, match=r"LFS pointers.*big\.bin"):
        members(top)


def test_an_unknown_tag_is_answered_with_the_nearest(top: Path) -> None:
    commit(top, {"a": "1"})
    git(top, "tag", "1.0.0")
    with pytest.raises(NotFound, match=r"no tag '1\.0\.1'") as caught:
        Repository.discover(top).resolve_tag("1.0.1")
    assert "1.0.0" in caught.value.hint


def test_a_tag_of_no_commit_is_refused(top: Path) -> None:
    commit(top, {"a": "1"})
    git(top, "tag", "blob", git(top, "rev-parse", "HEAD:a"))
    with pytest.raises(InvalidInput, match="not of a commit"):
        Repository.discover(top).resolve_tag("blob")


def test_a_folder_without_a_repository_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="not in a git repository"):
        Repository.discover(tmp_path)


@pytest.mark.parametrize(
    ("url", "name", "source"),
    [
        (
            "https://me:secret@example.test/team/resolver.git",
            "resolver",
            "https://example.test/team/resolver.git",
        ),
        ("git@example.test:team/resolver.git", "resolver", "git@example.test:team/resolver.git"),
        ("/srv/git/resolver.git/", "resolver", "/srv/git/resolver.git"),
    ],
)
def test_the_name_comes_from_the_origin_and_no_password_is_kept(
    top: Path, url: str, name: str, source: str
) -> None:
    git(top, "remote", "add", "origin", url)
    repository = Repository.discover(top)
    assert (repository.name, repository.source) == (name, source)


def test_what_a_hook_left_in_the_environment_is_not_believed(
    top: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(top, {"a": "1"})
    git(top, "tag", "1")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    assert set(members(top)) == {"a"}
