"""How long a bad version has the traffic: from its first failed probe, or from its end, until the
one before it has the ports again.

A version is deployed with a trial of a minute, and is then made sick (its HTTP answers have the
status 500) or is killed. Clients ask without a pause meanwhile, with a connection for each
question: the first good answer by the version before is what counts. They wait for one a quarter of
a second at the most, since a container that has ended does not even refuse.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from dataclasses import dataclass, field
from statistics import median

from alongside.client import Client
from alongside.domain.errors import TrialFailed
from bench.results import Aim
from bench.stage import Stage
from support.host import Host
from support.installation import Installation, load_images
from support.load import Load

PART = "a bad version, and back"
_SERVICE, _GOOD, _BAD = "web", "good", "bad"
_TIMES = 5
_COMPOSE = """\
services:
  web:
    image: repo/web:${tag:-latest}
    build: {context: ., args: {VERSION: "${tag}"}}
    ports: ["80:80"]
    x-alongside:
      ready: {http: /}
      watch: 60s
"""
_DOCKERFILE = """\
FROM alongside-test/responder:latest
ARG VERSION
ENV VERSION=$VERSION PORTS=80 SICK=/tmp/sick
"""


@dataclass
class _Turn:
    """Moments by time.monotonic_ns."""

    heard: int = 0  # the first failed probe
    ended: int = 0  # the process inside was killed
    said: int = 0  # the deploy's error
    answered: int = 0  # the first question that the good one answered after all that
    watched: threading.Event = field(default_factory=threading.Event)


def run(stage: Stage) -> None:
    stage.say(f"trial: made sick {_TIMES} times, killed {_TIMES} times")
    turns: dict[str, list[_Turn]] = {"sick": [], "killed": []}
    with Host() as host:
        load_images(host, "responder")
        ours = Installation(host)
        ours.start()
        repository = ours.repository("site", {"compose.yaml": _COMPOSE, "Dockerfile": _DOCKERFILE})
        repository.tag(_GOOD)
        repository.tag(_BAD)
        ours("activate", f"{_SERVICE}@{_GOOD}")
        for _ in range(_TIMES):
            for how, found in turns.items():
                found.append(_turn(ours, how))
    _report(stage, turns)


def _turn(ours: Installation, how: str) -> _Turn:
    host, client, turn = ours.host, Client(str(ours.socket)), _Turn()
    reference = f"{_SERVICE}@{_BAD}"
    # It is as new: no file of the last turn makes it sick, and no mark is in its way.
    for _ in client.change("rm", {"reference": reference, "force": True}):
        pass
    for _ in client.change("mark", {"reference": reference, "as": "good"}):
        pass
    deploying = threading.Thread(target=_deploy, args=(client, reference, turn))
    client4, address = host.client, host.address4
    with Load(client4, "tcp", address, 80, dialect="http", workers=2, timeout=0.25) as load:
        deploying.start()
        if not turn.watched.wait(60):
            raise TimeoutError(f"{reference} was not asked after it had the ports")
        load.wait_for(20)
        if how == "sick":
            host.docker(["exec", f"{_SERVICE}-{_BAD}", "touch", "/tmp/sick"])
        else:
            (found,) = json.loads(host.docker(["inspect", f"{_SERVICE}-{_BAD}"]).stdout)
            turn.ended = time.monotonic_ns()
            os.kill(found["State"]["Pid"], signal.SIGKILL)
        deploying.join(60)
        load.wait_for(20)
        report = load.stop()
    failed = turn.ended if how == "killed" else turn.heard
    # Answers that were under way when it failed were good ones, of whichever version.
    last = max(one.started for one in report.answers if one.version == _BAD)
    back = next(one for one in report.asked_after(max(failed, last)) if one.version == _GOOD)
    turn.answered = back.started + back.microseconds * 1000
    return turn


def _deploy(client: Client, reference: str, turn: _Turn) -> None:
    try:
        for event in client.change("deploy", {"reference": reference}):
            if event["event"] == "probe":
                turn.watched.set()
                if event["heard"] and not turn.heard:
                    turn.heard = time.monotonic_ns()
    except TrialFailed:
        turn.said = time.monotonic_ns()


def _report(stage: Stage, turns: dict[str, list[_Turn]]) -> None:
    add = stage.results.add
    sick, killed = turns["sick"], turns["killed"]
    figures = {
        "failed probe to the deploy's word": [one.said - one.heard for one in sick],
        "failed probe to the old one's answer": [one.answered - one.heard for one in sick],
        "end to the deploy's word": [one.said - one.ended for one in killed],
        "end to the old one's answer": [one.answered - one.ended for one in killed],
    }
    notes = {"failed": "3 in a row, a fifth of a second apart", "end": "its process is killed"}
    for name, times in figures.items():
        aim = Aim("<", 1000) if name.endswith("answer") else None
        note = f"{notes[name.split()[0]]}; at most {max(times) / 1e6:.0f}"
        add(PART, name, median(times) / 1e6, "ms", aim=aim, note=note)
    stage.results.raw[PART] = {
        name: [round(one / 1e6, 2) for one in times] for name, times in figures.items()
    }
