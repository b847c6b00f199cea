"""A tag's tree while its releases are built, and the folder that they run from afterwards."""

from __future__ import annotations

import errno
import itertools
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from alongside.daemon import trees
from alongside.daemon.manifest import is_as_unpacked, take_manifest, write_manifest
from alongside.daemon.paths import StatePaths
from alongside.daemon.threads import in_thread
from alongside.domain.errors import StepFailed
from alongside.host.reserve import shortage


@dataclass
class Unpacked:
    """Images are built in `folder`, which was just unpacked and which no container can have
    mounted. Releases run from a kept tree, which their containers may write to: a tree that is
    there already serves another tag only as long as it is as it was unpacked, and otherwise is
    left alone, with what was written there, and the tag has one of its own beside it.
    """

    folder: Path
    paths: StatePaths
    repository: str
    tree: str  # git's name
    kept: str = ""  # the kept tree's name, once there is one
    _manifest: dict[str, str] = field(default_factory=dict)

    async def seal(self) -> None:
        """Nothing is put there any more: it is looked at, and made read-only. Raises
        StepFailed."""
        await self._at_work(self._seal)

    async def keep(self, *, more: bool, expect: Callable[[Path], None]) -> str:
        """Have a kept tree on the disk; returns its name. `more`: further images are to be built
        in `folder`, which is given away otherwise. `expect` is told of a new one before it is
        there. Raises StepFailed."""
        if self.kept:
            return self.kept
        name, there = await in_thread(self._choose)
        tree = self.paths.tree(self.repository, name)
        if not there:
            expect(tree)
        await self._at_work(partial(self._keep, tree, more))
        self.kept = name
        return name

    async def _at_work(self, work: Callable[[], None]) -> None:
        try:
            await in_thread(work)
        except OSError as error:
            raise StepFailed(
                f"The tree could not be kept: {error.strerror}.",
                hint=f"Look at the free space of {self.paths.root}.",
            ) from error

    def _seal(self) -> None:
        trees.seal(self.folder)
        self._manifest = take_manifest(self.folder)

    def _choose(self) -> tuple[str, bool]:
        """The kept tree's name, and whether it is there and as it was unpacked."""
        for name in self._names():
            tree = self.paths.tree(self.repository, name)
            if not tree.exists():
                return name, False
            if is_as_unpacked(tree, self._manifest):
                return name, True
        raise AssertionError("there is always one more name")

    def _keep(self, tree: Path, more: bool) -> None:
        write_manifest(tree, self._manifest)  # an older alongside wrote none
        if not tree.exists():
            trees.keep(self._copy() if more else self.folder, tree)

    def _names(self) -> Iterator[str]:
        yield self.tree
        for number in itertools.count(2):
            yield f"{self.tree}-{number}"

    def _copy(self) -> Path:
        """A second one, for it to be kept: from then on containers can write to it."""
        size = sum(path.lstat().st_size for path in self.folder.rglob("*"))
        if short := shortage(self.paths.incoming, size):
            raise OSError(errno.ENOSPC, short)
        copy = Path(tempfile.mkdtemp(dir=self.paths.incoming))
        try:
            shutil.copytree(self.folder, copy, symlinks=True, dirs_exist_ok=True)
        except BaseException:
            trees.discard(copy)
            raise
        return copy
