"""Releases: a service at a version, immutable."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from alongside.domain.service import Service
from alongside.domain.version import Version


@dataclass(frozen=True, slots=True)
class Release:
    """What was built once and never changes.

    `commit` is git's name for it; `image_id` is the engine's content address (`sha256:…`), and an
    image whose ID no longer matches is refused.
    """

    service: str
    version: Version
    repository: str  # name of the repository, for people and for shared files
    source: str  # where it was built from: a remote's URL or a path
    commit: str
    tree: str  # of its kept tree: git's name, with a number behind it where there are several
    image: str  # repo/dns:1.0.0, or our own name for it where that one is another image's
    image_id: str
    compose_file: str  # relative to the release tree
    created: datetime
    spec: Service  # as it stood at that tag

    @property
    def reference(self) -> str:
        return f"{self.service}@{self.version}"

    @property
    def git_tree(self) -> str:
        """Git's name for the tree that it was built from."""
        return self.tree.partition("-")[0]
