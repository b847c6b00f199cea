"""Trees that no release has, and what was being received: removed when nothing needs them.

Only what is known to have come of a build that did not end, or of a release that was removed. A
state file that is older than what is there, or cannot be read in part, knows less than there is;
what it does not know is another's, or a release's that it has lost.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
from collections.abc import Iterable
from pathlib import Path

from alongside.daemon import trees
from alongside.daemon.context import Context
from alongside.daemon.held import mounted
from alongside.daemon.locks import BUILDS
from alongside.daemon.manifest import forget_manifest
from alongside.daemon.written import written
from alongside.domain.errors import AlongsideError
from alongside.engine.mounted import Mounted, names
from alongside.store.database import UNRELEASED

# As git names them, and with a number behind it where there are several; nothing else.
_TREE = re.compile(r"([0-9a-f]{40}|[0-9a-f]{64})(-\d+)?")

STRAYS = "strays"  # the problem's key

_log = logging.getLogger(__name__)


async def discard_strays(context: Context, leftovers: Iterable[Path] = ()) -> None:
    """Remove the trees that no release has, and `leftovers` of an earlier run. What a container
    mounts stays, and so does a tree that one has written to. Raises Unavailable, and then nothing
    is removed."""
    there = await mounted(context)
    for path in leftovers:
        await _discard(path, there)
    if context.locks[BUILDS].locked():
        return  # the tree that is being built has no release yet
    for tree in removable(context):
        await _discard_stray(context, tree, there)


async def _discard_stray(
    context: Context, tree: Path, there: Mounted, *, building: bool = False
) -> None:
    if tree in released(context) or not tree.is_dir():
        return
    try:
        found = await asyncio.to_thread(written, tree)
    except OSError as error:
        _log.warning("%s is of no release, and cannot be looked through: %s", tree, error)
        return
    if found is not None:
        _log.warning("%s is of no release, and kept: a container has written %s", tree, found)
        return
    if building or not context.locks[BUILDS].locked():  # one may have begun, and want it
        await discard_tree(context, tree, there)


async def discard_tree(context: Context, tree: Path, there: Mounted) -> None:
    """Remove it, unless a release has it by now, or a container mounts it. It is taken out of its
    place at once, so that nothing is built or started from a part of it meanwhile."""
    if tree in released(context) or not tree.is_dir():
        return
    holders = there.by(tree)
    if holders:
        _log.warning("%s is kept: it is mounted by %s", tree, names(holders))
        return
    place = context.paths.incoming / f"{tree.name}.{secrets.token_hex(4)}"
    try:
        tree.rename(place)
    except OSError:  # a full disk may have no room for a name, and is all the more to be emptied
        place = tree
    await _discard(place, there)
    if not tree.exists():
        forget_manifest(tree)
        settled(context, tree)


async def discard_unreleased(context: Context, tree: Path) -> None:
    """After a build that may have come to nothing. Where the engine does not say who mounts the
    tree it is left, and looked at again when the engine is met."""
    if tree not in expected(context):
        return
    if tree in released(context) or not tree.is_dir():
        settled(context, tree)
        return
    try:
        await _discard_stray(context, tree, await mounted(context), building=True)
    except AlongsideError as error:
        _log.warning("%s is of no release, and left for now: %s", tree, error.message)


def expect(context: Context, tree: Path) -> None:
    """Before a tree gets its place, or its last release is removed: until a release has it, it is
    ours to remove."""
    context.database.keep(_key(context, tree), "")


def settled(context: Context, tree: Path) -> None:
    """It has a release, or is gone."""
    context.database.drop(_key(context, tree))


def expected(context: Context) -> set[Path]:
    """The trees of which no release has come yet, or any more."""
    root = context.paths.root / "trees"
    return {root / place for place in context.database.marked(UNRELEASED)}


def released(context: Context) -> set[Path]:
    """The trees of all releases, of those that cannot be read as well."""
    return {context.paths.tree(*one) for one in context.releases.trees()}


def removable(context: Context) -> list[Path]:
    """Trees that are there, that no release has, and that are ours to remove. What else no release
    has is a problem to show."""
    has = released(context)
    trees = [tree for tree in context.paths.all_trees() if _TREE.fullmatch(tree.name)]
    strays = [tree for tree in trees if tree not in has]
    ours = expected(context)
    left = [str(tree.relative_to(context.paths.root)) for tree in strays if tree not in ours]
    context.problems.pop(STRAYS, None)
    if left:
        context.problems[STRAYS] = (
            f"No release is known of {', '.join(left[:3])}"
            f"{f' and {len(left) - 3} more' if len(left) > 3 else ''} in {context.paths.root}. "
            "They are left as they are: `alongside state rebuild --dry-run` says what can be made "
            "of them; remove them by hand if they are not needed."
        )
    return [tree for tree in strays if tree in ours]


async def _discard(path: Path, there: Mounted) -> None:
    holders = there.by(path)
    if holders:
        _log.warning("%s is kept: it is mounted by %s", path, names(holders))
        return
    try:
        await asyncio.to_thread(trees.discard, path)
    except OSError as error:
        _log.warning("%s could not be removed: %s", path, error)


def _key(context: Context, tree: Path) -> str:
    return f"{UNRELEASED} {tree.relative_to(context.paths.root / 'trees')}"
