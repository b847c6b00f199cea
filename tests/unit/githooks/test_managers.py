"""Hook managers, the real ones, beside the release hooks: both run, in every order."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import ClassVar

import pytest

from support.git import Git, install

MANAGERS = Path(__file__).parents[3] / ".cache/managers"
PROGRAMS = MANAGERS / "bin"
NAMES = ("pre-commit", "lefthook", "husky 9", "husky 8")


@dataclass
class Manager:
    """A manager whose pre-commit hook writes a line to a log."""

    git: Git
    log: Path
    name: str

    _numbers: ClassVar[Iterator[int]] = count()

    def __post_init__(self) -> None:
        assert PROGRAMS.is_dir(), "scripts/setup --for test installs the hook managers"
        home = self.log.parent / "home"
        home.mkdir(exist_ok=True)
        self.environment = {
            "HOME": str(home),
            "PATH": f"{PROGRAMS}:{os.environ['PATH']}",
            "npm_config_cache": str(home / "npm"),
            "npm_config_update_notifier": "false",
        }
        say = f"echo ran >> {self.log}"
        {
            "pre-commit": self._configure_pre_commit,
            "lefthook": self._configure_lefthook,
            "husky 9": self._configure_husky_9,
            "husky 8": self._configure_husky_8,
        }[self.name](say)

    def _configure_pre_commit(self, say: str) -> None:
        hook = {
            "id": "say",
            "name": "say",
            "language": "system",
            "entry": f"sh -c '{say}'",
            "always_run": True,
            "pass_filenames": False,
        }
        self.write(
            ".pre-commit-config.yaml", json.dumps({"repos": [{"repo": "local", "hooks": [hook]}]})
        )

    def _configure_lefthook(self, say: str) -> None:
        self.write("lefthook.yml", json.dumps({"pre-commit": {"commands": {"say": {"run": say}}}}))

    def _configure_husky_9(self, say: str) -> None:
        self._package("husky", "9.1.7")
        self.write(".husky/pre-commit", f"{say}\n")

    def _configure_husky_8(self, say: str) -> None:
        self._package("husky install", "8.0.3")
        self.git.script(".husky/pre-commit", f'. "$(dirname -- "$0")/_/husky.sh"\n{say}')

    def _package(self, prepare: str, version: str) -> None:
        archive = MANAGERS / f"husky-{version}.tgz"
        package = {"scripts": {"prepare": prepare}, "devDependencies": {"husky": f"file:{archive}"}}
        self.write("package.json", json.dumps(package))
        self.write(".gitignore", "node_modules\n")

    def write(self, name: str, text: str) -> None:
        path = self.git.path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    def program(self, *command: str, check: bool = True, **env: str) -> str:
        return self.git.program(*command, check=check, **self.environment | env)

    def install(self) -> None:
        """As its documentation says."""
        if self.name in ("pre-commit", "lefthook"):
            self.program(self.name, "install")
        else:
            self.program("npm", "install", "--offline", "--no-audit", "--no-fund")

    def remove(self) -> None:
        """As its documentation says."""
        if self.name in ("pre-commit", "lefthook"):
            self.program(self.name, "uninstall")
            return
        if self.name == "husky 9":
            self.git("config", "--unset", "core.hooksPath")
        else:
            self.program("node_modules/.bin/husky", "uninstall")
        shutil.rmtree(self.git.path / ".husky")
        (self.git.path / "package.json").unlink()

    def commits(self, runs: int) -> None:
        """A commit runs the manager's hook so many times."""
        self.log.write_text("")
        self.write("changed", str(next(self._numbers)))
        self.git("add", "--all")
        self.program("git", "commit", "--quiet", "--message", "x")
        assert self.log.read_text() == "ran\n" * runs

    def tags(self, builds: int) -> None:
        """A tag is built so many times."""
        self.git.daemon.built.clear()
        tag = f"1.0.{next(self._numbers)}"
        self.program("git", "tag", tag)
        assert self.git.built == [tag] * builds

    def both(self) -> None:
        self.commits(1)
        self.tags(1)


@pytest.fixture(params=NAMES)
def manager(request: pytest.FixtureRequest, plain: Git, log: Path) -> Manager:
    return Manager(plain, log, request.param)


def test_the_manager_first_then_alongside_again_and_again(manager: Manager) -> None:
    manager.install()
    manager.commits(1)
    for _ in range(2):
        install(manager.git)
        manager.both()
    manager.install()
    manager.both()
    taken_out_and_put_back(manager)


def test_alongside_first_then_the_manager_again_and_again(manager: Manager) -> None:
    install(manager.git)
    manager.tags(1)
    for _ in range(2):
        manager.install()
        manager.both()
    install(manager.git)
    manager.both()
    manager.install()
    manager.both()
    taken_out_and_put_back(manager)


def taken_out_and_put_back(manager: Manager) -> None:
    """The manager is, and the release hooks stay; then they are, and the manager stays."""
    manager.remove()
    manager.commits(0)
    manager.tags(1)
    install(manager.git)
    manager.commits(0)
    manager.tags(1)
    manager = Manager(manager.git, manager.log, manager.name)
    manager.install()
    manager.both()
    manager.git.alongside("init", "--remove")
    manager.commits(1)
    manager.tags(0)
    hooks = manager.git.path / ".git/hooks"
    assert not list(hooks.glob("*.former"))
    assert not (hooks / "reference-transaction").exists()
    assert "alongside" not in (manager.git.path / ".git/config").read_text()


def test_what_husky_had_is_there_when_alongside_is_taken_out(plain: Git, log: Path) -> None:
    husky = Manager(plain, log, "husky 9")
    husky.install()
    install(plain)
    plain.alongside("init", "--remove")
    husky.commits(1)
    husky.tags(0)
    assert plain("config", "--get-all", "core.hooksPath") == ".husky/_\n"


def test_a_linked_work_tree_has_both_where_husky_is_installed(
    plain: Git, log: Path, tmp_path: Path
) -> None:
    manager = Manager(plain, log, "husky 9")
    install(plain)
    manager.install()
    plain.commit()
    plain("worktree", "add", "--quiet", str(tmp_path / "linked"))
    linked = Manager(plain.at(tmp_path / "linked"), log, "husky 9")
    linked.commits(0)  # husky's own rule: its folder is not tracked
    linked.tags(1)
    linked.install()
    linked.commits(1)
    linked.tags(1)


def test_pre_commit_beside_husky_has_the_documented_way(plain: Git, log: Path) -> None:
    husky = Manager(plain, log, "husky 9")
    husky.install()
    install(plain)
    manager = Manager(plain, log, "pre-commit")
    assert "Cowardly refusing" in manager.program("pre-commit", "install", check=False)
    manager.program("sh", "-c", documented("pre-commit install"))
    # git never runs both of them: what core.hooksPath names does, with alongside as without.
    manager.both()
    plain("config", "--unset", "core.hooksPath")
    manager.both()


@pytest.mark.parametrize("name", ["pre-commit", "lefthook"])
def test_managers_beside_scripts_of_the_repositorys_own(git: Git, log: Path, name: str) -> None:
    git.script(".githooks/post-commit", "touch own")
    manager = Manager(git, log, name)
    if name == "pre-commit":
        manager.program("sh", "-c", documented("pre-commit install"))
    else:
        manager.install()  # which git sends among the dispatchers
    for _ in range(2):
        manager.both()
        assert (git.path / "own").exists()
        install(git)
    manager.remove()
    manager.commits(0)
    manager.tags(1)
    if name == "lefthook":
        manager.install()
    else:
        manager.program("sh", "-c", documented("pre-commit install"))
    git.alongside("init", "--remove")
    manager.commits(1)
    manager.tags(0)


def test_a_change_from_husky_to_lefthook(plain: Git, log: Path) -> None:
    husky = Manager(plain, log, "husky 9")
    husky.install()
    install(plain)
    husky.both()
    shutil.rmtree(plain.path / ".husky")
    (plain.path / "package.json").unlink()
    lefthook = Manager(plain, log, "lefthook")
    lefthook.program("lefthook", "install", "--reset-hooks-path")
    lefthook.both()
    install(plain)
    lefthook.both()
    assert plain("config", "--default", "", "core.hooksPath").strip() == ""
    lefthook.install()
    lefthook.both()
    lefthook.remove()
    lefthook.commits(0)
    lefthook.tags(1)


def documented(command: str) -> str:
    """The line of docs/hooks.md that ends so."""
    lines = (Path(__file__).parents[3] / "docs/hooks.md").read_text().splitlines()
    (found,) = (line.strip() for line in lines if line.startswith("    ") and command in line)
    return found


def test_a_hooks_path_in_another_place_is_noticed_and_init_is_the_remedy(
    git: Git, log: Path
) -> None:
    git.script("elsewhere/pre-commit", f"echo ran >> {log}")
    git("config", "core.hooksPath", "elsewhere")
    git("tag", "1.0.0")
    assert git.built == []
    said = git.alongside("build", "1.0.0")
    assert "elsewhere" in said
    assert "alongside init" in said
    install(git)
    git.commit({"x": "1"})
    assert log.read_text() == "ran\n"
    git("tag", "1.1.0")
    assert git.built == ["1.0.0", "1.1.0"]
    assert "alongside init" not in git.alongside("build", "1.1.0")


def test_a_verb_that_misses_a_release_says_why_there_is_none(git: Git) -> None:
    git("config", "core.hooksPath", "elsewhere")
    git.daemon.events = [
        {"event": "error", "problem": {"title": "not-found", "detail": "There is no app@1.0.0."}}
    ]
    said = git.alongside("up", "app@1.0.0", check=False)
    assert "There is no app@1.0.0." in said
    assert "elsewhere" in said
    git("config", "--unset", "core.hooksPath")
    assert "elsewhere" not in git.alongside("up", "app@1.0.0", check=False)


def test_lefthook_with_a_reference_transaction_of_its_own(plain: Git, log: Path) -> None:
    manager = Manager(plain, log, "lefthook")
    run = {"commands": {"say": {"run": f"echo ran >> {log}"}}}
    manager.write("lefthook.yml", json.dumps({"reference-transaction": run}))
    manager.install()
    install(plain)
    manager.program("git", "branch", "a")
    assert "ran" in log.read_text()
    manager.tags(1)
    # It takes the file for itself, and that is noticed.
    manager.install()
    manager.tags(0)
    assert "alongside init" in plain.alongside("build", plain.tags[0])
    install(plain)
    log.write_text("")
    manager.tags(1)
    assert "ran" in log.read_text()
    plain.alongside("init", "--remove")
    log.write_text("")
    manager.tags(0)
    assert "ran" in log.read_text()


def test_the_articles_own_scripts_run_once(plain: Git, log: Path) -> None:
    plain.script(
        ".githooks/reference-transaction",
        'while read old new ref; do case $ref in refs/tags/*) "$0-$1-new-tags" "${ref#refs/tags/}"'
        " ;; esac; done",
    )
    for state in ("prepared", "committed", "aborted"):
        plain.script(
            f".githooks/reference-transaction-{state}-new-tags", f'echo "{state} $1" >> {log}'
        )
    plain("config", "core.hooksPath", ".githooks/")
    install(plain)
    plain("tag", "1.0.0")
    assert log.read_text() == "prepared 1.0.0\ncommitted 1.0.0\n"
    assert plain.built == ["1.0.0"]
    plain.alongside("init", "--remove")
    assert plain("config", "core.hooksPath") == ".githooks/\n"


def test_a_repository_that_is_moved_goes_on(git: Git, tmp_path: Path) -> None:
    moved = git.at(tmp_path / "a [b]*")
    git.path.rename(moved.path)
    moved("tag", "1.0.0")
    assert git.built == ["1.0.0"]
    moved("config", "core.hooksPath", "somewhere")
    install(moved)
    moved("tag", "1.1.0")
    assert git.built == ["1.0.0", "1.1.0"]
    assert str(git.path / ".git") not in moved("config", "--list", "--local")
    moved.alongside("init", "--remove")
    assert "alongside" not in moved("config", "--list", "--local")


def test_whoever_set_core_hooks_path_last_has_its_hooks_run(git: Git, log: Path) -> None:
    (git.path / ".husky").mkdir()
    folders = ("one", "two folders", ".git/hooks")
    for folder in folders[:2]:
        git.script(f"{folder}/pre-commit", f'echo "{folder}" >> {log}')
        git.script(f"{folder}/reference-transaction", f'echo "{folder} $1" >> {log}')
    git.script(".git/hooks/pre-commit", f"echo .git/hooks >> {log}")
    for _ in range(3):
        for folder in folders:
            git("config", "core.hooksPath", folder)
            log.write_text("")
            git.commit({"x": str(folder)})
            git("tag", "--force", "v")
            said = log.read_text().splitlines()
            assert said[0] == folder
            assert {line.rpartition(" ")[0] for line in said[1:]} <= {folder}
            assert (f"{folder} committed" in said) == (folder != ".git/hooks")
        git("config", "--unset", "core.hooksPath")
        log.write_text("")
        git.commit({"x": ""})
        assert log.read_text() == ".git/hooks\n"
    assert sorted(path.name for path in (git.path / ".git/alongside").iterdir()) == [
        "config",
        "former",
        "former.sh",
        "hooks",
    ]
