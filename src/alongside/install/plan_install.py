"""What installing would do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from alongside import __version__
from alongside.domain.errors import Conflict
from alongside.install.machine import Machine
from alongside.install.settings import GROUP, UNIT, UNIT_FILE, Settings
from alongside.install.steps import (
    Link,
    MakeFolder,
    MakeGroup,
    Plan,
    Record,
    Step,
    Systemctl,
    WriteFile,
)
from alongside.install.unit import settings_of, unit_text


def plan_install(
    settings: Settings, machine: Machine, completions: Mapping[Path, str], docker_home: Path
) -> Plan:
    """`docker_home`: root's own folder of Docker's client, whose credentials and plugins go on
    being used. Raises Conflict where a daemon runs that systemd did not start, or somebody
    else's unit has the name."""
    must_be_ours(machine)
    if machine.answers and not machine.active:
        raise Conflict(
            f"A daemon answers on {settings.socket} already, and systemd did not start it.",
            hint="End it where it runs; its routes stay while it is down, and the service takes "
            "them over.",
        )
    steps: list[Step] = []
    if not machine.group:
        steps.append(MakeGroup(GROUP))
    folders = _folders(settings, machine, completions)
    steps += folders
    for name in ("config.json", "cli-plugins"):
        link = Link(settings.docker_config / name, docker_home / name)
        if machine.links.get(link.path) != link.target and link.path not in machine.paths:
            steps.append(link)
    made = tuple(path for step in folders for path in (*step.above, step.path))
    record = Record(
        settings.record,
        tuple(sorted({*machine.made_folders, *made})),
        machine.made_group or not machine.group,
    )
    if made or not machine.group or settings.record not in machine.paths:
        steps.append(record)
    steps += _files({UNIT_FILE: unit_text(settings), **completions}, machine)
    unit_changed = any(isinstance(one, WriteFile) and one.path == UNIT_FILE for one in steps)
    if unit_changed:
        steps.append(Systemctl(("daemon-reload",)))
    if not machine.enabled:
        steps.append(Systemctl(("enable", "--quiet", UNIT)))
    if not machine.active:
        steps.append(Systemctl(("start", UNIT)))
    elif unit_changed or machine.answers != __version__:
        steps.append(Systemctl(("restart", UNIT)))
    return Plan(steps)


def must_be_ours(machine: Machine) -> None:
    """Raises Conflict where the unit file is another's."""
    if machine.unit is not None and settings_of(machine.unit) is None:
        raise Conflict(
            f"{UNIT_FILE} was not written by alongside, so it is not touched.",
            hint="Give it another name, or take it away, and say this again.",
        )


def _folders(
    settings: Settings, machine: Machine, completions: Mapping[Path, str]
) -> list[MakeFolder]:
    """Those that are missing, each with what is missing above it."""
    wanted = [(settings.state_dir, 0o700, ""), (settings.docker_config, 0o700, "")]
    if settings.socket.parent.parent != Path("/run"):
        wanted.append((settings.socket.parent, 0o750, GROUP))
    wanted += [(file.parent, 0o755, "") for file in completions]
    found: list[MakeFolder] = []
    there = set(machine.paths)
    for path, mode, group in wanted:
        missing = tuple(one for one in (*reversed(path.parents), path) if one not in there)
        if missing:
            found.append(MakeFolder(path, mode, missing[:-1], group))
            there.update(missing)
    return found


def _files(texts: Mapping[Path, str], machine: Machine) -> list[WriteFile]:
    return [
        WriteFile(path, text, path in machine.paths)
        for path, text in texts.items()
        if machine.texts.get(path) != text
    ]
