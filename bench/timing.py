"""A whole command: how long it takes, and how much of that is work."""

from __future__ import annotations

import os
import resource
import subprocess
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Timing(NamedTuple):
    seconds: float
    processor: float  # seconds of the command and what it waited for; other work hardly counts
    output: str = ""  # what it wrote on standard output


def timed(
    argv: Sequence[str], environment: Mapping[str, str], cwd: str | os.PathLike[str] | None = None
) -> Timing:
    """Raises RuntimeError with the command's own words where it fails."""
    used, begun = children(), time.monotonic()
    done = subprocess.run(
        argv,
        env=environment,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    timing = Timing(time.monotonic() - begun, children() - used, done.stdout)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)}:\n{done.stdout}{done.stderr}")
    return timing


def children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
