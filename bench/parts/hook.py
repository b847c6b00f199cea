"""(d) What the git hooks cost a ref that is no tag: `git update-ref` with them and without.

Two repositories of the same content, one of them with the hooks that `alongside init` installs.
In each a branch goes back and forth between two commits, in turns. git runs the hook twice for
one update (prepared, committed), and the cost is of both.
"""

from __future__ import annotations

import os
from statistics import median

from bench.hosts import tree
from bench.parts.activate import timed
from bench.results import Aim
from bench.stage import Stage
from support.installation import Repository

PART = "git hook, a ref that is no tag"


def run(stage: Stage) -> None:
    times = stage.size.repeats * 5
    stage.say(f"hook: {times} ref updates each")
    ours = stage.alongside
    without = _Branch(ours.repository("without", tree("1"), init=False))
    hooked = _Branch(ours.repository("hooked", tree("1")))
    for number in range(times):
        for branch in (without, hooked) if number % 2 else (hooked, without):
            branch.move()
    cost = [
        with_it - without_it
        for with_it, without_it in zip(hooked.seconds, without.seconds, strict=True)
    ]
    add = stage.results.add
    add(PART, "git update-ref without", median(without.seconds) * 1e3, "ms")
    add(PART, "git update-ref with", median(hooked.seconds) * 1e3, "ms")
    add(PART, "the hook's cost", median(cost) * 1e3, "ms", aim=Aim("<", 3), note="median of pairs")
    stage.results.raw[PART] = {
        "without_ms": [round(one * 1e3, 3) for one in without.seconds],
        "with_ms": [round(one * 1e3, 3) for one in hooked.seconds],
    }


class _Branch:
    def __init__(self, repository: Repository) -> None:
        self._path = repository.path
        self._environment = {**os.environ, **repository.alongside.environment}
        first = repository.git("rev-parse", "HEAD").stdout.strip()
        self._commits = (first, repository.commit(tree("2")))
        self._moved = 0
        self.seconds: list[float] = []

    def move(self) -> None:
        commit = self._commits[self._moved % 2]
        self._moved += 1
        argv = ["git", "update-ref", "refs/heads/work", commit]
        self.seconds.append(timed(argv, self._environment, self._path))
