"""The git command, its environment cleared of what a hook or an editor left in it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from alongside.domain.errors import AlongsideError, MissingRequirement


class GitFailed(AlongsideError):
    """git refused. Its own words are the message's end."""

    code = "git-failed"


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without any GIT_ variable: inside a hook they point at the
    index, object store and repository of the command that runs it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return {**kept, "LC_ALL": "C", **(extra or {})}


def git(
    *arguments: str,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    check: bool = True,
) -> str:
    """Run; returns standard output. Raises GitFailed where `check` and the status is not 0."""
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=cwd,
            env=environment() if env is None else dict(env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise MissingRequirement("There is no git.", hint="Install the package git.") from error
    if check and done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()
        raise GitFailed(
            f"git {arguments[0]} failed: {said.removeprefix('fatal: ') or done.returncode}",
            hint="git config --global --add safe.directory PATH, if the repository is yours to "
            "read but another user's."
            if "safe.directory" in said
            else "",
        )
    return done.stdout.decode(errors="surrogateescape")
