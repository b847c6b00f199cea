"""Compose projects of releases: which files, under which name, with which environment."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from alongside.compose.override import once_override, override, shared_name, shared_override
from alongside.compose.sharing import said_shared
from alongside.daemon.context import Context
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
    _write(path, shared_override(release, await _repository_volumes(context, release, base)))
    return _with(base, path)


async def _repository_volumes(context: Context, release: Release, base: Project) -> list[str]:
    """The volumes that are said to be shared and that only shared services mount. Those of earlier
    releases of alongside's are named PROJECT_VOLUME, and keep their name: it is where the data
    is."""
    if release.reference not in context.said_shared:
        model = await context.compose.config(base)
        context.said_shared[release.reference] = tuple(said_shared(model))
    names = context.said_shared[release.reference]
    there = set(await context.engine.volumes()) if names else set()
    return [name for name in names if f"{base.name}_{name}" not in there]


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
    """Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)
