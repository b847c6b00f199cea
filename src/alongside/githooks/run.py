"""What the hooks do once Python runs: refuse a moved tag, build a new one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol as Seam
from typing import TypeVar

from alongside.domain.errors import AlongsideError, Unavailable
from alongside.git.repository import Repository

Result = TypeVar("Result")

_ZERO = re.compile(r"0+")
_WITH_BUILD = re.compile(r"v?\d[^+]*\+.*")  # 1.0.0+build: a version, and no image tag
_GETTERS = ("fetch", "pull", "clone", "remote")  # git verbs that bring tags of others


class Builds(Seam):
    """The daemon, as the hooks need it."""

    def released(self, tag: str, repository: str) -> Sequence[tuple[str, str]]:
        """The releases made from a tag of this name: (reference, commit)."""
        ...

    def submit(self, repository: Repository, tag: str) -> Callable[[], None]:
        """Send the tag's tree; calling what is returned follows the build to its end. Both
        raise AlongsideError."""
        ...


def run(
    hook: str,
    arguments: Sequence[str],
    lines: Iterable[str],
    say: Callable[[str], None],
    builds: Builds,
) -> int:
    """The exit status. Only `prepared` can refuse; nothing else stops git."""
    changes = [tuple(line.split(" ", 2)) for line in map(str.strip, lines) if line.count(" ") >= 2]
    tags = [
        (old, new, ref.removeprefix("refs/tags/"))
        for old, new, ref in changes
        if ref.startswith("refs/tags/") and not _ZERO.fullmatch(new)
    ]
    repository = Repository.discover(in_hook=True)
    if hook == "post-receive":
        _build(repository, [tag for _, _, tag in tags], say, builds)
        return 0
    state, parent = arguments[0], arguments[1]
    if state == "prepared":
        return max((_check(repository, *tag, say, builds) for tag in tags), default=0)
    if state == "committed" and not repository.bare:
        _new(repository, [tag for old, new, tag in tags if old != new], parent, say, builds)
    return 0


def _check(
    repository: Repository,
    old: str,
    new: str,
    tag: str,
    say: Callable[[str], None],
    builds: Builds,
) -> int:
    """1 for a tag that must not be."""
    if _WITH_BUILD.fullmatch(tag.rpartition("/")[2]):
        say(
            f"The tag {tag} cannot be released: an image tag cannot hold '+'. "
            "Write the build metadata with a hyphen, or leave it out."
        )
        return 1
    if _ZERO.fullmatch(old):
        return 0
    commit = _commit(repository, new)
    try:
        released = builds.released(tag, repository.name)
    except Unavailable as error:
        say(f"{error.message} So nobody can say whether {tag} has a release; it is moved.")
        return 0
    for reference, was in released:
        if was != commit:
            say(
                f"The tag {tag} is not moved: {reference} was released from commit {was[:12]}, and "
                f"a release never changes. Tag {commit[:12]} with a new version instead."
            )
            return 1
    return 0


def _new(
    repository: Repository,
    tags: Sequence[str],
    parent: str,
    say: Callable[[str], None],
    builds: Builds,
) -> None:
    """One new tag is built; those that came together, or from elsewhere, are listed."""
    if len(tags) == 1 and not _fetched(parent):
        _build(repository, tags, say, builds)
        return
    for tag in tags:
        say(f"New tag {tag}; to build it: alongside build {tag}")


def _build(
    repository: Repository, tags: Sequence[str], say: Callable[[str], None], builds: Builds
) -> None:
    """Submit all, then follow each in order: whoever stops watching stops no build. The tags
    are made whatever comes of it, and one that fails keeps no other back."""
    submitted = []
    for tag in tags:
        follow = _told(partial(builds.submit, repository, tag), tag, say)
        if follow is not None:
            submitted.append((tag, follow))
    for tag, follow in submitted:
        _told(follow, tag, say)


def _told(action: Callable[[], Result], tag: str, say: Callable[[str], None]) -> Result | None:
    """What the action returns; where it is refused, that is said."""
    try:
        return action()
    except Unavailable as error:
        say(error.message)
        say(f"The tag {tag} is made, and not built. To build it later: alongside build {tag}")
    except AlongsideError as error:
        say(error.message)
        for line in (*((error.hint,) if error.hint else ()), *error.log):
            say(f"  {line}")
    return None


def _commit(repository: Repository, name: str) -> str:
    """The commit that a tag's new value stands for; itself where it is none."""
    found = repository.run("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}", check=False)
    return found.strip() or name


def _fetched(parent: str) -> bool:
    """Whether the git that runs the hook brings tags from elsewhere."""
    try:
        words = Path(f"/proc/{int(parent)}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return False
    return any(word.decode(errors="replace") in _GETTERS for word in words[:4])
