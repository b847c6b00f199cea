"""Processes of this network namespace, by their name."""

from __future__ import annotations

from pathlib import Path


def named(name: str) -> list[int]:
    """Those of this very network namespace: another host's (a container's) are none of ours."""
    here = _network("self")
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            comm = (entry / "comm").read_text().strip()
        except OSError:  # it has ended
            continue
        if comm == name and here and _network(entry.name) == here:
            found.append(int(entry.name))
    return sorted(found)


def _network(pid: str) -> tuple[int, int] | None:
    try:
        one = Path(f"/proc/{pid}/ns/net").stat()
    except OSError:  # it has ended, or is not ours to look at
        return None
    return one.st_dev, one.st_ino
