"""`alongside deploy` of a version that does not run, beside `docker compose up` of the same image;
and `alongside rollback` to a standby that runs, that is paused and that is stopped.

All are whole commands. Deploy and Compose take turns, and what they have made is removed before
each; so do the three rollbacks. Compose returns when the container is started, the deploy when the
version is ready and has the ports.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from statistics import median
from typing import Any

from alongside.client import Client
from bench.hosts import COMPOSE, SERVICE, command, tree
from bench.results import Aim, ratio
from bench.stage import Stage
from bench.timing import timed
from support.host import Host
from support.installation import Installation, load_images

PART = "deploy and rollback, whole commands"
_FIRST, _NEXT = "1.0.0", "2.0.0"
# What a version that has the ports says of the one that had them before.
_KEPT = {
    "running": {"running"},
    "paused": {"paused"},
    "stopped": {"exited"},  # the engine's word
}
_POLICY = """\
    x-alongside:
      drain: none
      standby: {{keep: 1, as: {kept}}}
"""
_WAIT = 60.0  # seconds until a version must be kept as it should


def run(stage: Stage) -> None:
    times = max(3, stage.size.repeats // 6)
    with Host() as host, Host() as plain:
        for one in (host, plain):
            load_images(one, "nginx-bookworm")
        ours = Installation(host)
        ours.start()
        repository = ours.repository("shop", _files(_FIRST, "running"))
        repository.tag(_FIRST)
        repository.release(_NEXT, _files(_NEXT, "running"))
        stage.say(f"deploy: {times} times each")
        compared = _deploys(ours, plain, repository.path, times)
        for kept in _KEPT:
            repository.release(f"keeps-{kept}", _files(kept, kept))
        stage.say(f"rollback: {times} times each")
        back = _rollbacks(ours, times)
    _report(stage, compared, back)


def _files(version: str, kept: str) -> dict[str, str]:
    return {**tree(version), "compose.yaml": COMPOSE + _POLICY.format(kept=kept)}


def _deploys(
    ours: Installation, plain: Host, path: os.PathLike[str], times: int
) -> dict[str, list[float]]:
    client = Client(str(ours.socket))
    environment = {**os.environ, **ours.environment}
    beside = {**os.environ, **plain.environment, "tag": _NEXT}
    compose = ["docker", "compose"]
    timed([*compose, "build"], beside, path)
    deploy = [command(), "deploy", f"{SERVICE}@{_NEXT}", "--watch", "none", "--json"]
    found: dict[str, list[float]] = {"alongside deploy": [], "docker compose up": []}
    for number in range(times + 1):
        _change(client, "activate", reference=f"{SERVICE}@{_FIRST}")
        _change(client, "rm", reference=f"{SERVICE}@{_NEXT}", force=True)
        timed([*compose, "down"], beside, path)
        ways = [("alongside deploy", deploy), ("docker compose up", [*compose, "up", "--detach"])]
        for name, argv in ways if number % 2 else reversed(ways):
            taken = timed(argv, environment if argv is deploy else beside, path)
            if not number:
                continue  # the first warms caches
            found[name].append(taken.seconds)
            for step, seconds in _steps(taken.output) if argv is deploy else ():
                found.setdefault(f"step {step}", []).append(seconds)
    return found


def _steps(output: str) -> list[tuple[str, float]]:
    events = [json.loads(line) for line in output.splitlines()]
    return [
        (one["name"], one["seconds"])
        for one in events
        if one["event"] == "step" and one["state"] == "done"
    ]


def _rollbacks(ours: Installation, times: int) -> dict[str, list[float]]:
    """Each turn a version gets the ports that keeps the one before it in one way."""
    client = Client(str(ours.socket))
    environment = {**os.environ, **ours.environment}
    found: dict[str, list[float]] = {kept: [] for kept in _KEPT}
    _change(client, "activate", reference=f"{SERVICE}@{_FIRST}")
    for number in range(times + 1):
        for kept, states in _KEPT.items():
            _change(client, "activate", reference=f"{SERVICE}@keeps-{kept}")
            _await_kept(client, states)
            seconds = timed([command(), "rollback", SERVICE], environment).seconds
            if number:
                found[kept].append(seconds)
    return found


def _await_kept(client: Client, states: set[str]) -> None:
    deadline = time.monotonic() + _WAIT
    while True:
        (first,) = [one for one in _versions(client) if one["version"] == _FIRST]
        # One that is stopped is nobody's standby any more: any rollback starts it.
        if first["state"] in states and (first["former"] or {"drained": True})["drained"]:
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"{SERVICE}@{_FIRST} is {first['state']}, not {states}")
        time.sleep(0.05)


def _versions(client: Client) -> list[Mapping[str, Any]]:
    (service,) = client.get("/v1/status")["services"]
    return list(service["versions"])


def _change(client: Client, verb: str, **body: object) -> None:
    for _ in client.change(verb, body):
        pass


def _report(stage: Stage, compared: dict[str, list[float]], back: dict[str, list[float]]) -> None:
    add = stage.results.add
    ours, compose = compared["alongside deploy"], compared["docker compose up"]
    add(PART, "alongside deploy", median(ours) * 1e3, "ms", note="ready, and has the ports")
    add(PART, "docker compose up --detach", median(compose) * 1e3, "ms", note="started")
    add(PART, "times", ratio(ours, compose), note="median of the pairs")
    for name, seconds in compared.items():
        if name.startswith("step "):
            add(PART, f"part of it: {name}", median(seconds) * 1e3, "ms")
    for kept, seconds in back.items():
        aim = None if kept == "stopped" else Aim("<", 150)
        add(PART, f"alongside rollback to a {kept} one", median(seconds) * 1e3, "ms", aim=aim)
    named = {f"rollback, {kept}": seconds for kept, seconds in back.items()}
    stage.results.raw[PART] = {
        name: [round(one * 1e3, 2) for one in seconds]
        for name, seconds in {**compared, **named}.items()
    }
