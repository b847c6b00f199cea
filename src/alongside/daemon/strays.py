"""Trees and images that no release has: which of them are ours to remove.

Only what is known to have come of a build that did not end, or of a release that was removed. A
state file that is older than what is there, or cannot be read in part, knows less than there is;
what it does not know is another's, or a release's that it has lost.
"""

from __future__ import annotations

from pathlib import Path

from alongside.daemon.context import Context
from alongside.store.database import UNRELEASED

STRAYS = "strays"  # the problem's key


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
    strays = [tree for tree in context.paths.trees() if tree not in has]
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


def was_built(context: Context, service: str, version: str) -> bool:
    """Whether a build of it began here, by what the state file tells."""
    return context.journal.has("build", service, version)


def _key(context: Context, tree: Path) -> str:
    return f"{UNRELEASED} {tree.relative_to(context.paths.root / 'trees')}"
