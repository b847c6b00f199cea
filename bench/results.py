"""Figures, the aims beside them, and where they are written."""

from __future__ import annotations

import json
import operator
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "=": operator.eq,
    "<": operator.lt,
    "≤": operator.le,
    "≥": operator.ge,
    ">": operator.gt,
}


@dataclass(frozen=True, slots=True)
class Aim:
    """`Aim("≥", 0.97)`: what the figure should be."""

    comparison: str
    bound: float

    def met(self, value: float) -> bool:
        return _COMPARISONS[self.comparison](value, self.bound)

    def __str__(self) -> str:
        return f"{self.comparison} {_number(self.bound)}"


@dataclass(frozen=True, slots=True)
class Figure:
    part: str
    what: str
    value: float
    unit: str = ""
    aim: Aim | None = None
    note: str = ""

    @property
    def shown(self) -> str:
        return f"{_number(self.value)} {self.unit}".strip()

    @property
    def verdict(self) -> str:
        if self.aim is None:
            return ""
        return "met" if self.aim.met(self.value) else "MISSED"


@dataclass(slots=True)
class Results:
    """What the parts found. `raw` holds every single measurement, by part."""

    machine: dict[str, Any]
    figures: list[Figure] = field(default_factory=list)
    raw: dict[str, Any] = field(default_factory=dict)

    def add(
        self,
        part: str,
        what: str,
        value: float,
        unit: str = "",
        *,
        aim: Aim | None = None,
        note: str = "",
    ) -> None:
        self.figures.append(Figure(part, what, value, unit, aim, note))

    def table(self) -> str:
        """As Markdown: it is read on a terminal and pasted into the documentation."""
        rows: list[tuple[str, ...]] = [("", "what", "figure", "aim", "verdict", "")]
        part = ""
        for one in self.figures:
            named = one.part if one.part != part else ""
            aim = str(one.aim or "")
            rows.append((named, one.what, one.shown, aim, one.verdict, one.note))
            part = one.part
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        rows.insert(1, tuple("-" * width for width in widths))
        lines = (
            " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            for row in rows
        )
        return "\n".join(f"| {line} |" for line in lines)

    def write(self, folder: Path) -> Path:
        folder.mkdir(exist_ok=True)
        path = folder / f"{datetime.now():%Y-%m-%d-%H%M%S}.json"
        document = {
            "machine": self.machine,
            "figures": [{**asdict(one), "verdict": one.verdict} for one in self.figures],
            "raw": self.raw,
        }
        new = path.with_suffix(".new")
        new.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
        new.replace(path)
        return path


def _number(value: float) -> str:
    """Three figures, or all of a whole number."""
    if float(value).is_integer():
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def ratio(first: list[float], second: list[float]) -> float:
    """The median of the pairs' ratios: each pair was measured together, in the same noise."""
    return median(a / b for a, b in zip(first, second, strict=True))
