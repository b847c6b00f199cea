"""How long each verb takes to start: to the moment at which it asks the daemon.

It asks on a socket that nobody listens on, and so ends there. Verbs that ask nobody run as they
are; those that work in a repository first are asked for their help, which loads no less.
"""

from __future__ import annotations

import os
import subprocess
import time
from statistics import median

from alongside.cli.entry import VERBS
from bench.hosts import command
from bench.results import Aim
from bench.stage import Stage
from bench.timing import Timing, children

PART = "start of each verb"

_ARGUMENTS = {
    **dict.fromkeys(
        ("up", "stop", "rm", "logs", "activate", "deploy", "deactivate"), ("web@1.0.0",)
    ),
    **dict.fromkeys(("rollback", "hold", "resume"), ("web",)),
    "mark": ("good", "web@1.0.0"),
    "port": ("list",),
    "completion": ("bash",),
    **dict.fromkeys(("init", "build", "daemon", "doctor"), ("--help",)),
}


def run(stage: Stage) -> None:
    environment = {**os.environ, "ALONGSIDE_SOCKET": "/nonexistent/alongside.sock"}
    verbs = [verb for verb in VERBS if verb not in ("hook", "complete")]
    measured: dict[str, list[Timing]] = {verb: [] for verb in verbs}
    stage.say(f"verbs: {stage.size.repeats} starts of {len(verbs)}")
    for number in range(stage.size.repeats + 1):
        for verb in verbs:
            argv = [command(), verb, *_ARGUMENTS.get(verb, ())]
            used, begun = children(), time.monotonic()
            subprocess.run(argv, env=environment, capture_output=True, check=False)
            timing = Timing(time.monotonic() - begun, children() - used)
            if number:  # the first round warms the cache
                measured[verb].append(timing)
    add = stage.results.add
    medians = {verb: median(one.seconds for one in found) for verb, found in measured.items()}
    slowest = max(medians, key=lambda verb: medians[verb])
    add(PART, "the slowest", medians[slowest] * 1e3, "ms", aim=Aim("<", 60), note=slowest)
    for verb, seconds in medians.items():
        processor = median(one.processor for one in measured[verb]) * 1e3
        add(PART, verb, seconds * 1e3, "ms", note=f"{processor:.0f} ms of processor time")
    stage.results.raw[PART] = {
        verb: [round(one.seconds * 1e3, 2) for one in found] for verb, found in measured.items()
    }
