"""Where the files of services lie that versions share: in a folder that outlives releases."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from alongside.compose.override import shared_name
from alongside.compose.relocate import Place, mounted_from
from alongside.daemon.context import Context
from alongside.daemon.held import first_release
from alongside.daemon.outliving import Outliving
from alongside.daemon.written import written
from alongside.domain.errors import StepFailed
from alongside.domain.release import Release
from alongside.engine.mounted import LABEL_PROJECT, Mounted
from alongside.engine.protocol import Container

LABEL_SERVICE = "com.docker.compose.service"


async def settled_files(
    context: Context, release: Release, services: Iterable[str], model: Mapping[str, Any]
) -> Place:
    """Have the files that the services mount where they outlive the release, and say where: each
    at its path in the repository's own folder, or where its data is from before there was one.

    What a container mounts stays as it is, so files come from the release that a container is made
    from. Call it with the repository's lock held. Raises StepFailed, Unavailable.
    """
    paths = context.paths
    tree = paths.tree(release.repository, release.tree)
    containers = await context.engine.everything()
    project = shared_name(release.repository)
    there = {
        one.labels.get(LABEL_SERVICE)
        for one in containers
        if one.labels.get(LABEL_PROJECT) == project
    }
    outliving = await asyncio.to_thread(Outliving, paths.services(release.repository))
    _remember(context, release.repository, outliving, containers)
    found = mounted_from(services, model, tree=tree, folder=paths.compose_file(release).parent)
    places = {
        (service, path): await _place(context, outliving, service, path)
        for service, mounted in found.items()
        for path in mounted
    }
    fresh = [
        path
        for (service, path), place in places.items()
        if service not in there and place == outliving.files / path
    ]
    if fresh:
        mounted = Mounted(paths.root, containers)
        await asyncio.to_thread(outliving.fill, tree, dict.fromkeys(fresh), mounted)
    return lambda service, path: places[service, path]


async def remember_mounts(context: Context) -> None:
    """What containers of shared services mount from a release's tree, as an earlier version of
    alongside had it: one that is made anew is to find its data. Raises StepFailed, Unavailable."""
    containers = await context.engine.everything()
    for repository in {one.repository for one in context.releases.all()}:
        lock = context.locks[f"shared {repository}"]
        if lock.locked():
            continue  # it is looked at there, and an image may be pulled for minutes
        async with lock:
            outliving = await asyncio.to_thread(Outliving, context.paths.services(repository))
            _remember(context, repository, outliving, containers)


def _remember(
    context: Context, repository: str, outliving: Outliving, containers: Iterable[Container]
) -> None:
    project, trees = shared_name(repository), context.paths.trees(repository)
    for container in containers:
        if container.labels.get(LABEL_PROJECT) != project:
            continue
        for mount in container.mounts:
            source = Path(mount.source)
            if mount.kind == "bind" and source.is_relative_to(trees):
                path = PurePosixPath(*source.relative_to(trees).parts[1:])
                outliving.remember(container.labels.get(LABEL_SERVICE, ""), path, source)


async def _place(context: Context, outliving: Outliving, service: str, path: PurePosixPath) -> Path:
    own = outliving.files / path
    for source in outliving.before(service, path):
        if await _has_data(context, source):
            return source
    if not os.path.lexists(own):
        for source in outliving.before_of_others(service, path):
            if await _has_data(context, source):
                return source
    return own


async def _has_data(context: Context, source: Path) -> bool:
    """Whether a container has written there, in a tree that is still kept."""
    trees = context.paths.root / "trees"
    if not source.is_relative_to(trees):
        return False
    tree = trees.joinpath(*source.relative_to(trees).parts[:2])
    since = first_release(context, tree)
    try:
        return await asyncio.to_thread(written, source, since) is not None
    except OSError as error:
        raise StepFailed(
            f"{source} cannot be looked through: {error}.",
            hint="What versions share has had its data there, and is not started without it.",
        ) from error
