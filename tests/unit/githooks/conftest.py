from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.git import Git, install
from support.stub import StubDaemon


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[Git]:
    """A repository with one commit, and without the hooks."""
    top = tmp_path / "app"
    top.mkdir()
    socket = tmp_path / "s"
    with StubDaemon(socket) as daemon:
        git = Git(top, daemon, socket)
        git("init", "--quiet", "--initial-branch=main")
        git.commit({"compose.yaml": "services: {app: {build: .}}\n"})
        yield git


@pytest.fixture
def git(plain: Git) -> Git:
    """The same with the hooks installed."""
    install(plain)
    return plain


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Where hooks write that they ran."""
    path = tmp_path / "log"
    path.touch()
    return path
