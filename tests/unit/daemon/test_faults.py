"""The daemon is killed at every step that there is (tests/host), before it and after."""

from __future__ import annotations

import re
from pathlib import Path

from alongside.daemon.verbs import build
from alongside.plan import steps
from support import faults

HOST = Path(__file__).resolve().parents[2] / "host"


def test_every_step_is_killed_at() -> None:
    kinds = [one for one in vars(steps).values() if isinstance(one, type)]
    planned = {one.name for one in kinds if isinstance(getattr(one, "name", None), str)}
    of_builds = set(re.findall(r'faults\.point\("([\w-]+)"', Path(build.__file__).read_text()))
    assert {"allocate", "switch", "forget"} <= planned
    wanted = {f"{step}:{moment}" for step in planned | of_builds for moment in ("before", "after")}
    assert wanted == faults.ALL


def test_every_list_of_them_is_used() -> None:
    text = "".join(path.read_text() for path in HOST.glob("test_*.py"))
    lists = [name for name in vars(faults) if name.isupper() and name != "ALL"]
    assert lists
    assert [name for name in lists if f"faults.{name})" not in text] == []
