"""(d) What the git hooks cost a ref that is no tag: `git update-ref` with them and without.

Two repositories of the same content, one of them with the hooks that `alongside init` installs.
In each a branch goes back and forth between two commits, in turns. git runs the hook twice for
one update (prepared, committed), and the cost is of both.
"""

from __future__ import annotations

import os
from statistics import median

from bench.hosts import tree
from bench.results import Aim
from bench.stage import Stage
from bench.timing import Timing, timed
from support.installation import Repository

PART = "git hook, a ref that is no tag"


def run(stage: Stage) -> None:
    times = stage.size.repeats * 5
    stage.say(f"hook: {times} ref updates each")
    ours = stage.alongside
    without = _Branch(ours.repository("without", tree("1"), init=False))
    hooked = _Branch(ours.repository("hooked", tree("1")))
    empty = _Branch(_with_empty_hook(ours.repository("empty", tree("1"), init=False)))
    for number in range(times):
        for branch in (without, hooked, empty) if number % 2 else (empty, hooked, without):
            branch.move()
    pairs = list(zip(hooked.timings, without.timings, strict=True))
    cost = median(one.seconds - other.seconds for one, other in pairs)
    work = median(one.processor - other.processor for one, other in pairs)
    add = stage.results.add
    least = median(
        one.seconds - other.seconds
        for one, other in zip(empty.timings, without.timings, strict=True)
    )
    for name, branch in (("without", without), ("with", hooked)):
        add(PART, f"git update-ref {name}", median(branch.seconds) * 1e3, "ms")
        stage.results.raw[f"{PART}, {name}"] = {
            "ms": [round(one.seconds * 1e3, 3) for one in branch.timings],
            "processor_ms": [round(one.processor * 1e3, 3) for one in branch.timings],
        }
    note = f"median of pairs; {work * 1e3:.2f} ms of processor time"
    add(PART, "an empty hook's cost", least * 1e3, "ms", note="sh that does nothing, twice")
    add(PART, "the hook's cost", cost * 1e3, "ms", aim=Aim("<", 3), note=note)


def _with_empty_hook(repository: Repository) -> Repository:
    """The least that any hook in sh costs: git starts it, and waits."""
    hook = repository.path / ".git/hooks/reference-transaction"
    hook.write_text("#!/bin/sh\nexit 0\n")
    hook.chmod(0o755)
    return repository


class _Branch:
    def __init__(self, repository: Repository) -> None:
        self._path = repository.path
        self._environment = {**os.environ, **repository.alongside.environment}
        first = repository.git("rev-parse", "HEAD").stdout.strip()
        self._commits = (first, repository.commit(tree("2")))
        self._moved = 0
        self.timings: list[Timing] = []

    @property
    def seconds(self) -> list[float]:
        return [timing.seconds for timing in self.timings]

    def move(self) -> None:
        commit = self._commits[self._moved % 2]
        self._moved += 1
        argv = ["git", "update-ref", "refs/heads/work", commit]
        self.timings.append(timed(argv, self._environment, self._path))
