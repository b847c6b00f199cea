"""(f) What the daemon costs when nothing is asked of it: memory, and processor time."""

from __future__ import annotations

import re
import time
from pathlib import Path

from bench.processor import seconds_of
from bench.results import Aim
from bench.stage import Stage

PART = "daemon, idle"


def run(stage: Stage) -> None:
    daemon = stage.alongside.process
    assert daemon is not None
    stage.say(f"daemon: watched for {stage.size.idle:.0f} s")
    before, begun = seconds_of(daemon.pid), time.monotonic()
    time.sleep(stage.size.idle)
    used = seconds_of(daemon.pid) - before
    share = used / (time.monotonic() - begun)
    rss, pss = _memory(daemon.pid)
    add = stage.results.add
    add(PART, "resident memory (RSS)", rss / 1e6, "MB", aim=Aim("<", 90))
    add(PART, "its own share (PSS)", pss / 1e6, "MB")
    add(PART, "processor", share * 100, "% of a core", note=f"over {stage.size.idle:.0f} s")
    stage.results.raw[PART] = {"rss": rss, "pss": pss, "processor_seconds": used}


def _memory(pid: int) -> tuple[int, int]:
    """RSS and PSS in bytes."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = dict(re.findall(r"^(Rss|Pss):\s+(\d+) kB", text, re.MULTILINE))
    return int(found["Rss"]) * 1024, int(found["Pss"]) * 1024
