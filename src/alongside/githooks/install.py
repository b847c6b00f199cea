"""Putting the hooks into a repository, and taking them out again.

They are in git's own folder, where pre-commit and lefthook expect nothing else to be changed. Git
looks there only while nobody sets core.hooksPath, and husky sets it at every `npm install`. So
where it is set, and where husky or a `.githooks` folder is, an included configuration sets it
once more, to a folder of dispatchers that run what it led to (docs/decisions/0018).
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from alongside.client import DEFAULT_SOCKET
from alongside.git.repository import Repository
from alongside.program import command

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
    "post-update",
    "pre-auto-gc",
    "post-rewrite",
    "sendemail-validate",
    "post-index-change",
)
_ONLY_WHERE_THERE = ("push-to-checkout", "proc-receive", "fsmonitor-watchman")
_RELEASING = {"reference-transaction": "reference-transaction.sh", "post-receive": "dispatch.sh"}
_OURS = b"# Installed by `alongside init`"
_KEY = "core.hooksPath"
_TRAPS = (".husky", ".githooks")  # folders whose being there brings the dispatchers into play


def installed(repository: Repository) -> bool:
    """Whether git runs alongside's hooks at a tag."""
    return _is_ours(_effective(repository) / "reference-transaction")


def problem(repository: Repository) -> str:
    """What keeps hooks that were installed from running, as a sentence; "" if nothing does, or if
    they never were. The remedy is `alongside init`."""
    if not _folder(repository).exists() or installed(repository):
        return ""
    return (
        f"git runs the hooks of {_effective(repository)} in {repository.name}, and alongside's "
        "are not there: tags are not built."
    )


def install(repository: Repository, socket: str = DEFAULT_SOCKET) -> list[str]:
    """Install, or bring up to date; returns what was done, a sentence each. Raises
    MissingRequirement where hooks could not start this alongside."""
    values = _values(repository, socket)  # it may raise, with nothing done
    was_there = installed(repository)
    _retire(repository)
    done = []
    folder = _folder(repository)
    (folder / "hooks").mkdir(parents=True, exist_ok=True)
    _write(folder / "former.sh", "former.sh", values)
    (folder / "former").unlink(missing_ok=True)
    others = _others(repository)
    if others is not None:
        done.append(f"The hooks in {others} go on running.")
    values["@FORMER@"] = '. "${0%/*}/../former.sh"'
    names = [*_NAMES, *(name for name in _ONLY_WHERE_THERE if _is_there(repository, name))]
    for name in names:
        if not _is_foreign(folder / "hooks" / name):  # a manager that was sent here has it
            _write(folder / "hooks" / name, "dispatch.sh", values)
    _release(folder / "hooks", values)
    values["@FORMER@"] = "former=$0.former"
    _release(_gits_own(repository), values)
    _include(repository, everywhere=others is not None)
    if _effective(repository) != folder / "hooks":
        _hand_back(repository)
    done.append(f"The hooks are {'up to date' if was_there else f'installed in {folder.parent}'}.")
    return [*done, *filter(None, [problem(repository)])]


def planned(repository: Repository) -> list[str]:
    """What `install` would do, a line each."""
    folder = _folder(repository)
    if installed(repository):
        return [f"bring the hooks in {_gits_own(repository)} and {folder} up to date"]
    others, gits_own = _others(repository), _gits_own(repository)
    foreign = [name for name in _RELEASING if _is_foreign(gits_own / name)]
    return [
        *([f"let the hooks in {others} go on running"] if others else []),
        *(f"keep {gits_own / name} as {name}.former, and run it first" for name in foreign),
        f"write {' and '.join(_RELEASING)} to {gits_own}",
        f"write dispatchers, which run what other hooks there are, to {folder}",
        f"include {folder / 'config'} in the repository's configuration",
    ]


def planned_removal(repository: Repository) -> list[str]:
    """What `remove` would do, a line each; nothing where there is nothing."""
    folder, gits_own = _folder(repository), _gits_own(repository)
    if not folder.exists():
        return []
    return [
        f"delete alongside's {' and '.join(_RELEASING)} in {gits_own}, put back what was there",
        "take alongside's settings out of the repository's configuration",
        f"delete {folder}",
    ]


def remove(repository: Repository) -> list[str]:
    """Take everything out; what was there before, or came since, is as its owner left it."""
    folder = _folder(repository)
    if not folder.exists():
        return ["The hooks are not installed."]
    _retire(repository)
    _exclude(repository)
    _hand_back(repository)
    for name in _RELEASING:
        hook = _gits_own(repository) / name
        for ours in filter(_is_ours, (hook, hook.with_name(f"{name}.old"))):
            ours.unlink()
        if hook.with_name(f"{name}.former").exists() and not hook.exists():
            hook.with_name(f"{name}.former").rename(hook)
    # git leaves the heading of an emptied section behind.
    for section in ("alongside", "core"):
        if not repository.run("config", "--local", "--get-regexp", rf"^{section}\.", check=False):
            repository.run("config", "--local", "--remove-section", section, check=False)
    shutil.rmtree(folder)
    return ["The hooks are taken out; the repository is as it was before `alongside init`."]


def by_hand(repository: Repository) -> str:
    """What takes the hooks out where there is no alongside to do it, for a shell. (The included
    configuration goes with its file: git leaves out what it does not find.)"""
    return (
        f"cd {shlex.quote(str(repository.common_dir))} && rm -r alongside && "
        f"for hook in {' '.join(_RELEASING)}; do rm hooks/$hook; "
        "[ ! -e hooks/$hook.former ] || mv hooks/$hook.former hooks/$hook; done"
    )


def _folder(repository: Repository) -> Path:
    return repository.common_dir / "alongside"


def _gits_own(repository: Repository) -> Path:
    return repository.common_dir / "hooks"


def _configured(repository: Repository) -> list[Path]:
    """Where core.hooksPath leads, by each that sets it, the deciding one last. git resolves a
    relative one from where it runs hooks."""
    said = repository.run("config", "--type=path", "--get-all", _KEY, check=False)
    root = repository.top or repository.common_dir
    return [root / line for line in said.splitlines() if line]


def _effective(repository: Repository) -> Path:
    return (_configured(repository) or [_gits_own(repository)])[-1]


def _others(repository: Repository) -> Path | None:
    """The folder that somebody else's core.hooksPath leads to, if that is not git's own."""
    ours = _folder(repository) / "hooks"
    others = [path for path in _configured(repository) if path != ours]
    if not others or others[-1].resolve() == _gits_own(repository).resolve():
        return None
    return others[-1]


def _is_there(repository: Repository, name: str) -> bool:
    return ((_others(repository) or _gits_own(repository)) / name).exists()


def _is_ours(path: Path) -> bool:
    try:
        return _OURS in path.read_bytes()[:200]
    except OSError:
        return False


def _is_foreign(path: Path) -> bool:
    return path.exists() and not _is_ours(path)


def _release(folder: Path, values: dict[str, str]) -> None:
    """The hooks that build. A foreign one in their place is run by them from then on."""
    folder.mkdir(exist_ok=True)
    for name, template in _RELEASING.items():
        hook = folder / name
        if _is_foreign(hook):
            hook.replace(hook.with_name(f"{name}.former"))
            with suppress(FileNotFoundError):
                # lefthook puts what it replaces there: alongside's own.
                if _is_ours(hook.with_name(f"{name}.old")):
                    hook.with_name(f"{name}.old").unlink()
        _write(hook, template, values)


def _hand_back(repository: Repository) -> None:
    """What managers wrote among the dispatchers, where git had sent them, to git's own folder."""
    among, gits_own = _folder(repository) / "hooks", _gits_own(repository)
    if not among.is_dir():
        return
    for hook in among.iterdir():
        name = hook.name.removesuffix(".former")
        if not _is_foreign(hook) or hook.name.endswith(".old"):
            continue
        target = gits_own / (hook.name if name in _RELEASING else name)
        if not target.exists():
            gits_own.mkdir(exist_ok=True)
            hook.rename(target)
            with suppress(FileNotFoundError):
                hook.with_name(f"{hook.name}.old").unlink()


def _sections(repository: Repository) -> Iterator[str]:
    """Of .git/config. Where the repository lies elsewhere, in a container or as a copy, git does
    not find them to be meant, and the hooks of others run without a detour."""
    # A pattern; `git config --remove-section` does not find a heading with a bracket in it.
    pattern = "".join("?" if c in '\\*?[]"' else c for c in str(repository.common_dir))
    yield f"includeIf.gitdir:{pattern}"
    yield f"includeIf.gitdir:{pattern}/worktrees/*"


def _include(repository: Repository, *, everywhere: bool) -> None:
    """Set core.hooksPath from an included file, at the end of .git/config, where it decides
    whatever `git config core.hooksPath` is told: that changes .git/config itself.

    Unless everywhere, the file's path leads through folders that managers make: git leaves out
    an included file that it does not find.
    """
    config = _folder(repository) / "config"
    repository.run("config", "--file", str(config), _KEY, str(_folder(repository) / "hooks"))
    paths = [str(config)]
    if not everywhere:
        tops = dict.fromkeys(top for top in (_main_top(repository), repository.top) if top)
        paths = [
            f"{top / trap}/{os.path.relpath(config, top / trap)}" for top in tops for trap in _TRAPS
        ]
    _exclude(repository)
    for section in _sections(repository):
        for path in paths:
            repository.run("config", "--local", "--add", f"{section}.path", path)


def _exclude(repository: Repository) -> None:
    """Also those of where the repository was before it was moved or copied."""
    query = ("--local", "--name-only", "--get-regexp", r"^includeif\.gitdir:", "/alongside/config$")
    said = repository.run("config", *query, check=False)
    for name in dict.fromkeys(said.splitlines()):
        # git tells the heading in small letters, and takes it as it is written.
        section = f"includeIf.{name.partition('.')[2].removesuffix('.path')}"
        repository.run("config", "--local", "--remove-section", section, check=False)


def _main_top(repository: Repository) -> Path | None:
    """The main work tree's, also from a linked one."""
    common = repository.common_dir
    return common.parent if common.name == ".git" and not repository.bare else None


def _retire(repository: Repository) -> None:
    """What `alongside init` of before 0.1.0 wrote into .git/config itself."""
    ours = str(_folder(repository) / "hooks")
    if repository.run("config", "--local", "--get", _KEY, check=False).rstrip("\n") != ours:
        return
    former = repository.run("config", "--local", "--get", "alongside.formerHooksPath", check=False)
    if former:
        repository.run("config", "--local", _KEY, former.rstrip("\n"))
        repository.run("config", "--local", "--unset", "alongside.formerHooksPath")
    else:
        repository.run("config", "--local", "--unset", _KEY)


def _values(repository: Repository, socket: str) -> dict[str, str]:
    named = ""
    if socket != DEFAULT_SOCKET:
        quoted = shlex.quote(socket)
        named = f'[ -n "$ALONGSIDE_SOCKET" ] || ALONGSIDE_SOCKET={quoted}; export ALONGSIDE_SOCKET'
    return {
        # What was pushed is not run: a bare repository has no scripts of its own.
        "@OWN@": "" if repository.bare else ".githooks",
        "@SOCKET@": named,
        "@PYTHON@": shlex.quote(sys.executable),
        "@GO@": shlex.quote(by_hand(repository)),
        "@ALONGSIDE@": shlex.join(command()),
    }


def _write(path: Path, template: str, values: dict[str, str]) -> None:
    text = Path(__file__).with_name(template).read_text()
    for key, value in values.items():
        text = text.replace(key, value)
    # Beside it and renamed: git may be running it.
    new = path.with_name(f".{path.name}.new")
    new.write_text(text)
    new.chmod(0o755)
    new.replace(path)
