"""Fault points: a test names a step, and the daemon dies there as by `kill -9`."""

from __future__ import annotations

import os
import signal

_WANTED = os.environ.get("ALONGSIDE_FAULT", "")


def point(step: str, moment: str) -> None:
    """`moment` is `before` or `after`; ALONGSIDE_FAULT is `STEP:MOMENT`."""
    if f"{step}:{moment}" == _WANTED:
        os.kill(os.getpid(), signal.SIGKILL)
