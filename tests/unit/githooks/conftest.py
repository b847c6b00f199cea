from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.git import Git, install
from support.stub import StubDaemon


@pytest.fixture
def git(tmp_path: Path) -> Iterator[Git]:
    """A repository with one commit and the hooks installed."""
    top = tmp_path / "app"
    top.mkdir()
    socket = tmp_path / "s"
    with StubDaemon(socket) as daemon:
        git = Git(top, daemon, socket)
        git("init", "--quiet", "--initial-branch=main")
        git.commit({"compose.yaml": "services: {app: {build: .}}\n"})
        install(git)
        yield git
