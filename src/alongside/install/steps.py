"""The steps of installing and of uninstalling. Each may be taken again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class MakeGroup:
    name: str


@dataclass(frozen=True, slots=True)
class MakeFolder:
    """`above`: what is missing on the way to it, the outermost first."""

    path: Path
    mode: int
    above: tuple[Path, ...] = ()
    group: str = ""  # root's where it is empty


@dataclass(frozen=True, slots=True)
class Link:
    path: Path
    target: Path


@dataclass(frozen=True, slots=True)
class WriteFile:
    path: Path
    text: str
    there: bool  # with another text


@dataclass(frozen=True, slots=True)
class Record:
    """Keep what was made, so that only that is taken away again."""

    path: Path
    folders: tuple[Path, ...]
    group: bool


@dataclass(frozen=True, slots=True)
class Systemctl:
    """One command of systemctl's."""

    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TakeHooksOut:
    """Out of a repository, as whoever owns it. One that is not there any more is nothing."""

    repository: Path


@dataclass(frozen=True, slots=True)
class DropTable:
    """The nftables table, and with it every route."""


@dataclass(frozen=True, slots=True)
class RemoveObjects:
    """Containers, networks, volumes or images of the engine's, by name."""

    kind: str  # container, network, volume, image: as docker's own commands are called
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RemoveAddress:
    address: str  # on lo


@dataclass(frozen=True, slots=True)
class RemoveFile:
    path: Path


@dataclass(frozen=True, slots=True)
class RemoveFolder:
    """With all that is in it; `empty`: only if nothing is. What `but` names stays, with the
    folders that it is in."""

    path: Path
    empty: bool = False
    but: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Leave:
    """A container that is not ours mounts it: it stays, and what was asked for is not all done."""

    path: Path
    holders: str  # the container a


@dataclass(frozen=True, slots=True)
class RemoveGroup:
    name: str


Step = (
    MakeGroup
    | MakeFolder
    | Link
    | WriteFile
    | Record
    | Systemctl
    | TakeHooksOut
    | DropTable
    | RemoveObjects
    | RemoveAddress
    | RemoveFile
    | RemoveFolder
    | Leave
    | RemoveGroup
)


@dataclass(frozen=True, slots=True)
class Plan:
    """No steps: there is nothing to do. `notes` are for a person, and true once it is done."""

    steps: Sequence[Step]
    notes: Sequence[str] = ()


_SYSTEMCTL = {
    "daemon-reload": "have systemd read its units",
    "enable": "start it with the host",
    "start": "start it",
    "restart": "start it anew",
    "stop": "stop it",
    "disable": "stop it, and start it with the host no more",
}


def describe(step: Step) -> str:  # noqa: PLR0911, PLR0912 - a table
    """One step as one line."""
    match step:
        case MakeGroup(name):
            return f"make the group {name}"
        case MakeFolder(path, mode, _, _):
            return f"make the folder {path} ({mode:04o})"
        case Link(path, target):
            return f"link {path} to {target}"
        case WriteFile(path, _, there):
            return f"{'bring up to date' if there else 'write'} {path}"
        case Record(path):
            return f"note in {path} what was made"
        case Systemctl(arguments):
            return f"{_SYSTEMCTL[arguments[0]]} (systemctl {' '.join(arguments)})"
        case TakeHooksOut(repository):
            return f"take the hooks out of {repository}"
        case DropTable():
            return "delete the table inet alongside: no port is routed any more"
        case RemoveObjects(kind, names):
            kinds = f"{kind}s" if len(names) > 1 else kind
            return f"remove the {kinds} {', '.join(names)}"
        case RemoveAddress(address):
            return f"take {address} off lo"
        case RemoveFile(path):
            return f"remove {path}"
        case RemoveFolder(path, empty, but):
            kept = f", but for {', '.join(map(str, but))}" if but else ""
            return f"remove {path}" + (
                ", which is empty then" if empty else f" and all that is in it{kept}"
            )
        case Leave(path, holders):
            return f"leave {path}, which is mounted by {holders}"
        case RemoveGroup(name):
            return f"remove the group {name}"


def lines(plan: Plan) -> list[str]:
    return [f"{number}. {describe(step)}" for number, step in enumerate(plan.steps, 1)]
