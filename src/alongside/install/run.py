"""Programs of the host's, run to their end."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence

from alongside.domain.errors import MissingRequirement, StepFailed


def run(
    *command: str, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Whatever its exit status. Raises MissingRequirement where there is no such program."""
    try:
        return subprocess.run(
            command,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise MissingRequirement(f"The command {command[0]} is not there.") from error


def must(*command: str, environment: Mapping[str, str] | None = None, hint: str = "") -> str:
    """Its standard output. Raises StepFailed with its own words."""
    done = run(*command, environment=environment)
    if done.returncode != 0:
        said = _lines(done.stderr) or _lines(done.stdout) or ["it said nothing"]
        raise StepFailed(f"`{_short(command)}` failed: {said[-1]}", hint=hint, log=said[:-1])
    return done.stdout


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines() if line.strip()]


def _short(command: Sequence[str]) -> str:
    text = " ".join(command)
    return text if len(text) <= 100 else f"{text[:97]}…"
