"""Who has what mounted: asked before anything is removed that a container may have."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from alongside.engine.protocol import Container

LABEL_PROJECT = "com.docker.compose.project"

_Key = str | tuple[int, int]


class Mounted:
    """What `containers`, running or not, mount of a folder `root` and of what is below it.

    A container that mounts what `root` itself is in (the host's `/`, for a backup or for metrics)
    looks at the host, and holds nothing. A path is known by its name, by where its links lead,
    and by what it is (device and inode), so that a link, a second name or a bind mount of the
    host's own hides nothing.
    """

    def __init__(self, root: Path, containers: Iterable[Container]) -> None:
        top = _keys(root)
        self._mounts: list[tuple[Container, Path, frozenset[_Key], frozenset[_Key]]] = []
        for container in containers:
            for mount in container.mounts:
                source = Path(mount.source)
                if mount.source and top & (chain := _chain(source)):
                    self._mounts.append((container, source, _keys(source), chain))

    def by(self, path: Path, *, beside: str = "") -> list[Container]:
        """The containers that mount the path, something below it, or a folder that it is in;
        each once. `beside`: but for those of this Compose project."""
        own, chain = _keys(path), _chain(path)
        found = {
            container.id: container
            for container, _, keys, above in self._mounts
            if (own & above or keys & chain)
            and (not beside or container.labels.get(LABEL_PROJECT) != beside)
        }
        return sorted(found.values(), key=lambda one: one.name)

    def sources(self) -> list[tuple[Container, Path]]:
        """All that is mounted, by whom."""
        return [(container, source) for container, source, _, _ in self._mounts]


def names(containers: Iterable[Container]) -> str:
    """`the container a`, `the containers a, b`."""
    found = [one.name for one in containers]
    return f"the container{'s' if len(found) > 1 else ''} {', '.join(found)}"


def _keys(path: Path) -> frozenset[_Key]:
    found: set[_Key] = {os.path.normpath(path), os.path.realpath(path)}
    try:
        status = path.stat()
    except OSError:
        return frozenset(found)  # it is not there; its name says enough
    return frozenset({*found, (status.st_dev, status.st_ino)})


def _chain(path: Path) -> frozenset[_Key]:
    """The path's own keys, and those of every folder that it is in."""
    found: set[_Key] = set()
    for start in (Path(os.path.normpath(path)), Path(os.path.realpath(path))):
        for one in (start, *start.parents):
            found |= _keys(one)
    return frozenset(found)
