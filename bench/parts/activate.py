"""(c) `alongside activate` as a whole command, against the article's `container-activate`.

Both versions run; the ports go back and forth between them. The commands take turns.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from statistics import median

from bench.hosts import SERVICE, VERSIONS, command
from bench.results import Aim, ratio
from bench.stage import Stage
from bench.timing import timed

PART = "activate, whole command"


def run(stage: Stage) -> None:
    ours, plain = stage.alongside, stage.plain
    environment = {**os.environ, **ours.environment}

    def alongside(*arguments: str) -> float:
        return timed([command(), *arguments], environment).seconds

    def article(version: str) -> float:
        begun = time.monotonic()
        plain.article(f"container-activate {SERVICE}-{version}")
        return time.monotonic() - begun

    def api(version: str) -> float:
        begun = time.monotonic()
        for event in ours.change("activate", version):
            if event["event"] == "step" and event["state"] == "done":
                steps.setdefault(event["name"], []).append(event["seconds"])
        return time.monotonic() - begun

    steps: dict[str, list[float]] = {}
    measured: dict[str, list[float]] = {}
    turns: dict[str, Callable[[str], float]] = {
        "alongside activate": lambda version: alongside("activate", f"{SERVICE}@{version}"),
        "container-activate": article,
        "the same over the socket": api,
        "alongside --version": lambda _: alongside("--version"),
        "python -c pass": lambda _: timed([sys.executable, "-c", "pass"], environment).seconds,
    }
    stage.say(f"activate: {stage.size.repeats} times each")
    for number in range(stage.size.repeats + 1):
        for turn, (name, measure) in enumerate(turns.items()):
            # The first round warms caches. Each turn asks for the version that has not the ports.
            version = VERSIONS[(number + (turn == 2)) % 2]
            seconds = measure(version)
            if number:
                measured.setdefault(name, []).append(seconds)
    _report(stage, measured, steps)


def _report(stage: Stage, measured: dict[str, list[float]], steps: dict[str, list[float]]) -> None:
    ours, article = measured["alongside activate"], measured["container-activate"]
    add = stage.results.add
    add(PART, "alongside activate", median(ours) * 1e3, "ms", aim=Aim("<", 100))
    add(PART, "container-activate", median(article) * 1e3, "ms", note="the article's")
    add(PART, "times faster", ratio(article, ours), aim=Aim("≥", 3))
    for name in ("the same over the socket", "alongside --version", "python -c pass"):
        add(PART, f"part of it: {name}", median(measured[name]) * 1e3, "ms")
    for name, seconds in steps.items():
        add(PART, f"part of it: step {name}", median(seconds) * 1e3, "ms")
    stage.results.raw[PART] = {
        name: [round(one * 1e3, 2) for one in seconds]
        for name, seconds in {**measured, **steps}.items()
    }
