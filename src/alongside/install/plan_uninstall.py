"""What uninstalling would do, and what it leaves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from alongside.install.machine import Machine, Remains
from alongside.install.settings import (
    COMPLETIONS,
    DROP_INS,
    GROUP,
    STATE_DIR,
    STATE_FILES,
    STATE_FOLDERS,
    UNIT,
    UNIT_FILE,
    Settings,
)
from alongside.install.steps import (
    DropTable,
    Leave,
    Plan,
    RemoveAddress,
    RemoveFile,
    RemoveFolder,
    RemoveGroup,
    RemoveObjects,
    Step,
    Systemctl,
    TakeHooksOut,
)

STOP = Plan([Systemctl(("stop", UNIT))])


def plan_uninstall(settings: Settings, machine: Machine, remains: Remains) -> Plan:
    """The service goes; all that it has made goes on."""
    return Plan(_service(machine, purge=False), _left(settings, machine, remains))


def plan_purge(settings: Settings, machine: Machine, remains: Remains, *, volumes: bool) -> Plan:
    """All of it goes; `volumes`: with the data in the volumes."""
    steps: list[Step] = [TakeHooksOut(path) for path in remains.hooked]
    steps += _service(machine, purge=True)
    if remains.table:
        steps.append(DropTable())
    # Networks after the containers in them, images after those that run them.
    for kind, names in (
        ("container", remains.containers),
        ("network", remains.networks),
        ("volume", remains.volumes if volumes else ()),
        ("image", remains.images),
    ):
        if names:
            steps.append(RemoveObjects(kind, names))
    if remains.address:
        steps.append(RemoveAddress(remains.address))
    if DROP_INS in machine.paths:
        steps.append(RemoveFolder(DROP_INS))
    kept = () if volumes else remains.data
    steps += _folders(settings, machine, (*kept, *(path for path, _ in remains.mounted)))
    steps += [Leave(path, holders) for path, holders in remains.mounted]
    if machine.group and machine.made_group:
        steps.append(RemoveGroup(GROUP))
    return Plan(steps, _gone(machine, remains, volumes=volumes))


def _folders(settings: Settings, machine: Machine, kept: Sequence[Path]) -> list[Step]:
    """The state folder with all that is in it if it is ours alone; where somebody chose one that
    was there before, what is ours of it. What is `kept` stays."""
    state = settings.state_dir
    steps: list[Step] = []
    if state in machine.made_folders or state == STATE_DIR:
        steps += [_but(state, kept)] if state in machine.paths else []
        ours = [one for one in machine.made_folders if not one.is_relative_to(state)]
    else:
        found = [state / name for name in STATE_FILES if state / name in machine.paths]
        steps += [RemoveFile(path) for path in found]
        steps += [_but(state / one, kept) for one in STATE_FOLDERS if state / one in machine.paths]
        ours = list(machine.made_folders)
    return steps + _empty_folders(machine, ours)


def _but(folder: Path, kept: Sequence[Path]) -> RemoveFolder:
    below = {one for one in kept if one.is_relative_to(folder) or folder.is_relative_to(one)}
    outermost = {one for one in below if not any(other in below for other in one.parents)}
    return RemoveFolder(folder, but=tuple(sorted(outermost)))


def _service(machine: Machine, *, purge: bool) -> list[Step]:
    steps: list[Step] = []
    if machine.active or machine.enabled:
        steps.append(Systemctl(("disable", "--now", "--quiet", UNIT)))
    if machine.unit is not None:
        steps.append(RemoveFile(UNIT_FILE))
    files = [path for path in COMPLETIONS.values() if path in machine.paths]
    steps += [RemoveFile(path) for path in files]
    if not purge:
        above = {folder for path in files for folder in path.parents}
        steps += _empty_folders(machine, [one for one in machine.made_folders if one in above])
    if machine.unit is not None:
        steps.append(Systemctl(("daemon-reload",)))
    return steps


def _empty_folders(machine: Machine, folders: Sequence[Path]) -> list[RemoveFolder]:
    """Those that installing made, the innermost first."""
    return [
        RemoveFolder(folder, empty=True)
        for folder in sorted(folders, reverse=True)
        if folder in machine.paths
    ]


def _left(settings: Settings, machine: Machine, remains: Remains) -> list[str]:
    notes = []
    if remains.running:
        notes.append(
            f"These containers go on running: {', '.join(remains.running)}. After a restart of "
            "the host or the engine those run again whose compose file has `restart:`."
        )
    if remains.table and remains.ports:
        notes.append(
            f"{', '.join(remains.ports)} go on reaching what they reach, since the kernel does "
            "the work. Nobody puts the table back when the host is restarted or its nftables are "
            "emptied: then they reach nothing. Now: nft delete table inet alongside"
        )
    hooked = ", ".join(str(path) for path in remains.hooked)
    if hooked:
        notes.append(
            f"The hooks stay in {hooked}: tags are made there and not built. To take them out: "
            "alongside init --remove"
        )
    kept = [str(path) for path in (settings.state_dir, DROP_INS) if path in machine.paths]
    if machine.group:
        kept.append(f"the group {GROUP}")
    for kind, names in (("images", remains.images), ("volumes", remains.volumes)):
        if names:
            kept.append(f"the {kind} {', '.join(names)}")
    if kept:
        notes.append(
            f"Kept: {'; '.join(kept)}. `alongside daemon install` goes on where this ended; "
            "`alongside daemon uninstall --purge` takes all of it."
        )
    return notes


def _gone(machine: Machine, remains: Remains, *, volumes: bool) -> list[str]:
    notes = []
    if remains.volumes and not volumes:
        notes.append(
            f"These volumes are kept, since they hold data: {', '.join(remains.volumes)}. With "
            "--volumes they are removed; later: docker volume rm"
        )
    if remains.data and not volumes:
        notes.append(
            "These are kept, since containers have written there: "
            f"{', '.join(map(str, remains.data))}. With --volumes they are removed."
        )
    if remains.elsewhere:
        notes.append(
            f"Tags came from clones of {', '.join(remains.elsewhere)} as well. Where those are, "
            "and whether they have the hooks, is not known: alongside init --remove in each."
        )
    if machine.group and not machine.made_group:
        notes.append(f"The group {GROUP} was there before alongside, and is kept.")
    if remains.images:
        notes.append(
            "What the engine keeps of builds belongs to all of them: docker builder prune. The "
            "journal keeps the daemon's log as long as it keeps anything."
        )
    return notes
