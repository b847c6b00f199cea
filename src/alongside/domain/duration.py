"""Durations as people write them."""

from __future__ import annotations

import re

from alongside.domain.errors import InvalidInput

_FORM = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?(?:(\d+)ms)?")
_UNITS = (86400.0, 3600.0, 60.0, 1.0, 0.001)  # seconds


def parse_duration(text: str) -> float:
    """Seconds: `90`, Compose's own `1m30s`, days as in `30d`, or `none`. Raises InvalidInput."""
    if text == "none":
        return 0.0
    match = _FORM.fullmatch(text) if text else None
    if match is not None:
        parts = zip(match.groups(), _UNITS, strict=True)
        return sum(float(part) * unit for part, unit in parts if part is not None)
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise InvalidInput(f"{text!r} is no duration.", hint="Write 90, 30s, 1m30s, 2h or 30d.")
    return seconds
