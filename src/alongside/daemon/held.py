"""What holds a release though nothing routes to it: files of its that must not be lost."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from datetime import datetime
from pathlib import Path

from alongside.compose.override import own_volumes
from alongside.daemon.context import Context
from alongside.daemon.written import written
from alongside.domain.release import Release
from alongside.engine.mounted import LABEL_PROJECT, Mounted, names
from alongside.engine.protocol import Container


class Held:
    """One look at the containers, for one or several releases."""

    def __init__(self, context: Context, mounted: Mounted) -> None:
        self._context = context
        self._mounted = mounted

    @classmethod
    async def look(cls, context: Context) -> Held:
        """Raises Unavailable: where the engine does not say who mounts what, nothing goes."""
        return cls(context, await mounted(context))

    async def why(
        self, release: Release, *, gone: Collection[Release] = (), data: bool = False
    ) -> str:
        """Why its files must stay, as the end of a sentence; "" where they need not.

        `gone`: releases that go before it. `data`: what its containers wrote goes with it.
        """
        context = self._context
        archive = context.paths.archive(release)
        holders = self._mounted.by(archive)
        if holders:
            return f"the archive of its image is mounted by {names(holders)}"
        tree = context.paths.tree(release.repository, release.tree)
        same = [one for one in context.releases.all() if _tree(context, one) == tree]
        if any(one != release and one not in gone for one in same):
            return ""  # the tree stays with that one
        instance = context.instances.get(release.service, release.version)
        holders = self._mounted.by(tree, beside=instance.project if instance else "")
        if holders:
            return f"its files are mounted by {names(holders)}"
        if data:
            return ""
        since = min((one.created for one in same), default=release.created)
        try:
            found = await asyncio.to_thread(written, tree, since)
        except OSError as error:
            return f"its files cannot be looked through: {error}"
        return f"a container has written {found.relative_to(tree)} into its files" if found else ""


async def volumes_in_use(context: Context, release: Release) -> list[str]:
    """Of the version's own volumes, those that stay when it is removed with its volumes: the engine
    removes none that a container has, and Compose says nothing of it. As sentences."""
    instance = context.instances.get(release.service, release.version)
    if instance is None:
        return []
    own = own_volumes(release, instance)
    users: dict[str, list[Container]] = {}
    for container in await context.engine.everything():
        if container.labels.get(LABEL_PROJECT) != instance.project:
            for name in {mount.volume for mount in container.mounts} & own:
                users.setdefault(name, []).append(container)
    return [
        f"The volume {name} is kept: it is mounted by {names(found)}."
        for name, found in sorted(users.items())
    ]


async def mounted(context: Context) -> Mounted:
    """Raises Unavailable."""
    return Mounted(context.paths.root, await context.engine.everything())


def _tree(context: Context, release: Release) -> Path:
    return context.paths.tree(release.repository, release.tree)


def first_release(context: Context, tree: Path) -> datetime | None:
    """When the first of the tree's releases was made; None where there is none."""
    made = [one.created for one in context.releases.all() if _tree(context, one) == tree]
    return min(made, default=None)
