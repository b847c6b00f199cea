"""What the verbs that only read have in common: --json, tables, and times."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar

import click

Json = dict[str, Any]
Function = TypeVar("Function", bound=Callable[..., Any])


def reading(function: Function) -> Function:
    """--json."""
    return click.option("--json", "as_json", is_flag=True, help="The API's own JSON.")(function)


def print_json(document: Json) -> None:
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], empty: str) -> None:
    """A table: drawn on a terminal, aligned columns off it."""
    if not rows:
        click.echo(empty)
    elif sys.stdout.isatty():
        _drawn(headings, rows)
    else:
        widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
        for row in (headings, *rows):
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            click.echo("  ".join(cells).rstrip())


def _drawn(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for heading in headings:
        drawn.add_column(heading, overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(cell, style=_style(cell)) for cell in row))
    Console(no_color="NO_COLOR" in os.environ or None).print(drawn)


_STYLES = {
    "running": "green",
    "done": "green",
    "exited": "yellow",
    "unhealthy": "red",
    "failed": "red",
    "interrupted": "yellow",
    "ok": "green",
    "warning": "yellow",
    "problem": "red",
    "unseen": "dim",
    "none": "dim",
    "-": "dim",
}


def _style(cell: str) -> str:
    return _STYLES.get(cell, "")


def when(iso: str | None) -> str:
    """A moment in the reader's own time zone."""
    if not iso:
        return "-"
    return datetime.fromisoformat(iso).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def local_ports(version: Json) -> str:
    """`20000 (53/udp, 53/tcp)`."""
    numbers: dict[int, list[str]] = {}
    for local in version["local_ports"]:
        numbers.setdefault(local["number"], []).append(f"{local['target']}/{local['protocol']}")
    return ", ".join(f"{number} ({', '.join(to)})" for number, to in numbers.items()) or "-"


def remark(service: Json, version: Json) -> str:  # noqa: PLR0911 - the first that holds
    """What a person should know of a version."""
    trial, former = service.get("trial"), version.get("former")
    if trial and trial["version"] == version["version"] and version["routed"]:
        return f"on trial until {clock(trial['until'])}"
    if version["bad"]:
        return "bad"
    the_one = version["current"] and service.get("workload") == "singleton"
    if the_one and version["state"] == "running":
        return "the one that runs"
    if the_one:
        return "is to run, and does not!"
    if version["routed"] and version["state"] != "running":
        return "has ports, and does not run!"
    if former and not former["drained"] and _left(version):
        return _draining(version, former)
    if version.get("image_state") == "gone" and version["state"] in ("none", "exited"):
        return "its image is gone"
    return "rollback goes here" if version["version"] == service["rollback_to"] else ""


def held(service: Json) -> str:
    """Why no new release is deployed by itself; empty where it is, or none would be."""
    hold = service.get("hold")
    if not hold:
        return ""
    return f"held by {hold['actor']}" + (f": {hold['message']}" if hold["message"] else "")


def _draining(version: Json, former: Json) -> str:
    until = f", cut at {clock(former['deadline'])}" if former["deadline"] else ""
    return f"drains: {_left(version)} left{until}"


def _left(version: Json) -> int:
    return int((version.get("connections") or {}).get("tcp", 0))


def clock(iso: str) -> str:
    """The time of day, in the reader's own time zone."""
    return datetime.fromisoformat(iso).astimezone().strftime("%H:%M:%S")


def problems(document: Json) -> None:
    for problem in document.get("problems", ()):
        click.echo(f"alongside: {problem}", err=True)
