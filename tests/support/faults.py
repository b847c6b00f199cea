"""Where the daemon can be killed (`STEP:MOMENT`), by what it is doing at the time.

A test holds these to the steps that there are: a new step is killed at, too.
"""

from __future__ import annotations


def _both(*steps: str) -> list[str]:
    return [f"{step}:{moment}" for step in steps for moment in ("before", "after")]


BUILD = _both("unpack", "build-image", "record-release")
UP = _both("allocate", "start", "await-ready")
UP_SHARED = _both("start-shared")
SWITCH = _both("await-ready", "record-routes", "switch", "clean-udp")
DEACTIVATE = _both("record-routes", "switch", "clean-udp")
STOP = _both("stop")
REMOVE = _both("remove", "forget")  # and then `switch`, as in DEACTIVATE
ASSIGN = _both("record-assignments", "switch", "clean-udp")
SINGLETON = _both(
    "allocate",
    "prepare-singleton",
    "record-singleton",
    "switch",
    "replace-singleton",
    "await-ready",
    "tidy-singleton",
)
DEPLOY = _both("load-image", "run-before", "open-trial")
BACK = _both("wake")  # to a paused standby
STANDBY = _both("pause")
GC = _both("remove-release")
ALL = {
    *BUILD,
    *UP,
    *UP_SHARED,
    *SWITCH,
    *DEACTIVATE,
    *STOP,
    *REMOVE,
    *ASSIGN,
    *SINGLETON,
    *DEPLOY,
    *BACK,
    *STANDBY,
    *GC,
}
