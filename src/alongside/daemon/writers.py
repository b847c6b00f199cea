"""Looking, before containers are started, at who writes already where they will write."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from alongside.compose.override import shared_name, volume_name, volume_names
from alongside.compose.written import Written, said_shared, with_needed, written
from alongside.daemon.context import Context
from alongside.daemon.projects import plain_project, repository_volumes
from alongside.domain.instance import Instance
from alongside.domain.release import Release
from alongside.domain.service import Sharing
from alongside.engine.protocol import LABEL_ORDINAL, LABEL_REPOSITORY, Container, Project
from alongside.plan.steps import Plan, PrepareSingleton, RunBefore, Start, StartShared, Wake
from alongside.plan.writers import Meeting, Place, Starting, Writer, meetings, refuse

Model = Mapping[str, Any]

_PROJECT, _SERVICE = "com.docker.compose.project", "com.docker.compose.service"
_ONCE, _FOLDER = "com.docker.compose.oneoff", "com.docker.compose.project.working_dir"
_KERNELS = ("/dev", "/proc", "/sys")  # nothing there is data
_HOSTS = ("/etc", "/usr")  # single files there are the host's settings: /etc/localtime
_VARIABLE = re.compile(r"\$\{\w+(?::?-([^${}]*))?\}|\$\w+")


async def refuse_writers(
    context: Context,
    release: Release,
    project: Project,
    services: Iterable[str],
    *,
    once: bool = False,
) -> None:
    """Before `services` of one of a release's projects are started, and what they need there.
    `once`: the released service as a container of its own, whether or not its instance runs.

    Raises Conflict where that would put a second server on data that one writes to already;
    Unavailable where the engine does not answer.
    """
    look = _Look(context, release, project.name, await context.engine.running())
    if look.writers:
        model = await context.compose.config(project)
        starting = await look.starting(model, services, once=once)
        refuse(release.reference, meetings(starting, look.writers))


async def refuse_writers_beside(context: Context, release: Release, container: Container) -> None:
    """The same, before a container that is there is started, or goes on after a pause."""
    if container.state not in ("running", "restarting") and _writes(container):
        running = await context.engine.running()
        refuse(release.reference, _beside(context, release, container, running))


async def foreseen(context: Context, plan: Plan) -> list[str]:
    """The same for all that a plan would start, before anything is done: returns notes, a
    sentence each."""
    # What goes on after a pause is to do so at once, so it is asked first whether it writes.
    woken = {
        step: await context.engine.container(step.instance.name)
        for step in plan.steps
        if isinstance(step, Wake)
    }
    waking = {step: one for step, one in woken.items() if one is not None and _writes(one)}
    starting = (StartShared, Start, RunBefore, PrepareSingleton)
    steps = [step for step in plan.steps if isinstance(step, starting)]
    running = await context.engine.running() if steps or waking else []
    found: list[Meeting] = []
    for wake, container in waking.items():
        release = context.releases.get(wake.instance.service, wake.instance.version)
        if release is not None:
            found += _beside(context, release, container, running)
    for step in steps:
        if isinstance(step, StartShared):
            found += await _foreseen(context, step.release, None, step.services, running)
        else:
            instance, services = step.instance, (step.release.service,)
            once = isinstance(step, RunBefore)
            found += await _foreseen(context, step.release, instance, services, running, once=once)
    return refuse(f"{plan.service}@{plan.after}", found)


async def _foreseen(
    context: Context,
    release: Release,
    instance: Instance | None,
    services: Iterable[str],
    running: Sequence[Container],
    *,
    once: bool = False,
) -> list[Meeting]:
    """Without the override file: a dry run writes none."""
    project = plain_project(context, release, instance)
    look = _Look(context, release, project.name, running)
    if not look.writers:
        return []
    model = await context.compose.config(project)
    volumes = {name: dict(raw or {}) for name, raw in (model.get("volumes") or {}).items()}
    given = volume_names(release, instance)
    if instance is None:
        names = await repository_volumes(context, release, model)
        given = {name: volume_name(release, name) for name in names} | given
    for name, engines in given.items():
        volumes.setdefault(name, {})["name"] = engines
    model = {**model, "volumes": volumes}
    return list(meetings(await look.starting(model, services, once=once), look.writers))


def _writes(container: Container) -> bool:
    return any(one.writable and one.kind in ("bind", "volume") for one in container.mounts)


def _beside(
    context: Context, release: Release, container: Container, running: Sequence[Container]
) -> list[Meeting]:
    look = _Look(context, release, container.labels.get(_PROJECT, ""), running)
    places = look.places(container)
    return list(meetings([look.one(release.service, places, frozenset())], look.writers))


class _Look:
    """The containers that run, as they concern one project of a release's."""

    def __init__(
        self, context: Context, release: Release, project: str, running: Iterable[Container]
    ) -> None:
        self._context = context
        self._release = release
        self._project = project
        self._running: set[str] = set()  # services of the project
        self.writers: list[Writer] = []  # that could be in its way
        self._stacks: set[str] = set()
        owners = _owners(context)
        dependencies = {one.name for one in release.spec.depends if not one.built}
        for one in running:
            if one.labels.get(_PROJECT) == project:
                if not _is_once(one):
                    self._running.add(one.labels.get(_SERVICE, ""))
                continue
            writer = self._writer(one, owners)
            # Compose is asked what a project mounts, and that takes time: not for those that
            # share the repository's places by design.
            mine = writer.repository == release.repository
            if writer.places and not (mine and writer.service not in dependencies):
                self.writers.append(writer)
                if _lies_in(one.labels.get(_FOLDER, ""), release.source):
                    self._stacks.add(writer.project)
        if self.writers:
            self._stacks.update(_stacks(context, release))

    async def starting(
        self, model: Model, services: Iterable[str], *, once: bool
    ) -> list[Starting]:
        """The containers that would be started, and where they would write."""
        engine, release = self._context.engine, self._release
        volumes = Path((await engine.info()).root) / "volumes"
        there = {
            one.labels.get(_SERVICE, ""): one
            for one in await engine.everything()
            if one.labels.get(_PROJECT) == self._project and not _is_once(one)
        }
        shared = {one.name for one in release.spec.depends if one.sharing is Sharing.SHARED}
        if self._project == shared_name(release.repository):
            shared = set()
        found = []
        for name in with_needed(model, services, shared):
            if once and name == release.service:
                places = self._declared(model, name, volumes)
            elif name in self._running:
                continue
            elif name in there:
                places = self.places(there[name])  # it is not made anew, whatever the file says
            else:
                places = self._declared(model, name, volumes)
            found.append(self.one(name, places, said_shared(model)))
        return found

    def one(self, service: str, places: tuple[Place, ...], shared: frozenset[str]) -> Starting:
        release = self._release
        built = {release.service, *(one.name for one in release.spec.depends if one.built)}
        return Starting(
            project=self._project,
            service=service,
            places=places,
            repository=release.repository,
            built=service in built,
            stacks=frozenset(self._stacks),
            said_shared=shared,
        )

    def places(self, container: Container) -> tuple[Place, ...]:
        """Where a container may write that is there."""
        mounts = [one for one in container.mounts if one.writable and one.source]
        return self._places(
            (Written(source=one.source) for one in mounts if one.kind == "bind"), {}
        ) + self._places(
            (Written(one.volume) for one in mounts if one.kind == "volume"),
            {one.volume: Path(one.source) for one in mounts},
        )

    def _declared(self, model: Model, name: str, volumes: Path) -> tuple[Place, ...]:
        found = list(written(model, name))
        return self._places(found, {one.volume: volumes / one.volume / "_data" for one in found})

    def _places(self, found: Iterable[Written], volumes: Mapping[str, Path]) -> tuple[Place, ...]:
        """`volumes`: where the engine keeps each, to know its folder by another name."""
        places = []
        for one in found:
            if one.volume and not one.source:
                places.append(Place(one.volume, inode=_inode(volumes[one.volume])))
            elif _is_data(path := _real(one.source)) and not self._is_release(path):
                places.append(Place(one.volume, str(path), _inode(path)))
        return tuple(places)

    def _is_release(self, path: Path) -> bool:
        """What is in a release's own tree is a part of the release, not data."""
        return path.is_relative_to(self._context.paths.root / "trees")

    def _writer(self, container: Container, owners: Mapping[str, str]) -> Writer:
        labels = container.labels
        project, service = labels.get(_PROJECT, ""), labels.get(_SERVICE, "")
        released = LABEL_ORDINAL in labels
        by_compose = project and service and not released and project not in owners
        return Writer(
            name=container.name,
            project=project,
            service=service,
            places=self.places(container),
            ended_by=f"docker compose -p {project} stop {service}"
            if by_compose and not _is_once(container)
            else f"docker stop {container.name}",
            repository=labels.get(LABEL_REPOSITORY, "") if released else owners.get(project, ""),
            released=released,
        )


def _owners(context: Context) -> dict[str, str]:
    """alongside's own Compose projects, and the repository of each."""
    releases = {(one.service, one.version): one.repository for one in context.releases.all()}
    return {shared_name(repository): repository for repository in releases.values()} | {
        one.project: releases.get((one.service, one.version), "") for one in context.instances.all()
    }


def _stacks(context: Context, release: Release) -> Iterable[str]:
    """What the person's own Compose project of this repository may be called: as the compose file
    says, else after the folder that Compose finds it in."""
    file = context.paths.compose_file(release)
    source = release.source.rstrip("/").removesuffix("/.git").removesuffix(".git")
    folder = Path(release.compose_file).parent.name
    names = [folder] if folder else [release.repository, re.split(r"[/:]", source)[-1]]
    try:
        document = yaml.safe_load(file.read_text())
        names.insert(0, str(document.get("name") or ""))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, AttributeError):
        pass  # Compose says what is wrong with it
    for name in names:
        plain = _VARIABLE.sub(lambda found: found[1] or "", name)
        # Compose's own rule: NormalizeProjectName of compose-go.
        if plain := re.sub(r"[^-_a-z0-9]", "", plain.lower()).lstrip("_-"):
            yield plain


def _lies_in(folder: str, source: str) -> bool:
    return bool(folder) and source.startswith("/") and Path(folder).is_relative_to(source)


def _is_once(container: Container) -> bool:
    return container.labels.get(_ONCE) == "True"


def _real(path: str) -> Path:
    try:
        return Path(path).resolve()
    except (OSError, RuntimeError):  # a loop of links
        return Path(path)


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None  # the engine makes it when it is needed
    return found.st_dev, found.st_ino


def _is_data(path: Path) -> bool:
    """Sockets and devices are talked to, not written to."""
    if any(path.is_relative_to(one) for one in _KERNELS):
        return False
    try:
        mode = path.stat().st_mode
    except OSError:
        return True  # not there yet: the engine makes a folder
    if stat.S_ISREG(mode):
        return not any(path.is_relative_to(one) for one in _HOSTS)
    return stat.S_ISDIR(mode)
