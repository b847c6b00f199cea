"""Sizes for people."""

from __future__ import annotations

_UNITS = ("bytes", "kB", "MB", "GB", "TB")


def size_text(count: int) -> str:
    """`43.1 MB`: powers of 1,000, as `docker images` has them."""
    size, unit = float(count), 0
    while size >= 999.5 and unit < len(_UNITS) - 1:
        size, unit = size / 1000, unit + 1
    digits = 0 if not unit or size >= 99.95 else 1
    return f"{size:.{digits}f} {_UNITS[unit]}"
