"""What git's own commands do to releases, with real git."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.git import Git, install

ZERO = "0" * 40


def test_a_tag_is_built_with_progress_and_a_commit_is_not(git: Git) -> None:
    git.commit({"x": "1"})
    git("branch", "other")
    assert git.built == []
    said = git("tag", "1.0.0")
    assert git.built == ["1.0.0"]
    assert "#1 building" in said
    assert "app@1.0.0 is released" in said
    (built,) = git.daemon.built
    assert built.query["commit"] == git("rev-parse", "HEAD").strip()
    assert built.query["tree"] == git("rev-parse", "HEAD^{tree}").strip()
    assert built.query["repository"] == "app"


def test_an_annotated_tag_stands_for_its_commit(git: Git) -> None:
    git("tag", "--annotate", "--message", "x", "1.0.0")
    assert git.daemon.built[0].query["commit"] == git("rev-parse", "HEAD").strip()


def test_a_move_is_refused_where_there_is_a_release_and_allowed_where_not(git: Git) -> None:
    git("tag", "1.0.0")
    first = git("rev-parse", "HEAD").strip()
    git.daemon.releases = [{"service": "app", "version": "1.0.0", "commit": first}]
    second = git.commit({"x": "2"})
    said = git("tag", "--force", "1.0.0", check=False)
    assert first[:12] in said
    assert second[:12] in said
    assert git("rev-parse", "1.0.0").strip() == first
    git("tag", "--force", "--annotate", "--message", "same commit", "1.0.0", first)
    git.daemon.releases = []
    git("tag", "--force", "1.0.0", second)
    assert git("rev-parse", "1.0.0").strip() == second


def test_a_deletion_is_allowed_and_builds_nothing(git: Git) -> None:
    git("tag", "1.0.0")
    git.daemon.releases = [
        {"service": "app", "version": "1.0.0", "commit": git("rev-parse", "HEAD").strip()}
    ]
    git("tag", "--delete", "1.0.0")
    assert git.tags == []
    git("tag", "1.0.0")
    git("pack-refs", "--all")
    git("tag", "--delete", "1.0.0")
    assert git.built == ["1.0.0", "1.0.0"]


def test_packing_refs_and_gc_neither_fail_nor_build(git: Git) -> None:
    for tag in ("1.0.0", "1.1.0"):
        git("tag", tag)
    git.daemon.releases = [{"service": "app", "version": "1.0.0", "commit": "f" * 40}]
    assert git("pack-refs", "--all", "--prune") == ""
    git("gc", "--quiet")
    git("tag", "1.2.0")
    assert git("gc", "--quiet") == ""
    assert git.built == ["1.0.0", "1.1.0", "1.2.0"]
    assert git.tags == ["1.0.0", "1.1.0", "1.2.0"]


@pytest.mark.parametrize("tag", ["1.0.0+build.5", "dns/v1.0+x"])
def test_build_metadata_is_refused_while_git_still_can(git: Git, tag: str) -> None:
    said = git("tag", tag, check=False)
    assert "cannot hold '+'" in said
    assert git.tags == []


@pytest.mark.parametrize(
    "tag",
    ["$(touch${IFS}pwned)", "`touch${IFS}pwned`", "a;touch${IFS}pwned", "a'b\"c", "x&&y", "(a|b)"],
)
def test_shell_metacharacters_are_harmless(git: Git, tag: str) -> None:
    git("tag", tag)
    assert git.built == [tag]
    assert not list(git.path.rglob("pwned"))


def test_the_tag_is_made_when_the_daemon_is_down_and_it_says_what_to_do(
    git: Git, tmp_path: Path
) -> None:
    said = git("tag", "1.0.0", ALONGSIDE_SOCKET=str(tmp_path / "nobody"))
    assert git.tags == ["1.0.0"]
    assert "alongside build 1.0.0" in said
    git.commit({"x": "2"})
    said = git("tag", "--force", "1.0.0", ALONGSIDE_SOCKET=str(tmp_path / "nobody"))
    assert "nobody can say whether 1.0.0 has a release" in said


def test_where_alongside_is_gone_git_goes_on_and_is_told(git: Git) -> None:
    git("tag", "1.0.0")
    folder = git.path / ".git"
    for hook in (*(folder / "alongside" / "hooks").iterdir(), *(folder / "hooks").iterdir()):
        hook.write_text(hook.read_text().replace(sys.executable, "/gone/bin/python"))
    git.commit({"more": ""})
    made = git("tag", "1.1.0")
    assert "/gone/bin/python is gone, so no tag is built." in made
    moved = git("tag", "--force", "1.0.0")
    assert git("rev-parse", "1.0.0") == git("rev-parse", "HEAD")
    assert moved.count("is gone") == 1
    # What it says takes them out does.
    (remedy,) = re.findall(r"These hooks go with: (.*)", moved)
    subprocess.run(["sh", "-c", remedy], check=True, cwd="/")
    assert git("tag", "1.2.0") == ""
    assert not (folder / "alongside").exists()
    assert not (folder / "hooks" / "reference-transaction").exists()


def test_a_build_that_fails_leaves_the_tag_and_shows_why(git: Git) -> None:
    problem = {"title": "build-failed", "detail": "It did not build.", "log": ["#9 exit 1"]}
    git.daemon.events = [{"event": "error", "problem": problem}]
    said = git("tag", "1.0.0")
    assert git.tags == ["1.0.0"]
    assert "It did not build." in said
    assert "#9 exit 1" in said


def test_a_linked_work_tree_is_the_same_repository(git: Git, tmp_path: Path) -> None:
    git("worktree", "add", "--quiet", str(tmp_path / "linked"))
    linked = git.at(tmp_path / "linked")
    linked.commit({"only": "here"})
    linked("tag", "2.0.0")
    (built,) = git.daemon.built
    assert built.query["repository"] == "app"
    assert "only" in built.files


def test_a_check_out_of_a_commit_from_before_the_hooks(git: Git) -> None:
    first = git("rev-parse", "HEAD").strip()
    git.commit({"x": "1"})
    git("checkout", "--quiet", first)
    git("tag", "0.9.0")
    assert git.built == ["0.9.0"]


def test_fetched_tags_are_listed_and_not_built(git: Git, tmp_path: Path) -> None:
    other = git.at(tmp_path / "other")
    subprocess.run(["git", "clone", "--quiet", git.path, other.path], check=True)
    other.commit({"y": "1"})
    for tag in ("3.0.0", "3.1.0"):
        other("tag", tag)
    said = git("fetch", "--tags", str(other.path))
    assert git.built == []
    assert "alongside build 3.0.0" in said
    assert "alongside build 3.1.0" in said


def test_several_new_tags_in_one_transaction_are_listed(git: Git) -> None:
    head = git("rev-parse", "HEAD").strip()
    lines = f"create refs/tags/a {head}\ncreate refs/tags/b {head}\n"
    done = subprocess.run(
        ["git", "update-ref", "--stdin"],
        cwd=git.path,
        input=lines,
        text=True,
        capture_output=True,
        check=True,
        env={"PATH": "/usr/bin:/bin", "ALONGSIDE_SOCKET": str(git.socket)},
    )
    assert git.built == []
    assert "alongside build a" in done.stderr


def test_a_push_to_a_bare_repository_builds_and_the_pusher_sees_it(
    git: Git, tmp_path: Path
) -> None:
    bare = git.at(tmp_path / "served.git")
    subprocess.run(["git", "init", "--quiet", "--bare", bare.path], check=True)
    install(bare)
    clone = git.at(tmp_path / "clone")
    subprocess.run(["git", "clone", "--quiet", git.path, clone.path], check=True)
    # What is pushed is never run in the repository that receives it.
    clone.script(".githooks/post-receive", "touch pwned")
    clone.script(".githooks/reference-transaction-committed-new-tags", "touch pwned")
    clone.commit()
    for tag in ("1.0.0", "1.1.0"):
        clone("tag", tag)
    said = clone("push", str(bare.path), "main", "--tags")
    assert git.built == ["1.0.0", "1.1.0"]
    assert "remote: #1 building" in said
    assert "remote: app@1.1.0 is released" in said
    assert not list(tmp_path.rglob("pwned"))
    assert {one.query["repository"] for one in git.daemon.built} == {"served"}

    git.daemon.releases = [{"service": "app", "version": "1.0.0", "commit": "f" * 40}]
    clone.commit({"x": "3"})
    clone("tag", "--force", "1.0.0")
    said = clone("push", "--force", str(bare.path), "1.0.0", check=False)
    assert "a release never changes" in said


def test_a_push_is_taken_when_the_daemon_is_down(git: Git, tmp_path: Path) -> None:
    bare = git.at(tmp_path / "served.git")
    subprocess.run(["git", "init", "--quiet", "--bare", bare.path], check=True)
    install(bare)
    git.alongside("init", "--remove")
    git("tag", "1.0.0")
    said = git("push", str(bare.path), "1.0.0", ALONGSIDE_SOCKET=str(tmp_path / "nobody"))
    assert "remote: alongside: The daemon does not answer" in said
    assert "alongside build 1.0.0" in said
    assert bare.tags == ["1.0.0"]


def test_another_repository_of_the_same_name_is_refused(git: Git, tmp_path: Path) -> None:
    """`app` here and `app` there would share volumes, linked files and services."""
    there = {"service": "app", "repository": "app", "source": "/srv/other/app", "commit": "f" * 40}
    git.daemon.answers["/v1/releases"] = {"releases": [there]}
    said = git("tag", "1.0.0")
    assert "The name app belongs to another repository on this host, /srv/other/app" in said
    assert "git config alongside.name" in said
    assert git.built == []
    git("config", "alongside.name", "my-app")
    git("tag", "1.0.1")
    assert git.daemon.built[0].query["repository"] == "my-app"
    git("config", "--unset", "alongside.name")

    # The same repository, moved or cloned: it has the commit.
    first = git("rev-parse", "HEAD").strip()
    git.daemon.answers["/v1/releases"] = {"releases": [{**there, "commit": first}]}
    git.commit({"x": "1"})
    git("tag", "1.0.2")
    assert git.built == ["1.0.1", "1.0.2"]


@pytest.mark.parametrize("bare", [False, True])
def test_modules_of_the_work_tree_are_not_run(git: Git, tmp_path: Path, *, bare: bool) -> None:
    """Python looks for modules in the folder that it is started in, and where PYTHONPATH says."""
    mark = tmp_path / "ran"
    names = ("select.py", "json.py", "alongside/__init__.py", "sitecustomize.py", "click.py")
    shadows = {name: f"open({str(mark)!r}, 'w')\n" for name in names}
    if bare:
        git.commit()
        git("clone", "--quiet", "--bare", ".", str(tmp_path / "b.git"))
        there = git.at(tmp_path / "b.git")
        install(there)
        for name, text in shadows.items():
            path = there.path / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        git("tag", "1.0.0", "HEAD", PYTHONPATH=".")
        git.daemon.built.clear()
        git("push", "--quiet", str(there.path), "1.0.0", PYTHONPATH=".")
    else:
        git.commit(shadows)
        git("tag", "1.0.0", PYTHONPATH=".", PYTHONSTARTUP="select.py", PYTHONHOME=".")
        git.daemon.releases = [{"service": "app", "version": "1.0.0", "commit": "f" * 40}]
        assert "is not moved" in git(
            "tag", "--force", "1.0.0", git.commit({"x": "y"}), check=False, PYTHONPATH="."
        )
    assert git.built == ["1.0.0"]
    assert not mark.exists()
