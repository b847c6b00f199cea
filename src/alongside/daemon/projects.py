"""Compose projects of releases: which files, under which name, with which environment."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from alongside.compose.override import once_override, override, shared_name, shared_override
from alongside.compose.relocate import relocated
from alongside.compose.sharing import unnamed_shared
from alongside.compose.written import with_needed
from alongside.daemon.context import Context
from alongside.daemon.shared import settled_files
from alongside.daemon.threads import in_thread
from alongside.domain.errors import StepFailed
from alongside.domain.instance import Instance
from alongside.domain.release import Release
from alongside.domain.service import Sharing
from alongside.engine.protocol import NFTABLES, Project
from alongside.host.files import make_folder, write_whole


def interpolation(version: str) -> dict[str, str]:
    """What `${tag:-latest}` in a compose file becomes."""
    return {"tag": version}


async def instance_project(
    context: Context, release: Release, instance: Instance, *, removing: bool = False
) -> Project:
    """The project of one instance, its override file written. `removing`: for `down`."""
    base = plain_project(context, release, instance)
    model = await context.compose.config(base)
    path = context.paths.instance(instance) / "override.yaml"
    # Where nobody comes in, an IPv6 address is of no use, and costs the engine a tenth of a second
    # when a container starts and again when it ends: for a singleton, of its gap.
    ipv6 = context.ipv6 and bool(release.spec.ports)
    single = await _publishes_once(context)
    text = override(release, instance, model, removing=removing, ipv6=ipv6, single=single)
    await _write(context, path, text)
    return _with(base, path)


async def _publishes_once(context: Context) -> bool:
    """Whether the engine takes one address of an IP family alone (daemon/starting.py has why).
    Without a proxy nothing listens on the others in any case."""
    return not context.proxied and (await context.engine.info()).firewall == NFTABLES


async def once_project(context: Context, release: Release, instance: Instance) -> Project:
    """The same project, for a container of the service that runs once beside the instance."""
    base = _base(context, release, instance.project)
    model = await context.compose.config(base)
    path = context.paths.instance(instance) / "once.yaml"
    await _write(context, path, once_override(release, instance, model, ipv6=context.ipv6))
    return _with(base, path)


async def shared_project(context: Context, release: Release) -> Project:
    """The project of what all versions of the repository share, with its files where they outlive
    the release. Call it with the repository's lock held, until its containers are made."""
    name = shared_name(release.repository)
    base = _base(context, release, name)
    model = await context.compose.config(base)
    shared = [one.name for one in release.spec.depends if one.sharing is Sharing.SHARED]
    services = with_needed(model, shared)
    place = await settled_files(context, release, services, model)
    tree = context.paths.tree(release.repository, release.tree)
    moved = relocated(services, model, place, tree=tree, folder=base.directory)
    path = context.paths.project(name) / "override.yaml"
    volumes = await repository_volumes(context, release, model)
    await _write(context, path, shared_override(release, moved, volumes))
    return _with(base, path)


async def repository_volumes(
    context: Context, release: Release, model: Mapping[str, Any]
) -> list[str]:
    """The volumes that are said to be shared and that only shared services mount. Those of earlier
    releases of alongside's are named PROJECT_VOLUME, and keep their name: it is where the data
    is. Raises Unavailable."""
    names = unnamed_shared(model)
    there = set(await context.engine.volumes()) if names else set()
    project = shared_name(release.repository)
    return [name for name in names if f"{project}_{name}" not in there]


def plain_project(context: Context, release: Release, instance: Instance | None) -> Project:
    """The project of an instance, or of what is shared, by the person's own file alone."""
    if instance is None:
        return _base(context, release, shared_name(release.repository))
    base = _base(context, release, instance.project)
    if release.spec.host_network:
        return replace(base, environment={**base.environment, **instance.numbers()})
    return base


def _base(context: Context, release: Release, name: str) -> Project:
    compose_file = context.paths.compose_file(release)
    return Project(
        name=name,
        directory=compose_file.parent,
        files=[compose_file],
        environment=interpolation(str(release.version)),
    )


def _with(base: Project, override_file: Path) -> Project:
    return Project(base.name, base.directory, [*base.files, override_file], base.environment)


async def _write(context: Context, path: Path, text: str) -> None:
    async with context.locks[f"file {path}"]:  # that of what is shared is written for any version
        await in_thread(partial(_write_changed, path, text))


def _write_changed(path: Path, text: str) -> None:
    """One that is as it should be is not written again: a rollback needs no space for it. Raises
    StepFailed."""
    with suppress(OSError, UnicodeDecodeError):
        if path.read_text() == text:
            return
    try:
        make_folder(path.parent)
        write_whole(path, text)
    except OSError as error:
        raise StepFailed(
            f"{path} could not be written: {error.strerror}.",
            hint="Nothing has changed. Look at the free space of the state folder.",
        ) from error
