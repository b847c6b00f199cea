"""The live view of a deploy, as text."""

from __future__ import annotations

from typing import Any

from alongside.cli.deploying import View

STEPS = (("start", "start dns-1.4.0"), ("await-ready", "wait until it is ready"), ("switch", "one"))


def step(position: int, state: str, seconds: float | None = None) -> dict[str, Any]:
    name, text = STEPS[position - 1]
    return {
        "event": "step",
        "position": position,
        "name": name,
        "text": text,
        "state": state,
        "seconds": seconds,
    }


def probe(heard: str, left: float) -> dict[str, Any]:
    return {"event": "probe", "heard": heard, "left": left}


def picture(view: View) -> str:
    return "\n".join(line for line, _ in view.lines())


def test_before_the_switch_the_traffic_is_as_before() -> None:
    view = View("dns@1.4.0")
    for event in (step(1, "started"), step(1, "done", 0.31), step(2, "started")):
        view.hear(event)
    assert picture(view) == (
        "✓ start dns-1.4.0 (0.31 s)\n… wait until it is ready\n  traffic: as before"
    )
    view.end(well=False)
    assert picture(view) == (
        "✓ start dns-1.4.0 (0.31 s)\n✗ wait until it is ready\n  traffic: as before"
    )


def test_what_runs_before_is_shown_by_its_last_lines() -> None:
    view = View("dns@1.4.0")
    for number in range(9):
        view.hear({"event": "log", "text": f"line {number}"})
    assert picture(view).splitlines()[:5] == [f"  | line {number}" for number in range(4, 9)]


def watched(*heard: str) -> View:
    view = View("dns@1.4.0")
    for position in (1, 2, 3):
        view.hear(step(position, "done", 0.01))
    for number, one in enumerate(heard):
        view.hear(probe(one, 30 - number))
    return view


def test_while_it_is_watched_its_probes_are_counted() -> None:
    assert picture(watched("", "refused", "", "")) == (
        "✓ start dns-1.4.0\n✓ wait until it is ready\n✓ one\n"
        "… watched for another 27 s: 3 probes answered\n"
        "  1 failed\n"
        "  traffic: new connections reach dns@1.4.0"
    )
    assert "  2 failed, the last one: refused\n" in picture(watched("", "refused", "refused"))


def test_what_stays_on_the_terminal_is_true() -> None:
    """A version that has lost the ports again has no traffic, and is watched no longer."""
    view = watched("", "refused", "refused")
    view.end(well=False)
    assert picture(view) == "✓ start dns-1.4.0\n✓ wait until it is ready\n✓ one"
    view = watched("", "")
    view.end(well=True)
    assert picture(view).endswith("✓ one\n  traffic: new connections reach dns@1.4.0")
