"""Putting the dispatchers into a repository, and taking them out again.

`core.hooksPath` points at an absolute folder in the common git directory: a relative one finds
nothing in a linked work tree, nor in a check-out of a commit from before the folder was there.
"""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

from alongside.client import DEFAULT_SOCKET
from alongside.git.repository import Repository

# githooks(5), but for those whose mere existence changes what git does.
_NAMES = (
    "applypatch-msg",
    "pre-applypatch",
    "post-applypatch",
    "pre-commit",
    "pre-merge-commit",
    "prepare-commit-msg",
    "commit-msg",
    "post-commit",
    "pre-rebase",
    "post-checkout",
    "post-merge",
    "pre-push",
    "pre-receive",
    "update",
    "post-receive",
    "post-update",
    "pre-auto-gc",
    "post-rewrite",
    "sendemail-validate",
    "post-index-change",
)
_ONLY_WHERE_THERE = ("push-to-checkout", "proc-receive", "fsmonitor-watchman")
_KEY = "core.hooksPath"
_FORMER = "alongside.formerHooksPath"


def _folder(repository: Repository) -> Path:
    return repository.common_dir / "alongside" / "hooks"


def installed(repository: Repository) -> bool:
    return _local(repository, _KEY) == str(_folder(repository))


def install(repository: Repository, socket: str = DEFAULT_SOCKET) -> list[str]:
    """Install, or bring up to date; returns what was done, a sentence each."""
    done = []
    folder = _folder(repository)
    was_there = installed(repository)
    if not was_there:
        former = _local(repository, _KEY)
        if former is not None:
            repository.run("config", "--local", _FORMER, former)
            done.append(f"The hooks in {former} go on running.")
    values = _values(repository, socket)
    folder.mkdir(parents=True, exist_ok=True)
    names = [*_NAMES, *(name for name in _ONLY_WHERE_THERE if _is_there(repository, name))]
    for name in names:
        _write(folder / name, "dispatch.sh", values)
    _write(folder / "reference-transaction", "reference-transaction.sh", values)
    repository.run("config", "--local", _KEY, str(folder))
    done.append(f"The hooks are {'up to date' if was_there else 'installed'} in {folder}.")
    return done


def remove(repository: Repository) -> list[str]:
    """Take everything out, and put the former core.hooksPath back."""
    if not installed(repository):
        return ["The hooks are not installed."]
    former = _local(repository, _FORMER)
    if former is None:
        repository.run("config", "--local", "--unset", _KEY)
    else:
        repository.run("config", "--local", _KEY, former)
        repository.run("config", "--local", "--unset", _FORMER)
    # git leaves the heading of an emptied section behind.
    for section in ("alongside", "core"):
        if not repository.run("config", "--local", "--get-regexp", rf"^{section}\.", check=False):
            repository.run("config", "--local", "--remove-section", section, check=False)
    shutil.rmtree(repository.common_dir / "alongside")
    return ["The hooks are taken out; the repository is as it was before `alongside init`."]


def _local(repository: Repository, key: str) -> str | None:
    said = repository.run("config", "--local", "--get", key, check=False)
    return said.rstrip("\n") or None


def _former(repository: Repository) -> str:
    """The folder of the hooks that were here before, as the hook can find it: git resolves a
    relative one from where it runs hooks, and the dispatcher runs there too."""
    if not installed(repository):
        said = repository.run("config", "--type=path", "--get", _KEY, check=False)
    else:
        said = repository.run("config", "--type=path", "--get", _FORMER, check=False)
        if not said:
            for scope in ("--global", "--system"):
                said = said or repository.run(
                    "config", scope, "--type=path", "--get", _KEY, check=False
                )
    return said.rstrip("\n") or str(repository.common_dir / "hooks")


def _is_there(repository: Repository, name: str) -> bool:
    former = Path(_former(repository))
    return (former if former.is_absolute() else (repository.top or Path()) / former / name).exists()


def _values(repository: Repository, socket: str) -> dict[str, str]:
    bare = repository.bare
    named = ""
    if socket != DEFAULT_SOCKET:
        quoted = shlex.quote(socket)
        named = f'[ -n "$ALONGSIDE_SOCKET" ] || ALONGSIDE_SOCKET={quoted}; export ALONGSIDE_SOCKET'
    return {
        "@FORMER@": shlex.quote(_former(repository)),
        # What was pushed is not run: a bare repository has no scripts of its own.
        "@OWN@": "" if bare else ".githooks",
        "@SOCKET@": named,
        "@PYTHON@": shlex.quote(sys.executable),
        "@ALONGSIDE@": f"{shlex.quote(sys.executable)} -m alongside",
    }


def _write(path: Path, template: str, values: dict[str, str]) -> None:
    text = Path(__file__).with_name(template).read_text()
    for key, value in values.items():
        text = text.replace(key, value)
    path.write_text(text)
    path.chmod(0o755)
