"""A repository: its name, its tags, and the tree of a tag."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit, urlunsplit

from alongside.domain.errors import InvalidInput, NotFound
from alongside.domain.nearest import nearest
from alongside.git.command import GitFailed, environment, git


@dataclass(frozen=True, slots=True)
class TagSource:
    """What a tag stands for. `commit` and `tree` are git object names, `commit_time` seconds."""

    tag: str
    commit: str
    tree: str
    commit_time: int
    repository: str
    source: str


@dataclass(frozen=True, slots=True)
class Repository:
    """`git_dir` is this work tree's, `common_dir` the one that linked work trees share. `top` is
    None in a bare repository."""

    git_dir: Path
    common_dir: Path
    top: Path | None

    @classmethod
    def discover(cls, path: Path | None = None, *, in_hook: bool = False) -> Repository:
        """The repository around a folder. In a hook git says by GIT_DIR which one it is.

        Raises NotFound, and GitFailed in git's words.
        """
        env = dict(os.environ) if in_hook else environment()
        for name in ("GIT_INDEX_FILE", "GIT_PREFIX"):
            env.pop(name, None)
        try:
            said = git(
                "rev-parse",
                "--path-format=absolute",
                "--git-dir",
                "--git-common-dir",
                "--is-bare-repository",
                "--is-inside-work-tree",
                cwd=path,
                env=env,
            ).splitlines()
        except GitFailed as error:
            if "not a git repository" not in error.message:
                raise
            raise NotFound(
                f"{(path or Path.cwd()).resolve()} is not in a git repository.",
                hint="Go to the repository of the compose file, or make one: git init.",
            ) from None
        top = None
        if said[2] == "false" and said[3] == "true":
            top = Path(
                git(
                    "rev-parse", "--path-format=absolute", "--show-toplevel", cwd=path, env=env
                ).rstrip("\n")
            )
        return cls(Path(said[0]), Path(said[1]), top)

    @property
    def bare(self) -> bool:
        return self.run("rev-parse", "--is-bare-repository").strip() == "true"

    def run(self, *arguments: str, check: bool = True) -> str:
        """git in this repository, whatever the environment says."""
        return git(*arguments, env=environment({"GIT_DIR": str(self.git_dir)}), check=check)

    @property
    def origin(self) -> str:
        """The URL of the remote `origin` without a password; "" if there is none."""
        url = self.run("config", "--get", "remote.origin.url", check=False).strip()
        parts = urlsplit(url)
        if parts.scheme and parts.hostname:
            host = parts.hostname + (f":{parts.port}" if parts.port else "")
            return urlunsplit((parts.scheme, host, parts.path, "", ""))
        return os.path.normpath(url) if url.startswith("/") else url

    @property
    def source(self) -> str:
        """Where it comes from, for people and for the image's label."""
        return self.origin or str(self.top or self.common_dir)

    @property
    def name(self) -> str:
        """Its name for people and for shared files: `git config alongside.name`, else the last
        part of where it comes from."""
        said = self.run("config", "--local", "--get", "alongside.name", check=False).strip()
        where = (
            said or self.origin or str(self.common_dir if self.top is None else self._main_top())
        )
        last = re.split(r"[/:]", where.rstrip("/"))[-1].removesuffix(".git")
        return re.sub(r"[^A-Za-z0-9._-]+", "-", last).strip(".-") or "repository"

    def _main_top(self) -> Path:
        """The main work tree's top, also in a linked one: all of them are one repository."""
        return self.common_dir.parent if self.common_dir.name == ".git" else self.common_dir

    def has(self, commit: str) -> bool:
        """Whether the commit is one of this repository's."""
        peeled = f"{commit}^{{commit}}"
        return bool(self.run("rev-parse", "--verify", "--quiet", peeled, check=False))

    def resolve_tag(self, tag: str) -> TagSource:
        """Raises NotFound with the nearest tags, InvalidInput for a tag of something else than
        a commit."""
        ref = f"refs/tags/{tag}"
        if not self.run("rev-parse", "--verify", "--quiet", ref, check=False):
            raise NotFound(
                f"There is no tag {tag!r} in {self.name}.",
                hint=nearest(tag, self.run("tag", "--list").split(), what="tags are"),
            )
        commit = self.run("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}", check=False)
        if not commit:
            raise InvalidInput(f"The tag {tag} is not of a commit, so there is no tree to build.")
        tree, time = self.run(
            "show", "--no-patch", "--no-show-signature", "--format=%T %ct", commit.strip()
        ).split()
        return TagSource(tag, commit.strip(), tree, int(time), self.name, self.source)

    def tags_at_head(self) -> list[str]:
        return self.run("tag", "--points-at", "HEAD", check=False).split()

    @contextmanager
    def tree_archive(self, source: TagSource) -> Iterator[BinaryIO]:
        """The tag's exact tree as a tar file, for as long as the block lasts.

        Raises InvalidInput for submodules and for LFS files that are only pointers.
        """
        # Hooks run this module at every tag, and few of them pack a tree.
        from alongside.git.tree import tree_archive  # noqa: PLC0415

        with tree_archive(self.git_dir, source.commit, source.commit_time) as file:
            yield file
