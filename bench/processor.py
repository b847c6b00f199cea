"""Processor time: of one process, and of all that runs in some network namespaces.

The latter beside requests a second, because it says the same of a path and other work on the
machine hardly changes it. The kernel's own work on packets is in it: on veth pairs it is done in
the sender's time, and only what is put off to ksoftirqd is missed.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path


def seconds_of(pid: int) -> float:
    """Seconds that a process and its threads have run, those that have ended among them, to a
    hundredth; not the processes that it has started."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def processor_seconds(namespaces: Collection[int]) -> float:
    """Seconds that every thread of the processes that live in there now has run so far.
    `namespaces` are inode numbers (those of /run/netns/NAME)."""
    return sum(_run_time(entry) for entry in Path("/proc").iterdir() if _is_in(entry, namespaces))


def _is_in(process: Path, namespaces: Collection[int]) -> bool:
    if not process.name.isdigit():
        return False
    try:
        return (process / "ns/net").stat().st_ino in namespaces
    except OSError:
        return False  # it has ended


def _run_time(process: Path) -> float:
    try:
        # Nanoseconds on a processor, nanoseconds waiting for one, turns.
        texts = [file.read_text() for file in process.glob("task/*/schedstat")]
    except OSError:
        return 0.0
    return sum(int(text.split()[0]) for text in texts) / 1e9
