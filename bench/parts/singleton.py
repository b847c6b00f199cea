"""A singleton's gap: from the end of the old one until the new one starts, as the engine tells it,
beside what `docker compose up` with the new image leaves between them. The two take turns.
"""

from __future__ import annotations

import json
import os
from statistics import median

from alongside.client import Client
from bench.hosts import DOCKERFILE, NGINX
from bench.results import ratio
from bench.stage import Stage
from support.host import Host
from support.installation import Installation, load_images

PART = "singleton"
_COMPOSE = """\
services:
  scheduler:
    container_name: scheduler-current
    image: repo/scheduler:${tag:-latest}
    build: .
    x-alongside: {workload: singleton, ready: running}
"""


def run(stage: Stage) -> None:
    times = max(5, stage.size.repeats // 3)
    stage.say(f"singleton: {times} replacements each")
    with Host() as ours, Host() as plain:
        for host in (ours, plain):
            load_images(host, "nginx-bookworm")
        installation = Installation(ours)
        installation.start()
        files = {
            "compose.yaml": _COMPOSE,
            "Dockerfile": DOCKERFILE,
            "nginx.conf": NGINX.replace("VERSION", "1"),
        }
        repository = installation.repository("jobs", files)
        for version in ("1", "2"):
            repository.release(version, {"nginx.conf": NGINX.replace("VERSION", version)})
            _compose(plain, repository.path, version, "build")
        client = Client(str(installation.socket))
        measured: dict[str, list[float]] = {"alongside": [], "compose": []}
        for number in range(times + 1):
            version = str(1 + number % 2)
            list(client.change("activate", {"reference": f"scheduler@{version}"}))
            _compose(plain, repository.path, version, "up", "--detach", "--no-build")
            if number:  # the first starts with none
                measured["alongside"].append(_gap(ours))
                measured["compose"].append(_gap(plain))
    add = stage.results.add
    add(PART, "alongside activate", median(measured["alongside"]) * 1e3, "ms", note="none runs")
    add(PART, "docker compose up", median(measured["compose"]) * 1e3, "ms", note="none runs")
    add(PART, "times shorter", ratio(measured["compose"], measured["alongside"]))
    stage.results.raw[PART] = measured


def _compose(host: Host, path: os.PathLike[str], version: str, *words: str) -> None:
    environment = {**os.environ, **host.environment, "tag": version}
    host.run(["docker", "compose", *words], cwd=path, env=environment)


def _gap(host: Host) -> float:
    """Seconds between the last end and the last start of a container, by the engine's events."""
    (now,) = json.loads(host.docker(["inspect", "scheduler-current"]).stdout)
    while True:
        kinds = ["--filter", "type=container", "--filter", "event=die", "--filter", "event=start"]
        span = ["--since", "1h", "--until", "0s", "--format", "{{json .}}"]
        told = host.docker(["events", *span, *kinds]).stdout
        events = [json.loads(line) for line in told.splitlines()]
        if events and events[-1]["status"] == "start" and events[-1]["id"] == now["Id"]:
            break  # the engine tells of what was a moment ago, and not always at once
    ended = max(one["timeNano"] for one in events if one["status"] == "die")
    return float(events[-1]["timeNano"] - ended) / 1e9
