"""The live view of a deploy: its steps, what the probes say, and who gets the traffic."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import click

Json = dict[str, Any]


@dataclass
class View:
    """What has been heard so far; `lines()` is the picture of it."""

    reference: str
    steps: dict[int, tuple[str, bool, float]] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    probes: int = 0
    failed: int = 0
    heard: str = ""
    left: float | None = None
    traffic: str = "as before"
    failed_at_last: bool = False  # it did not come to its end

    def hear(self, event: Json) -> None:
        match event["event"]:
            case "step":
                done = event["state"] == "done"
                self.steps[event["position"]] = (event["text"], done, event.get("seconds") or 0.0)
                if done and event["name"] in ("switch", "replace-singleton"):
                    self.traffic = f"new connections reach {self.reference}"
            case "probe":
                self.probes += 1
                self.failed += bool(event["heard"])
                self.heard, self.left = event["heard"], event["left"]
            case "log":
                self.log = [*self.log[-4:], event["text"]]

    def end(self, *, well: bool) -> None:
        """Nothing moves any more. Where it failed after the switch, the sentence that says so
        says who has the ports now."""
        self.left, self.failed_at_last = None, not well

    def lines(self, now: str = "…") -> list[tuple[str, str]]:
        """Each with its style."""
        if self.failed_at_last:
            now = "✗"
        found = [
            (f"✓ {text}{f' ({seconds:.2f} s)' if seconds >= 0.1 else ''}", "")
            if done
            else (f"{now} {text}", "bold")
            for _, (text, done, seconds) in sorted(self.steps.items())
        ]
        found += [(f"  | {line}", "dim") for line in self.log]
        if self.left is not None:
            well = self.probes - self.failed
            probes = f"{well} probe{'' if well == 1 else 's'} answered"
            found.append((f"{now} watched for another {self.left:.0f} s: {probes}", "bold"))
            if self.failed:
                last = f", the last one: {self.heard}" if self.heard else ""
                found.append((f"  {self.failed} failed{last}", "red" if self.heard else "yellow"))
        if self.failed_at_last and self.traffic != "as before":
            return found
        return [*found, (f"  traffic: {self.traffic}", "cyan")]


def show(reference: str, events: Iterator[Json]) -> None:
    """Draw it anew with each event, and leave what has come to pass on the terminal."""
    from rich.console import Console
    from rich.live import Live
    from rich.padding import Padding
    from rich.text import Text

    view = View(reference)
    console = Console(no_color="NO_COLOR" in os.environ or None)
    result: Json = {}

    def drawn() -> Padding:
        wheel = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"[int(time.monotonic() * 10) % 10]
        text = Text(no_wrap=True, overflow="ellipsis")
        for number, (line, style) in enumerate(view.lines(wheel)):
            text.append(("\n" if number else "") + line, style)
        return Padding(text, (0, 3, 0, 0))  # room for a `^C`, which would begin a new line

    with Live(console=console, get_renderable=drawn, refresh_per_second=10):
        try:
            for event in events:
                view.hear(event)
                if event["event"] == "result":
                    result = event["result"]
        finally:
            view.end(well=bool(result))
    for sentence in result.get("summary", ()):
        click.echo(sentence)
