"""What on this host says that there was a state, where the state file says nothing of one.

A daemon that takes a lost file for a new host's would tidy up by it: it would empty the table and
remove every release's tree. So before a file is made anew, or one that is blank is believed, what
the state would have left is looked for: folders, the table, images and containers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator
from pathlib import Path

from alongside.daemon.paths import StatePaths
from alongside.doctor.gather.routed import ports
from alongside.domain.errors import AlongsideError
from alongside.engine.protocol import LABEL_ORDINAL, Engine
from alongside.router.protocol import Router
from alongside.store import backup

PATIENCE = 3.0  # seconds for an engine that is only coming up
_TELLING = 4  # names of each kind


async def evidence(
    paths: StatePaths, engine: Engine, router: Router, *, known: Collection[Path] = ()
) -> list[str]:
    """Each kind as a few words: `3 release trees`. Empty on a host where alongside is new.

    `known`: trees that the state file itself tells of.
    """
    return [
        *_folders(paths, known),
        *await _routed(router),
        *await _labelled(engine),
    ]


def _folders(paths: StatePaths, known: Collection[Path]) -> Iterator[str]:
    root = paths.root
    trees = [one for one in paths.all_trees() if one not in known]
    linked = {path.relative_to(root / "shared").parts[0] for path in root.glob("shared/*/**/*")}
    for found, one, more in (
        (trees, "release tree", "release trees"),
        (list(root.glob("instances/*/override.yaml")), "instance folder", "instance folders"),
        (list(root.glob("archives/*/*")), "image archive", "image archives"),
        (linked, "repository with linked files", "repositories with linked files"),
        (backup.all_of(paths.backups), "backup of the state", "backups of the state"),
        (list(root.glob("state.db-wal")), "log of a state file", "logs of a state file"),
    ):
        if found:
            yield f"{len(found)} {one if len(found) == 1 else more}"


async def _routed(router: Router) -> list[str]:
    listing = await router.listing()
    if listing is None:
        return []
    found = [str(port) for port in ports(listing)]
    guarded = listing.collections.get("guard4")
    if found:
        return [f"kernel routes for {_some(found)}"]
    if guarded is not None and guarded.elements:
        return ["the addresses of instances in the kernel's table"]
    return []


async def _labelled(engine: Engine) -> list[str]:
    """Nothing where the engine does not answer: it may only be coming up."""
    try:
        async with asyncio.timeout(PATIENCE):
            containers, images = await asyncio.gather(engine.containers(), engine.images())
    except (AlongsideError, TimeoutError):
        return []
    names = [one for one in containers if LABEL_ORDINAL in one.labels]
    return [
        f"{len(found)} {what}{'' if len(found) == 1 else 's'}"
        for found, what in ((names, "container"), (images, "labelled image"))
        if found
    ]


def _some(names: list[str]) -> str:
    more = len(names) - _TELLING
    return ", ".join(names[:_TELLING]) + (f" and {more} more" if more > 0 else "")
