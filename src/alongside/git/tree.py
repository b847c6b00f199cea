"""A commit's tree as a tar file.

Not `git archive`: export-ignore and export-subst change what it packs. What is wanted is what a
check-out would have, so it is one, with an index and a folder of its own: the person's index and
work tree are never touched, and bare repositories and linked work trees are no special case.
"""

from __future__ import annotations

import os
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from alongside.domain.errors import InvalidInput
from alongside.git.command import environment, git

_LFS_POINTER = b"version https://git-lfs.github.com/spec/v1"
_SUBMODULE = "160000"


@contextmanager
def tree_archive(git_dir: Path, commit: str, time: int) -> Iterator[BinaryIO]:
    """The tar of a commit's tree; the same commit gives the same bytes. `time` is every file's
    modification time, in seconds: a build cache goes by it."""
    with tempfile.TemporaryDirectory(prefix="alongside-") as folder:
        tree = Path(folder, "tree")
        tree.mkdir()
        env = environment({"GIT_DIR": str(git_dir), "GIT_INDEX_FILE": str(Path(folder, "index"))})
        git("read-tree", f"{commit}^{{tree}}", env=env)
        _refuse_submodules(env)
        git(
            "-c",
            "core.bare=false",
            "-c",
            "checkout.workers=0",  # one a core, from 100 files on
            f"--work-tree={tree}",
            "checkout-index",
            "--all",
            "--force",
            cwd=tree,
            env=env,
        )
        _refuse_pointers(tree)
        with Path(folder, "tree.tar").open("w+b") as file:
            _pack(tree, file, time)
            file.seek(0)
            yield file


def _refuse_submodules(env: dict[str, str]) -> None:
    staged = git("ls-files", "--stage", "-z", env=env).split("\0")
    found = [entry.partition("\t")[2] for entry in staged if entry.startswith(_SUBMODULE)]
    if found:
        raise InvalidInput(
            f"The tag has submodules ({', '.join(found)}), and their trees are not in it.",
            hint="Put what is to be built into the repository itself (git subtree), or have the "
            "Dockerfile fetch it at a fixed commit.",
        )


def _refuse_pointers(tree: Path) -> None:
    """LFS files arrive whole where git-lfs is installed and has them; else as pointers."""
    attributes = [name for name in _files(tree) if name.rpartition("/")[2] == ".gitattributes"]
    if not any(
        "filter=lfs" in Path(tree, name).read_text("utf-8", "replace") for name in attributes
    ):
        return
    pointers = [
        name
        for name in _files(tree)
        if not Path(tree, name).is_symlink()
        and Path(tree, name).stat().st_size < 1024
        and Path(tree, name).read_bytes().startswith(_LFS_POINTER)
    ]
    if pointers:
        raise InvalidInput(
            f"{len(pointers)} files are LFS pointers, not the files themselves: "
            f"{', '.join(pointers[:5])}{', …' if len(pointers) > 5 else ''}.",
            hint="Install git-lfs and run `git lfs pull` here, then build again.",
        )


def _files(tree: Path) -> Iterator[str]:
    """Every file and link, in the order of their names, as paths from the top."""
    for folder, folders, names in os.walk(tree):
        folders.sort()
        links = [name for name in folders if Path(folder, name).is_symlink()]
        for name in sorted([*names, *links]):
            yield os.path.relpath(os.path.join(folder, name), tree)  # noqa: PTH118


def _pack(tree: Path, file: BinaryIO, time: int) -> None:
    def plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
        info.uid = info.gid = 0
        info.uname = info.gname = ""
        info.mtime = time
        info.mode = 0o755 if info.mode & 0o100 else 0o644
        return info

    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in _files(tree):
            tar.add(tree / name, arcname=name, recursive=False, filter=plain)
