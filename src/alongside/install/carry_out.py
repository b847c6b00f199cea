"""Carrying steps out on this host."""

from __future__ import annotations

import json
import os
import pwd
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import singledispatch
from pathlib import Path

from alongside.domain.errors import AlongsideError, MissingRequirement, StepFailed
from alongside.install.run import must, run
from alongside.install.settings import UNIT
from alongside.install.steps import (
    DropTable,
    Leave,
    Link,
    MakeFolder,
    MakeGroup,
    Plan,
    Record,
    RemoveAddress,
    RemoveFile,
    RemoveFolder,
    RemoveGroup,
    RemoveObjects,
    Step,
    Systemctl,
    TakeHooksOut,
    WriteFile,
    describe,
)
from alongside.program import command

_AT_ONCE = 100  # names in one command of docker's


def carry_out(plan: Plan, engine: Mapping[str, str], say: Callable[[str], None]) -> int:
    """All steps in order, `say` told of each. `engine` names the engine, as DOCKER_HOST. Returns
    how many could not be taken of those that keep no other back; raises what others raise, and
    said again, the rest is done."""
    short_of = 0
    for step in plan.steps:
        try:
            if isinstance(step, RemoveObjects):
                _remove_objects(step, engine)
            else:
                _take(step)
        except _TakenShort as short:
            short_of += 1
            what = f"not done: {describe(step)}"
            if isinstance(step, Leave):
                what = f"kept: {step.path}, which is mounted by {step.holders}"
            say(f"{what}: {short}")
        except OSError as error:
            raise StepFailed(f"Could not {describe(step)}: {error.strerror}.") from error
        else:
            say(f"done: {describe(step)}")
    return short_of


class _TakenShort(Exception):
    """A step that could not be taken and keeps no other back."""


@singledispatch
def _take(step: Step) -> None:
    raise NotImplementedError(step)


@_take.register
def _(step: MakeGroup) -> None:
    must("groupadd", "--system", "--force", step.name)


@_take.register
def _(step: MakeFolder) -> None:
    for path, mode in (*((above, 0o755) for above in step.above), (step.path, step.mode)):
        path.mkdir(exist_ok=True)
        path.chmod(mode)
    if step.group:
        shutil.chown(step.path, group=step.group)


@_take.register
def _(step: Link) -> None:
    if step.path.is_symlink():
        step.path.unlink()
    step.path.symlink_to(step.target)


@_take.register
def _(step: WriteFile) -> None:
    write(step.path, step.text)


@_take.register
def _(step: Record) -> None:
    made = {"folders": [str(path) for path in step.folders], "group": step.group}
    write(step.path, json.dumps(made, indent=1) + "\n")


def write(path: Path, text: str) -> None:
    """Whole or not at all, and readable to all whatever the umask."""
    new = path.with_name(f".{path.name}.new")
    new.write_text(text)
    new.chmod(0o644)
    new.replace(path)


@_take.register
def _(step: Systemctl) -> None:
    done = run("systemctl", *step.arguments)
    if done.returncode == 0:
        return
    if step.arguments[0] in ("start", "restart"):
        said = run("journalctl", "--unit", UNIT, "--lines", "20", "--no-pager", "--output", "cat")
        log = [line for line in said.stdout.splitlines() if line.strip()]
        raise StepFailed(
            "The daemon does not start. systemd goes on trying.",
            hint=f"Its last words are below; all of them: journalctl -u {UNIT}",
            log=log[-20:],
        )
    lines = [line for line in done.stderr.splitlines() if line.strip()] or ["it said nothing"]
    raise StepFailed(f"`systemctl {' '.join(step.arguments)}` failed: {lines[-1]}", log=lines[:-1])


@_take.register
def _(step: TakeHooksOut) -> None:
    try:
        owner = step.repository.stat()
    except FileNotFoundError:
        return
    # As its owner: git works in nobody else's repositories, and files keep their owner. Nothing of
    # the folder is run, whoever may write to it: not by Python, and not by a PATH with a dot in it.
    try:
        program = command()
    except MissingRequirement as error:
        raise _TakenShort(f"{error.message} {error.hint}") from error
    path = [one for one in os.environ.get("PATH", os.defpath).split(":") if one.startswith("/")]
    done = run(
        *("setpriv", f"--reuid={owner.st_uid}", f"--regid={owner.st_gid}", "--clear-groups", "--"),
        *("env", "--ignore-environment", "--chdir", str(step.repository)),
        *(f"PATH={':'.join(path)}", f"HOME={_home(owner.st_uid)}"),
        *(*program, "init", "--remove"),
    )
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise _TakenShort(f"{said.strip()} Its owner takes them out: alongside init --remove")


def _home(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_dir
    except KeyError:
        return "/"


@_take.register
def _(_: DropTable) -> None:
    if run("nft", "list", "table", "inet", "alongside").returncode == 0:
        must("nft", "delete", "table", "inet", "alongside")


def _remove_objects(step: RemoveObjects, engine: Mapping[str, str]) -> None:
    force = {"container": ["--force", "--volumes"], "image": ["--force"]}.get(step.kind, [])
    for start in range(0, len(step.names), _AT_ONCE):
        names = step.names[start : start + _AT_ONCE]
        done = run("docker", step.kind, "rm", *force, *names, environment=engine)
        failed = [
            line
            for line in done.stderr.splitlines()
            if line.strip() and "No such" not in line and "not found" not in line
        ]
        if done.returncode != 0 and failed:
            raise StepFailed(
                f"Could not {describe(step)}.",
                hint="What stands in the way is below. Then say it again: the rest is done then.",
                log=failed,
            )


@_take.register
def _(step: RemoveAddress) -> None:
    must("ip", "-6", "address", "delete", f"{step.address}/128", "dev", "lo")


@_take.register
def _(step: RemoveFile) -> None:
    step.path.unlink(missing_ok=True)


@_take.register
def _(_: Leave) -> None:
    raise _TakenShort("without it, the same command removes the rest.")


@_take.register
def _(step: RemoveFolder) -> None:
    if not step.empty:
        with suppress(FileNotFoundError):
            _remove_but(step.path, step.but)
        return
    try:
        step.path.rmdir()
    except FileNotFoundError:
        return
    except OSError as error:
        if step.path.is_dir() and any(step.path.iterdir()):
            raise _TakenShort("somebody else has put something there.") from error
        raise


def _remove_but(path: Path, kept: Sequence[Path]) -> None:
    if any(path.is_relative_to(one) for one in kept):
        return
    if not any(one.is_relative_to(path) for one in kept):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
        return
    for one in path.iterdir():
        _remove_but(one, kept)


@_take.register
def _(step: RemoveGroup) -> None:
    try:
        must("groupdel", step.name)
    except AlongsideError as error:
        raise _TakenShort(error.message) from error


def untrusted(command: str) -> Path | None:
    """The first file or folder on the way to a program that others than root may write to:
    whoever may is root, once root runs the program. None where there is none."""
    resolved = Path(command).resolve()
    for path in (Path(command), resolved, *resolved.parents):
        status = os.lstat(path)
        sticky = status.st_mode & 0o1000 and path.is_dir()
        if path.is_symlink():
            continue
        if status.st_uid != 0 or (status.st_mode & 0o022 and not sticky):
            return path
    return None
