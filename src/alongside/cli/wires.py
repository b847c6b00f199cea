"""Lines from ports to the lanes that they lead to, in characters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_NORTH, _EAST, _SOUTH, _WEST = 1, 2, 4, 8
_BOXES = " ╵╶└╷│┌├╴┘─┴┐┤┬┼"  # by the sum of the directions that a line leaves in
_PLAIN = " |-+||++-+-+++++"
_ARROWS = {_BOXES: "▶", _PLAIN: ">"}


@dataclass(frozen=True, slots=True)
class Bundle:
    """Ports that lead to the same lanes with the same weights. `ends` maps a lane's number to
    what is written on the line to it."""

    ports: Sequence[str]
    ends: Mapping[int, str]


def draw(
    bundles: Sequence[Bundle],
    lanes: int,
    *,
    ascii_only: bool = False,
    tight: bool = False,
    width: int = 0,
) -> tuple[list[str], int]:
    """The rows, all of one width and of `width` at least, and the number of the row of the first
    lane.

    One bundle's ports stand beside the lanes. Several stand above them: no line of one bundle
    then lies on a line of another, but where both lead to the same lane.
    """
    boxes = _PLAIN if ascii_only else _BOXES
    ports = [port for bundle in bundles for port in bundle.ports]
    if not ports:
        return [" " * width] * lanes, 0
    first = 0 if len(bundles) == 1 else len(ports)
    height = max(len(ports), first + lanes)
    gap = 1 if tight else 2
    grid = [[0] * (gap * len(bundles) + 1) for _ in range(height)]
    marks = _join(grid, bundles, first, gap)
    label = max(map(len, ports))
    note = max((len(mark) for mark in marks.values()), default=0)
    rows = []
    for number, cells in enumerate(grid):
        port = ports[number] if number < len(ports) else ""
        begun = f"{port:<{label}} {''.join(boxes[cell] for cell in cells)}"
        end = _end(marks.get(number), note, boxes, tight)
        fill = boxes[_EAST | _WEST] if number in marks else " "
        rows.append(begun + fill * (width - len(begun) - len(end)) + end)
    return rows, first


def _join(grid: list[list[int]], bundles: Sequence[Bundle], first: int, gap: int) -> dict[int, str]:
    """Draw each bundle's trunk, its lines from the left and to the right; what is written on the
    rows that lead out."""
    marks: dict[int, list[str]] = {}
    row = 0
    edge = len(grid[0]) - 1
    for number, bundle in enumerate(bundles):
        trunk = edge - gap * number - (gap - 1)  # the first bundle's is the rightmost
        ports = range(row, row + len(bundle.ports))
        row += len(bundle.ports)
        lanes = [first + lane for lane in bundle.ends]
        every = [*ports, *lanes]
        for y in range(min(every), max(every)):
            grid[y][trunk] |= _SOUTH
            grid[y + 1][trunk] |= _NORTH
        for y in ports:
            _across(grid[y], 0, trunk)
        for lane, text in bundle.ends.items():
            _across(grid[first + lane], trunk, edge + 1)
            marks.setdefault(first + lane, []).append(text)
    return {y: "/".join(dict.fromkeys(filter(None, texts))) for y, texts in marks.items()}


def _across(cells: list[int], start: int, end: int) -> None:
    """From the cell at `start`, or from the left margin for 0, to that at `end`. A trunk that
    has no end here is passed under."""
    for x in range(start, min(end + 1, len(cells))):
        passed = cells[x] == _NORTH | _SOUTH and x not in (start, end)
        if passed:
            continue
        if x > start or start == 0:
            cells[x] |= _WEST
        if x < end:
            cells[x] |= _EAST


def _end(mark: str | None, note: int, boxes: str, tight: bool) -> str:
    """The end of a row: what is written on the line, and the arrow; blank without one."""
    line = boxes[_EAST | _WEST]
    dash = "" if tight else line
    width = note + 2 if note and not tight else note
    if mark is None:
        return " " * (width + 2 * len(dash) + 1)
    written = (f" {mark} " if mark and not tight else mark).center(width, line)
    return f"{dash}{written}{dash}{_ARROWS[boxes]}"
