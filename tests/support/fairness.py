"""Whether a load lost anything that a version with the ports could have answered."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from support.load import Report


def assert_answered(report: Report, history: Iterable[Mapping[str, Any]]) -> None:
    """Nothing was lost, but by a version whose deploy failed, while that deploy went on: so long
    it may have had the ports. `history` as `alongside history --json` has it."""
    offset = time.time_ns() - time.monotonic_ns()
    spans = [
        (_nanoseconds(entry["at"]) - offset, _nanoseconds(entry["finished"]) - offset)
        for entry in history
        if (entry["verb"], entry["outcome"]) == ("deploy", "failed")
    ]
    for failure in report.failures:
        assert any(begin <= failure.started <= end for begin, end in spans), failure


def _nanoseconds(moment: str) -> int:
    return int(datetime.fromisoformat(moment).timestamp() * 1e9)
