"""Compose projects of releases: which files, under which name, with which environment."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from alongside.compose.override import once_override, override, shared_name, shared_override
from alongside.daemon.context import Context
from alongside.domain.errors import StepFailed
from alongside.domain.instance import Instance
from alongside.domain.release import Release
from alongside.engine.protocol import Project


def interpolation(version: str) -> dict[str, str]:
    """What `${tag:-latest}` in a compose file becomes."""
    return {"tag": version}


async def instance_project(
    context: Context, release: Release, instance: Instance, *, removing: bool = False
) -> Project:
    """The project of one instance, its override file written. `removing`: for `down`."""
    base = _base(context, release, instance.project)
    if release.spec.host_network:
        base = replace(base, environment={**base.environment, **instance.numbers()})
    model = await context.compose.config(base)
    path = context.paths.instance(instance) / "override.yaml"
    # Where nobody comes in, an IPv6 address is of no use, and costs the engine a tenth of a second
    # when a container starts and again when it ends: for a singleton, of its gap.
    ipv6 = context.ipv6 and bool(release.spec.ports)
    _write(path, override(release, instance, model, removing=removing, ipv6=ipv6))
    return _with(base, path)


async def once_project(context: Context, release: Release, instance: Instance) -> Project:
    """The same project, for a container of the service that runs once beside the instance."""
    base = _base(context, release, instance.project)
    model = await context.compose.config(base)
    path = context.paths.instance(instance) / "once.yaml"
    _write(path, once_override(release, instance, model, ipv6=context.ipv6))
    return _with(base, path)


async def shared_project(context: Context, release: Release) -> Project:
    """The project of what all versions of the repository share."""
    name = shared_name(release.repository)
    base = _base(context, release, name)
    path = context.paths.project(name) / "override.yaml"
    _write(path, shared_override(release))
    return _with(base, path)


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


def _write(path: Path, text: str) -> None:
    """Whole or not at all; nothing is written where it is so already, since that works on a full
    disk, too. Raises StepFailed."""
    new = path.with_suffix(".new")
    try:
        if path.is_file() and path.read_text() == text:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        new.write_text(text)
        new.replace(path)
    except OSError as error:
        raise StepFailed(
            f"{path} could not be written: {error.strerror}.",
            hint="Nothing has changed. Look at the free space of the state folder.",
        ) from error
