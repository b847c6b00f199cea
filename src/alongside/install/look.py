"""Seeing how a host stands: the service, and what alongside has put there."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import replace
from ipaddress import IPv6Network
from pathlib import Path

from alongside.client import Client
from alongside.domain.errors import AlongsideError, StepFailed
from alongside.engine.protocol import Container
from alongside.install.machine import Machine, Remains
from alongside.install.run import must, run
from alongside.install.settings import (
    COMPLETIONS,
    DROP_INS,
    GROUP,
    STATE_FILES,
    STATE_FOLDERS,
    UNIT,
    UNIT_FILE,
    Settings,
)


def look(settings: Settings) -> Machine:
    """The service and its files."""
    links = [settings.docker_config / name for name in ("config.json", "cli-plugins")]
    state = settings.state_dir
    files = [UNIT_FILE, *COMPLETIONS.values()]
    candidates = [
        *(DROP_INS, state, settings.docker_config, settings.record, settings.socket.parent),
        *(state / name for name in (*STATE_FILES, *STATE_FOLDERS)),
        *files,
        *links,
    ]
    made_folders, made_group = _recorded(settings.record)
    candidates += made_folders
    candidates += [above for path in candidates for above in path.parents]
    there = frozenset(path for path in candidates if os.path.lexists(path))
    texts = {path: path.read_text(errors="replace") for path in files if path.is_file()}
    return Machine(
        unit=texts.get(UNIT_FILE),
        enabled=run("systemctl", "is-enabled", "--quiet", UNIT).returncode == 0,
        active=run("systemctl", "is-active", "--quiet", UNIT).returncode == 0,
        answers=_answers(settings.socket),
        group=_group_is_there(),
        paths=there,
        texts=texts,
        links={path: path.readlink() for path in links if path.is_symlink()},
        made_folders=made_folders,
        made_group=made_group,
    )


def installed_settings() -> Settings | None:
    """What the unit file that is there was written from; None where none of ours is."""
    from alongside.install.unit import settings_of  # noqa: PLC0415

    return settings_of(UNIT_FILE.read_text()) if UNIT_FILE.is_file() else None


def docker_home() -> Path:
    """Where Docker's client has its configuration."""
    import pwd  # noqa: PLC0415

    # Not HOME, which sudo may leave as it was.
    home = pwd.getpwuid(os.geteuid()).pw_dir
    return Path(os.environ.get("DOCKER_CONFIG") or Path(home, ".docker"))


def _recorded(path: Path) -> tuple[tuple[Path, ...], bool]:
    try:
        found = json.loads(path.read_text())
        return tuple(Path(one) for one in found["folders"]), bool(found["group"])
    except (OSError, ValueError, KeyError, TypeError):
        return (), False


def _answers(socket: Path) -> str:
    try:
        return str(Client(str(socket), patience=10).get("/v1/info")["version"])
    except AlongsideError:
        return ""


def _group_is_there() -> bool:
    import grp  # noqa: PLC0415

    try:
        grp.getgrnam(GROUP)
    except KeyError:
        return False
    return True


def remains(settings: Settings, *, engine: bool) -> Remains:
    """What alongside has put on the host. `engine`: it must answer, for all its objects are to
    go; else what it does not say is left out. Raises StepFailed."""
    found = _kept(settings)
    data = _data(settings)
    table = run("nft", "list", "table", "inet", "alongside").returncode == 0
    try:
        objects = _objects(settings, found.images)
    except AlongsideError:
        if engine:
            raise
        objects = Remains()
    return replace(objects, ports=found.ports, table=table, address=found.address,
                   hooked=found.hooked, elsewhere=found.elsewhere, data=data)  # fmt: skip


def _kept(settings: Settings) -> Remains:
    """What the state file knows; nothing where there is none, or none that can be read."""
    from alongside.compose.override import former_copies, held_names  # noqa: PLC0415
    from alongside.domain.instance import proxy_address  # noqa: PLC0415
    from alongside.router.conntrack import host_addresses  # noqa: PLC0415
    from alongside.store.assignments import Assignments  # noqa: PLC0415
    from alongside.store.database import Database  # noqa: PLC0415
    from alongside.store.releases import Releases  # noqa: PLC0415
    from alongside.store.routes import Routes  # noqa: PLC0415

    path = settings.state_dir / "state.db"
    if not path.is_file():
        return Remains()
    try:
        database = Database(path)
    except AlongsideError:
        return Remains()
    try:
        releases = Releases(database).all()
        ports = [route.port for route in Routes(database).all()]
        ports += [one.port for one in Assignments(database).all()]
        ula = database.connection.execute("SELECT value FROM settings WHERE key = 'ula'").fetchone()
    finally:
        database.close()
    address = str(proxy_address(IPv6Network(ula["value"]))) if ula else ""
    sources = sorted({release.source for release in releases})
    # The person's names are found by the labels of what they name, as they may be others'.
    names = [name for one in releases for name in held_names(one.spec, one.version)]
    names += [name for one in releases for name in former_copies(one)]
    return Remains(
        images=tuple(dict.fromkeys(names)),
        ports=tuple(str(port) for port in sorted(ports, key=lambda port: port.sort_key)),
        address=address if address in map(str, host_addresses()) else "",
        hooked=tuple(Path(one) for one in sources if _has_hooks(Path(one))),
        elsewhere=tuple(one for one in sources if not Path(one, ".git").exists()),
    )


def _data(settings: Settings) -> tuple[Path, ...]:
    """What containers have written below the state folder: of what shared services mount, and of
    releases' own trees."""
    from alongside.daemon.outliving import data_below  # noqa: PLC0415
    from alongside.daemon.written import written  # noqa: PLC0415

    state, found = settings.state_dir, set()
    for room in (state / "services").glob("*"):
        files = room / "files"
        try:
            found |= {files / one.relative_to(files).parts[0] for one in data_below(room)}
        except (AlongsideError, OSError):  # which are copies is not known: it may be all data
            found.add(files)
    for tree in (state / "trees").glob("*/*"):
        try:
            kept = written(tree) is not None
        except OSError:
            kept = True
        found |= {tree} if kept else set()
    return tuple(sorted(found))


def _has_hooks(repository: Path) -> bool:
    if not repository.is_absolute():
        return False
    git = repository / ".git"
    if git.is_file():  # a linked work tree: gitdir: MAIN/.git/worktrees/NAME
        git = Path(git.read_text().removeprefix("gitdir:").strip()).parent.parent
    return any((folder / "alongside" / "hooks").is_dir() for folder in (git, repository))


def _objects(settings: Settings, images: Iterable[str]) -> Remains:
    """The engine's objects: what bears our labels, and the rest of the Compose projects that
    those belong to (dependencies, networks, volumes)."""
    if shutil.which("docker") is None:
        return Remains()  # and so no engine that anything could be in
    docker = _Docker(settings.engine)
    projects = {
        one.name
        for one in (settings.state_dir / "instances").glob("*")
        if not re.fullmatch(r"build-\d+", one.name)  # what one build needed
    }
    containers = docker.objects("container", "ls", "--all")
    ours = [one for one in containers if "alongside.service" in one.labels]
    projects |= {one.labels.get(_PROJECT, "") for one in ours} - {""}
    found = {one.name: one for one in containers if one.labels.get(_PROJECT) in projects}
    found |= {one.name: one for one in ours}
    networks = docker.objects("network", "ls")
    volumes = docker.objects("volume", "ls")
    named = docker.images("--filter", "label=alongside.service")
    there = set(docker.images())
    others = [one for one in docker.inspected() if one.name not in found]
    return Remains(
        mounted=_mounted(settings.state_dir, others),
        running=tuple(sorted(name for name, one in found.items() if one.state == "running")),
        containers=tuple(sorted(found)),
        networks=tuple(sorted(n.name for n in networks if n.labels.get(_PROJECT) in projects)),
        volumes=tuple(sorted(v.name for v in volumes if v.labels.get(_PROJECT) in projects)),
        images=tuple(sorted({*named, *(name for name in images if name in there)})),
    )


def _mounted(state: Path, others: Iterable[Container]) -> tuple[tuple[Path, str], ...]:
    """What of the state folder containers of others mount, by its names there."""
    from alongside.engine.mounted import Mounted, names  # noqa: PLC0415

    found = Mounted(state, others)
    sources = {source for _, source in found.sources()}
    sources |= {Path(os.path.realpath(source)) for source in sources}
    inside = sorted(one for one in sources if one.is_relative_to(state))
    return tuple((path, names(found.by(path))) for path in inside)


_PROJECT = "com.docker.compose.project"
_AT_ONCE = 100  # containers in one command of docker's


class _Object:
    def __init__(self, row: Mapping[str, str]) -> None:
        self.name = row.get("Names") or row["Name"]
        self.state = row.get("State", "")
        pairs = (pair.partition("=") for pair in row.get("Labels", "").split(","))
        self.labels = {key: value for key, _, value in pairs}


class _Docker:
    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def objects(self, kind: str, *arguments: str) -> list[_Object]:
        return [_Object(row) for row in self._rows(kind, *arguments)]

    def inspected(self) -> list[Container]:
        """All of them, with what they mount."""
        from alongside.engine import wire  # noqa: PLC0415

        ids = [row["ID"] for row in self._rows("container", "ls", "--all", "--no-trunc")]
        found: list[Container] = []
        for start in range(0, len(ids), _AT_ONCE):
            some = ids[start : start + _AT_ONCE]
            done = run("docker", "container", "inspect", *some, environment=self._environment)
            said = [line for line in done.stderr.splitlines() if line.strip()]
            # One that is gone meanwhile mounts nothing.
            if done.returncode != 0 and any("No such container" not in line for line in said):
                raise StepFailed("Containers could not be looked at.", log=said)
            found += [wire.container(one) for one in json.loads(done.stdout or "[]")]
        return found

    def images(self, *arguments: str) -> list[str]:
        """Their names; the ID of one that has none."""
        return [
            row["ID"] if "<none>" in (row["Tag"], row["Repository"])
            else f"{row['Repository']}:{row['Tag']}"
            for row in self._rows("image", "ls", "--no-trunc", *arguments)
        ]  # fmt: skip

    def _rows(self, *arguments: str) -> list[dict[str, str]]:
        said = must(
            *("docker", *arguments, "--format", "{{json .}}"),
            environment=self._environment,
            hint="The engine must answer: systemctl start docker",
        )
        return [json.loads(line) for line in said.splitlines() if line.strip()]
