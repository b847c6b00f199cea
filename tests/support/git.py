"""git as its user types it, with the hooks installed and a daemon that only listens."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from support.stub import StubDaemon


@dataclass
class Git:
    """git as its user types it, with a daemon that only listens."""

    path: Path
    daemon: StubDaemon
    socket: Path

    def __call__(self, *arguments: str, check: bool = True, **env: str) -> str:
        """Standard output and error together; `check` False is for what should fail."""
        done = self.run(*arguments, **env)
        if check:
            assert done.returncode == 0, done.stdout
        else:
            assert done.returncode != 0, done.stdout
        return done.stdout

    def run(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["git", *arguments],
            cwd=self.path,
            env=_environment(self.socket) | env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    def alongside(self, *arguments: str, check: bool = True) -> str:
        return self.program(sys.executable, "-m", "alongside", *arguments, check=check)

    def program(self, *command: str, check: bool = True, **env: str) -> str:
        """What a command says in the repository; `check` False is for what should fail."""
        done = subprocess.run(
            command,
            cwd=self.path,
            env=_environment(self.socket) | env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert (done.returncode == 0) == check, done.stdout
        return done.stdout

    def commit(self, files: dict[str, str] | None = None) -> str:
        for name, text in (files or {}).items():
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self("add", "--all")
        self("commit", "--quiet", "--allow-empty", "--message", "a commit")
        return self("rev-parse", "HEAD").strip()

    def script(self, name: str, text: str) -> Path:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return path

    def at(self, path: Path) -> Git:
        return Git(path, self.daemon, self.socket)

    @property
    def tags(self) -> list[str]:
        return self("tag", "--list").split()

    @property
    def built(self) -> list[str]:
        return [one.query["tag"] for one in self.daemon.built]


def _environment(socket: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return kept | {
        "ALONGSIDE_SOCKET": str(socket),
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "a",
        "GIT_AUTHOR_EMAIL": "a@example.test",
        "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@example.test",
        "LC_ALL": "C",
    }


def install(git: Git, **env: str) -> None:
    """What `alongside init` does to a repository, without a compose file to check."""
    program = (
        "import os; from alongside.git import Repository; from alongside import githooks; "
        "print(*githooks.install(Repository.discover(), os.environ['ALONGSIDE_SOCKET']))"
    )
    subprocess.run(
        [sys.executable, "-c", program],
        cwd=git.path,
        env=_environment(git.socket) | env,
        check=True,
    )
