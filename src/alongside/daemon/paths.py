"""Where things lie under the state folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from alongside.domain.instance import Instance
from alongside.domain.release import Release
from alongside.domain.version import Version


@dataclass(frozen=True, slots=True)
class StatePaths:
    """
    state.db              routes wanted, addresses given out, releases, history
    trees/REPOSITORY/TREE a tag's tree as it was released, read-only, by git's name for it; TREE-2
                          and so on for later tags of the tree, once containers wrote to the first
    manifests/REPOSITORY/TREE what the tree of that name was when it was unpacked
    incoming/             trees that are being received, or removed; emptied at start
    archives/SERVICE/     images of releases that say `save: true`
    instances/PROJECT/    the override file of an instance
    shared/REPOSITORY/    files that git ignores and versions share: .env
    services/REPOSITORY/  what shared services mount, and what they have written there
    backups/              copies of state.db
    reserve               space that a rollback may use
    """

    root: Path

    @property
    def database(self) -> Path:
        return self.root / "state.db"

    @property
    def lock(self) -> Path:
        return self.root / "daemon.lock"

    @property
    def incoming(self) -> Path:
        return self.root / "incoming"

    @property
    def backups(self) -> Path:
        return self.root / "backups"

    def all_trees(self) -> list[Path]:
        """Of all repositories, whether a release came of them or not."""
        return sorted((self.root / "trees").glob("*/*"))

    def shared(self, repository: str) -> Path:
        return self.root / "shared" / repository

    def tree(self, repository: str, tree: str) -> Path:
        return self.root / "trees" / repository / tree

    def trees(self, repository: str) -> Path:
        return self.root / "trees" / repository

    def services(self, repository: str) -> Path:
        return self.root / "services" / repository

    def archive(self, release: Release) -> Path:
        return self.archive_of(release.service, release.version)

    def archive_of(self, service: str, version: Version) -> Path:
        return self.root / "archives" / service / f"{version}.tar"

    def compose_file(self, release: Release) -> Path:
        return self.tree(release.repository, release.tree) / release.compose_file

    def instance(self, instance: Instance) -> Path:
        return self.root / "instances" / instance.project

    def project(self, name: str) -> Path:
        return self.root / "instances" / name

    def make(self) -> None:
        """Make the folders that are missing. They hold secrets of the repositories: nobody else
        reads them. Raises OSError."""
        self.root.mkdir(parents=True, exist_ok=True)
        if self.root.stat().st_mode & 0o777 != 0o700:
            self.root.chmod(0o700)
        for name in ("trees", "incoming", "instances", "shared"):
            (self.root / name).mkdir(exist_ok=True)
