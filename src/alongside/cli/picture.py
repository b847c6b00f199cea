"""The status as a picture: ports at the left, and a lane for each version.

Pure: a document of the API, a width and a moment make lines. How they come to a terminal is in
`watching`.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from alongside.cli import wires
from alongside.cli.reading import held, local_ports, remark

Json = dict[str, Any]

LANES = 3  # of the newest versions, whether or not they run
_LOWEST = 20  # columns; narrower ones are drawn as if they were this wide, and cut


class Piece(NamedTuple):
    """Some text, and how it looks: "", or words that rich has for it."""

    text: str
    style: str = ""


Line = tuple[Piece, ...]


class Cell(NamedTuple):
    """`short` is for where the text is too long; None is itself."""

    text: str
    style: str = ""
    short: str | None = None


@dataclass(frozen=True, slots=True)
class _Form:
    """How much is shown. The first form that fits in the width is taken."""

    columns: frozenset[str]
    short: frozenset[str] = frozenset()  # those of them whose cells are in their short form
    tight: bool = False  # little room between ports and lanes
    ports: int = 60  # characters of a port
    versions: int = 60  # and of a version's name


@dataclass(frozen=True, slots=True)
class _Service:
    """One service with its lanes, and their cells by column."""

    document: Json
    shown: Sequence[Json]
    cells: Mapping[str, Sequence[Cell]]

    def wires(self, form: _Form, ascii_only: bool, width: int = 0) -> tuple[list[str], int]:
        lanes = {version["version"]: number for number, version in enumerate(self.shown)}
        bundles: dict[tuple[tuple[int, str], ...], list[str]] = {}
        for port in self.document["ports"]:
            total = sum(share["weight"] for share in port["split"])
            ends = tuple(
                (lanes[share["version"]], _part(share["weight"], total))
                for share in port["split"]
                if share["version"] in lanes
            )
            bundles.setdefault(ends, []).append(port["port"])
        drawn = [
            wires.Bundle(
                [_head(port, form.ports, ascii_only) for port in _ranges(ports)], dict(ends)
            )
            for ends, ports in bundles.items()
        ]
        count = len(self.shown)
        return wires.draw(drawn, count, ascii_only=ascii_only, tight=form.tight, width=width)


def picture(document: Json, width: int, now: datetime, *, ascii_only: bool = False) -> list[Line]:
    """Lines of at most `width` characters."""
    width = max(width, _LOWEST)
    services = [_prepared(service, now) for service in document["services"]]
    lines: list[Line] = []
    if services:
        for form in _FORMS:
            left = max(len(one.wires(form, ascii_only)[0][0]) for one in services)
            columns = _columns(services, form, ascii_only)
            marks = 2
            if 2 + left + 1 + marks + sum(columns.values()) + 2 * (len(columns) - 1) <= width:
                break
        for service in services:
            lines.append(_heading(service.document))
            lines += _lanes(service, form, left, columns, ascii_only)
            lines.append(())
    else:
        lines = [(Piece("Nothing is released yet: git tag 1.0.0 after alongside init."),), ()]
    for problem in document["problems"]:
        lines += [(Piece(line, "yellow"),) for line in textwrap.wrap(f"! {problem}", width)]
    while lines and not lines[-1]:
        lines.pop()
    return [cut(line, width, ascii_only=ascii_only) for line in lines]


def cut(line: Line, width: int, *, ascii_only: bool = False) -> Line:
    """The line, its end replaced by a mark where it is too long."""
    if sum(len(piece.text) for piece in line) <= width:
        return line
    kept: list[Piece] = []
    left = width - 1
    for piece in line:
        kept.append(piece._replace(text=piece.text[:left]))
        left -= len(piece.text)
        if left <= 0:
            break
    return (*kept, Piece("~" if ascii_only else "…", "dim"))


def _heading(service: Json) -> Line:
    workload = "" if service.get("workload", "switched") == "switched" else service["workload"]
    doing = [
        ": ".join(filter(None, (f"{one['verb']} {one['to']}".strip(), one["step"])))
        for one in service.get("doing", ())
    ]
    return (
        Piece(service["name"], "bold"),
        *((Piece(f"  {workload}", "dim"),) if workload else ()),
        *((Piece(f"  {why}", "yellow"),) if (why := held(service)) else ()),
        *(Piece(f"  {one}", "cyan") for one in doing),
    )


def _prepared(service: Json, now: datetime) -> _Service:
    shown = _shown(service)
    cells = {
        name: [column(service, version, now) for version in shown]
        for name, column in _COLUMNS.items()
    }
    return _Service(service, shown, cells)


def _columns(services: Sequence[_Service], form: _Form, ascii_only: bool) -> dict[str, int]:
    """The columns that have anything in them, as wide as all services need them."""
    widths = {
        name: max(
            (
                len(_text(name, cell, form, ascii_only))
                for service in services
                for cell in service.cells[name]
            ),
            default=0,
        )
        for name in _COLUMNS
        if name in form.columns
    }
    return {name: width for name, width in widths.items() if width}


def _lanes(
    service: _Service, form: _Form, left: int, columns: Mapping[str, int], ascii_only: bool
) -> list[Line]:
    rows, first = service.wires(form, ascii_only, left)
    lines: list[Line] = []
    for number, row in enumerate(rows):
        pieces = [Piece(f"  {row} ")]
        if 0 <= number - first < len(service.shown):
            pieces += _lane(service, number - first, form, columns, ascii_only)
        lines.append(_stripped(pieces))
    if hidden := len(service.document["versions"]) - len(service.shown):
        more = f"{hidden} more that {'does' if hidden == 1 else 'do'} not run"
        lines.append((Piece(f"  {'':<{left}} {more}", "dim"),))
    return lines


def _lane(
    service: _Service, number: int, form: _Form, columns: Mapping[str, int], ascii_only: bool
) -> Iterator[Piece]:
    cells = service.cells
    yield _mark(cells["state"][number], cells["remark"][number].short == _DOWN, ascii_only)
    for name, width in columns.items():
        cell = cells[name][number]
        text = _text(name, cell, form, ascii_only)
        yield Piece(f"{text:<{width}}  ", cell.style)


def _mark(state: Cell, down: bool, ascii_only: bool) -> Piece:
    """The state in one character, for those who see no colours or no column of it."""
    if down:
        return Piece("! ", "red")
    shapes = _SHAPES.get(state.text, "○o")
    return Piece(f"{shapes[ascii_only]} ", state.style)


def _text(name: str, cell: Cell, form: _Form, ascii_only: bool) -> str:
    """Of a version's without the mark that stands before it."""
    if name == "version":
        return _middle(cell.text, form.versions, ascii_only)
    return cell.text if cell.short is None or name not in form.short else cell.short


def _stripped(pieces: list[Piece]) -> Line:
    """Without blanks at the end."""
    while pieces and not pieces[-1].text.rstrip():
        pieces.pop()
    if pieces:
        pieces[-1] = pieces[-1]._replace(text=pieces[-1].text.rstrip())
    return tuple(pieces)


def _part(weight: int, total: int) -> str:
    return "" if weight == total else f"{weight * 100 / total:.3g}%"


def _ranges(ports: Sequence[str]) -> list[str]:
    """7000/tcp, 7001/tcp, 7002/tcp as 7000-7002/tcp."""
    found: list[tuple[str, int, int, str]] = []
    for port in ports:
        rest, _, protocol = port.rpartition("/")
        address, colon, number = rest.rpartition(":")
        last = found[-1] if found else None
        if (
            last
            and (last[0], last[3]) == (address + colon, protocol)
            and last[2] + 1 == int(number)
        ):
            found[-1] = (*last[:2], int(number), protocol)
        else:
            found.append((address + colon, int(number), int(number), protocol))
    return [
        f"{address}{first}{'' if first == last else f'-{last}'}/{protocol}"
        for address, first, last, protocol in found
    ]


def _shown(service: Json) -> list[Json]:
    """The versions that have a lane: what runs, what has ports or may get them, the newest."""
    return [
        version
        for number, version in enumerate(service["versions"])
        if number < LANES
        or version["routed"]
        or version["current"]
        or version["state"] not in ("none", "exited")
        or version["version"] == service["rollback_to"]
    ]


def _head(text: str, longest: int, ascii_only: bool) -> str:
    return text if len(text) <= longest else text[: longest - 1] + ("~" if ascii_only else "…")


def _middle(text: str, longest: int, ascii_only: bool) -> str:
    """What differs between versions is at their ends."""
    if len(text) <= longest:
        return text
    tail = longest // 2
    return text[: longest - tail - 1] + ("~" if ascii_only else "…") + text[-tail:]


# -- columns: a further one is a function here, a line in _COLUMNS, and its place in _FORMS ------


def _version(_: Json, version: Json, __: datetime) -> Cell:
    up = version["state"] in _UP
    return Cell(version["version"], "bold" if version["routed"] else "" if up else "dim")


def _state(_: Json, version: Json, __: datetime) -> Cell:
    state = version.get("health") or version["state"]
    return Cell("-" if state == "none" else state, _STYLES.get(state, ""))


def _age(_: Json, version: Json, now: datetime) -> Cell:
    if version["state"] not in _UP or not version.get("started"):
        return Cell("")
    return Cell(age(now - datetime.fromisoformat(version["started"])), "dim")


def _restarts(_: Json, version: Json, __: datetime) -> Cell:
    times = version.get("restarts", 0)
    return Cell(f"{times} restart{'s' * (times != 1)}" if times else "", "yellow")


def _connections(_: Json, version: Json, __: datetime) -> Cell:
    found = version.get("connections") or {}
    number = found.get("tcp", 0) + found.get("udp", 0)
    if not number:
        return Cell("")
    return Cell(f"{number} connection{'s' * (number != 1)}", "", f"{number} conn.")


def _remark(service: Json, version: Json, _: datetime) -> Cell:
    text = remark(service, version)
    style, short = _REMARKS.get(text, ("", text))
    return Cell(text, style, short)


def _local(_: Json, version: Json, __: datetime) -> Cell:
    text = local_ports(version)
    numbers = dict.fromkeys(str(one["number"]) for one in version["local_ports"])
    return Cell("" if text == "-" else text, "dim", " ".join(numbers))


def _commit(_: Json, version: Json, __: datetime) -> Cell:
    return Cell(version.get("commit", "")[:8], "dim")


_COLUMNS: dict[str, Callable[[Json, Json, datetime], Cell]] = {
    "version": _version,
    "state": _state,
    "age": _age,
    "restarts": _restarts,
    "connections": _connections,
    "remark": _remark,
    "local": _local,
    "commit": _commit,
}
_UP = ("running", "paused", "restarting")
_STYLES = {
    "running": "green",
    "healthy": "green",
    "starting": "yellow",
    "restarting": "yellow",
    "exited": "yellow",
    "dead": "red",
    "unhealthy": "red",
    "none": "dim",
}
_DOWN = "down!"
_REMARKS = {
    "bad": ("red", "bad"),
    "the one that runs": ("", ""),
    "is to run, and does not!": ("red", _DOWN),
    "has ports, and does not run!": ("red", _DOWN),
    "rollback goes here": ("cyan", "rollback"),
}
_SHAPES = {  # in Unicode and in ASCII
    "running": "●*",
    "healthy": "●*",
    "starting": "◐~",
    "restarting": "◐~",
    "paused": "◌=",
    "unhealthy": "!!",
    "dead": "!!",
}
_ALL = frozenset(_COLUMNS)
_LOCAL = frozenset({"local"})
_MAIN = frozenset({"version", "state", "remark"})
_NAME = frozenset({"version"})
_FORMS = (
    _Form(_ALL),
    _Form(_ALL - {"commit"}),
    _Form(_ALL - {"commit"}, _LOCAL),
    _Form(_ALL - {"commit"}, _ALL),
    _Form(_ALL - {"commit", "local"}, _ALL),
    _Form(_ALL - {"commit", "local"}, _ALL, tight=True),
    _Form(_MAIN | {"connections"}, _ALL, tight=True),
    _Form(_MAIN, _ALL, tight=True),
    _Form(_MAIN, _ALL, tight=True, ports=9),
    _Form(_MAIN - {"state"}, _ALL, tight=True, ports=9),
    _Form(_MAIN - {"remark"}, _ALL, tight=True, ports=9),
    _Form(_NAME, tight=True, ports=9),
    _Form(_NAME, tight=True, ports=7),
    _Form(_NAME, tight=True, ports=9, versions=13),
    _Form(_NAME, tight=True, ports=7, versions=7),
)


def age(since: timedelta) -> str:
    """A duration in one unit, rounded down."""
    seconds = max(0, int(since.total_seconds()))
    for unit, size, until in (("s", 1, 60), ("min", 60, 3600), ("h", 3600, 48 * 3600)):
        if seconds < until:
            return f"{seconds // size} {unit}"
    return f"{seconds // 86400} d"
