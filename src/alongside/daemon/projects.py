"""Compose projects of releases: which files, under which name, with which environment."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from alongside.compose.override import once_override, override, shared_name, shared_override
from alongside.daemon.context import Context
from alongside.domain.instance import Instance
from alongside.domain.release import Release
from alongside.engine.protocol import NFTABLES, Project


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
    single = await _publishes_once(context)
    text = override(release, instance, model, removing=removing, ipv6=ipv6, single=single)
    _write(path, text)
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
    """Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)
