"""Where things lie under the state folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from alongside.domain.instance import Instance
from alongside.domain.release import Release


@dataclass(frozen=True, slots=True)
class StatePaths:
    """
    state.db              routes wanted, addresses given out, releases, history
    trees/REPOSITORY/TREE a tag's tree as it was released, read-only, by git's name for it
    incoming/             trees that are being received; emptied at start
    archives/SERVICE/     images of releases that say `save: true`
    instances/PROJECT/    the override file of an instance
    shared/REPOSITORY/    files that git ignores and versions share: .env
    backups/              copies of state.db
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

    def trees(self) -> list[Path]:
        """Of all repositories, whether a release came of them or not."""
        return sorted((self.root / "trees").glob("*/*"))

    def shared(self, repository: str) -> Path:
        return self.root / "shared" / repository

    def tree(self, repository: str, tree: str) -> Path:
        return self.root / "trees" / repository / tree

    def archive(self, release: Release) -> Path:
        return self.root / "archives" / release.service / f"{release.version}.tar"

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
