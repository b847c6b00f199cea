"""Hooks that were there before go on running, and `init --remove` leaves no trace."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.git import Git, install


def test_hooks_in_the_git_folder_go_on_with_arguments_and_input(git: Git, log: Path) -> None:
    git.script(".git/hooks/commit-msg", f'echo "commit-msg $1" >> {log}')
    git.script(".git/hooks/reference-transaction", f'cat > {log}.$1; test "$1" != aborted')
    git.commit({"x": "1"})
    assert log.read_text() == "commit-msg .git/COMMIT_EDITMSG\n"
    assert "refs/heads/main" in Path(f"{log}.committed").read_text()


def test_a_hook_that_fails_still_decides(git: Git) -> None:
    git.script(".git/hooks/pre-commit", "echo not today; exit 1")
    (git.path / "x").write_text("1")
    git("add", "x")
    assert "not today" in git("commit", "--message", "x", check=False)
    git.script(".git/hooks/reference-transaction", 'test "$1" != prepared')
    git("tag", "1.0.0", check=False)
    assert git.tags == []


@pytest.mark.parametrize("where", ["hooks", ".husky/_"])
def test_a_former_hooks_path_goes_on_and_comes_back(git: Git, log: Path, where: str) -> None:
    git.alongside("init", "--remove")
    git.script(f"{where}/pre-commit", f"echo ran >> {log}")
    git("config", "core.hooksPath", where)
    install(git)
    git.commit({"x": "1"})
    assert log.read_text() == "ran\n"
    git("tag", "1.0.0")
    assert git.built == ["1.0.0"]
    git.alongside("init", "--remove")
    assert git("config", "core.hooksPath").strip() == where


def test_a_hooks_path_of_the_persons_own_goes_on(git: Git, log: Path, tmp_path: Path) -> None:
    """core.hooksPath in ~/.gitconfig: git reads one of the two, so ours runs the other's."""
    git.alongside("init", "--remove")
    mine = tmp_path / "mine"
    git.at(tmp_path).script("mine/pre-commit", f"echo ran >> {log}")
    config = tmp_path / ".gitconfig"
    config.write_text(f"[core]\n\thooksPath = {mine}\n")
    globally = {"HOME": str(tmp_path), "GIT_CONFIG_GLOBAL": str(config)}
    install(git, **globally)
    git("commit", "--quiet", "--allow-empty", "--message", "x", **globally)
    assert log.read_text() == "ran\n"
    git("tag", "1.0.0", **globally)
    assert git.built == ["1.0.0"]
    git.alongside("init", "--remove")
    assert git("config", "core.hooksPath", **globally).strip() == str(mine)


def test_the_repositorys_own_scripts_run_with_the_right_action(git: Git, log: Path) -> None:
    for state in ("prepared", "committed"):
        for action in ("new", "moved", "del"):
            for kind in ("heads", "tags"):
                name = f".githooks/reference-transaction-{state}-{action}-{kind}"
                git.script(name, f'echo "{state} {action} {kind} $1" >> {log}')

    def did(*arguments: str) -> list[str]:
        log.write_text("")
        git(*arguments)
        return log.read_text().splitlines()

    assert did("tag", "a") == ["prepared new tags a", "committed new tags a"]
    git.commit({"x": "1"})
    assert did("tag", "--force", "a") == ["prepared moved tags a", "committed moved tags a"]
    assert did("branch", "b/c") == ["prepared new heads b/c", "committed new heads b/c"]
    assert did("pack-refs", "--all") == []
    assert did("gc", "--quiet") == []
    said = did("tag", "--delete", "a")
    assert set(said) == {"prepared del tags a", "committed del tags a"}


def test_a_script_can_refuse(git: Git) -> None:
    git.script(".githooks/reference-transaction-prepared-new-tags", "exit 1")
    git("tag", "1.0.0", check=False)
    assert git.tags == []
    assert git.built == []


def test_a_plain_hook_of_the_repositorys_own_runs_once(git: Git, log: Path) -> None:
    git.script(".githooks/pre-commit", f"echo ran >> {log}")
    git.commit({"x": "1"})
    assert log.read_text() == "ran\n"
    git.alongside("init", "--remove")
    git("config", "core.hooksPath", ".githooks")
    install(git)
    git.commit({"x": "2"})
    assert log.read_text() == "ran\nran\n"


def test_removal_restores_the_git_folder_byte_for_byte(git: Git) -> None:
    git.alongside("init", "--remove")
    before = contents(git.path / ".git")
    install(git)
    install(git)
    assert contents(git.path / ".git") != before
    git.alongside("init", "--remove")
    assert contents(git.path / ".git") == before
    assert "not installed" in git.alongside("init", "--remove")


def test_a_dry_run_says_what_would_be_done_and_does_nothing(git: Git) -> None:
    def planned(*options: str) -> list[str]:
        before = contents(git.path / ".git")
        said = git.alongside("init", "--dry-run", *options)
        assert contents(git.path / ".git") == before
        return [line for line in said.splitlines() if line[:1].isdigit()]

    gits_own, folder = git.path / ".git" / "hooks", git.path / ".git" / "alongside"
    both = "reference-transaction and post-receive"
    assert planned() == [f"1. bring the hooks in {gits_own} and {folder} up to date"]
    assert planned("--remove") == [
        f"1. delete alongside's {both} in {gits_own}, put back what was there",
        "2. take alongside's settings out of the repository's configuration",
        f"3. delete {folder}",
    ]
    git.alongside("init", "--remove")
    assert planned("--remove") == []
    git("config", "core.hooksPath", ".husky/_")
    assert planned() == [
        f"1. let the hooks in {git.path / '.husky/_'} go on running",
        f"2. write {both} to {gits_own}",
        f"3. write dispatchers, which run what other hooks there are, to {folder}",
        f"4. include {folder / 'config'} in the repository's configuration",
    ]


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_init_tells_what_it_found_and_did(git: Git) -> None:
    git.alongside("init", "--remove")
    said = git.alongside("init")
    assert "app: tags *" in said
    assert "hooks are installed" in said
    assert "git tag" in said
