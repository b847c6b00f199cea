"""Draining 10,000 live connections: what it costs to count them, and to cut them at the deadline.

They are TCP connections of one client to a version that loses the ports. Each has been answered
once, and waits. Another client asks the version that has the ports meanwhile.
"""

from __future__ import annotations

import os
import resource
import select
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Any

from alongside.client import Client
from bench.hosts import command
from bench.processor import seconds_of
from bench.results import Aim
from bench.stage import Stage
from bench.timing import timed
from support.host import Host
from support.installation import Installation, load_images
from support.load import Load

PART = "drain"
LIVE = 10_000
_PORT = 7
_FILES = 12_000  # that the bench may have open, and the server; few hosts allow less
_BATCH = 500  # connections that are opened at once: a listener's backlog is not endless
_ROUNDS = 3
_WATCHED = 5.0  # seconds that the daemon is watched while they drain
_PATIENCE = 30.0  # seconds from the deadline until every client must have heard
_COMPOSE = """\
services:
  web:
    image: repo/web:${{tag:-latest}}
    build: {{context: ., args: {{VERSION: "${{tag}}"}}}}
    ports: ["7/tcp"]
    ulimits: {{nofile: 12000}}
    x-alongside:
      drain: {drain}
"""
_DOCKERFILE = """\
FROM alongside-test/responder:latest
ARG VERSION
ENV VERSION=$VERSION PORTS=7
"""


@dataclass(frozen=True, slots=True)
class _Cut:
    """Seconds from the deadline; the daemon's processor time from before the switch to the last
    reset."""

    first: float
    last: float
    processor: float
    resets: int
    left: int  # connections that status still has
    failures: int  # of those who asked the new version
    switch: float  # seconds, the whole of the request


def run(stage: Stage) -> None:
    stage.say(f"drain: {LIVE:,} connections, {_ROUNDS} times")
    with Host() as host, _many_files():
        load_images(host, "responder")
        ours = Installation(host)
        ours.start()
        files = {"compose.yaml": _COMPOSE.format(drain="forever"), "Dockerfile": _DOCKERFILE}
        repository = ours.repository("site", files)
        repository.tag("old")
        repository.tag("waits")
        repository.release("cuts", {"compose.yaml": _COMPOSE.format(drain="1s")})
        client = Client(str(ours.socket))
        for version in ("waits", "cuts", "old"):
            _activate(client, version)
        none = _status(ours, stage.size.repeats)
        cuts: list[_Cut] = []
        counting, many = 0.0, []
        for number in range(_ROUNDS):
            clients = host.client.call(_open, host.address4)
            try:
                if not number:
                    _activate(client, "waits")
                    many = _status(ours, stage.size.repeats)
                    counting = _counting(ours)
                    _activate(client, "old")
                cuts.append(_cut(ours, client, clients))
            finally:
                for one in clients:
                    one.close()
            _activate(client, "old")
    _report(stage, none, many, counting, cuts)


@contextmanager
def _many_files() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = before[1] if before[1] == resource.RLIM_INFINITY else max(before[1], _FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before[0], _FILES), most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def _open(address: str) -> list[socket.socket]:
    """Connections that were answered once. Call it in the client's namespace."""
    opened: list[socket.socket] = []
    while len(opened) < LIVE:
        batch = [socket.create_connection((address, _PORT), 30) for _ in range(_BATCH)]
        opened += batch
        for one in batch:
            one.sendall(b"?\n")
        for one in batch:
            if not one.recv(100).startswith(b"old "):
                raise ValueError("a connection that another version has")
    return opened


def _activate(client: Client, version: str) -> None:
    for _ in client.change("activate", {"reference": f"web@{version}"}):
        pass


def _version(client: Client, name: str) -> dict[str, Any]:
    (service,) = client.get("/v1/status")["services"]
    (found,) = [one for one in service["versions"] if one["version"] == name]
    return dict(found)


def _status(ours: Installation, times: int) -> list[float]:
    environment = {**os.environ, **ours.environment}
    argv = [command(), "status"]
    timed(argv, environment)
    return [timed(argv, environment).seconds for _ in range(times)]


def _counting(ours: Installation) -> float:
    """The daemon's share of a core while nothing happens but that they drain."""
    assert ours.process is not None
    used, begun = seconds_of(ours.process.pid), time.monotonic()
    time.sleep(_WATCHED)
    return (seconds_of(ours.process.pid) - used) / (time.monotonic() - begun)


def _cut(ours: Installation, client: Client, clients: list[socket.socket]) -> _Cut:
    assert ours.process is not None
    host, pid = ours.host, ours.process.pid
    with Load(host.client, "tcp", host.address4, _PORT, workers=1, pause=0.005) as load:
        load.wait_for(10)
        used, begun = seconds_of(pid), time.monotonic()
        _activate(client, "cuts")
        switched = time.monotonic()
        deadline = datetime.fromisoformat(_version(client, "old")["former"]["deadline"])
        moment = time.monotonic() + deadline.timestamp() - time.time()
        resets = _resets(clients, moment + _PATIENCE)
        used = seconds_of(pid) - used
        load.wait_for(10)
        report = load.stop()
    _until(lambda: (former := _version(client, "old")["former"]) is None or former["drained"])
    asked = report.asked_after(int(switched * 1e9))
    if not asked or any(one.version != "cuts" for one in asked):
        raise ValueError(f"after the switch there answered {asked[:3]} {report.failures[:5]}")
    return _Cut(
        first=min(resets) - moment,
        last=max(resets) - moment,
        processor=used,
        resets=len(resets),
        left=_version(client, "old")["connections"]["tcp"],
        failures=len(report.failures),
        switch=switched - begun,
    )


def _resets(clients: list[socket.socket], until: float) -> list[float]:
    """The moment of each reset, as time.monotonic has it; what ended otherwise is left out."""
    poll, found = select.epoll(), []
    waiting = {one.fileno(): one for one in clients}
    for number in waiting:
        poll.register(number, select.EPOLLIN)
    with poll:
        while waiting and time.monotonic() < until:
            ready = poll.poll(1, len(clients))
            now = time.monotonic()
            for number, _ in ready:
                poll.unregister(number)
                try:
                    waiting.pop(number).recv(1)
                except ConnectionResetError:
                    found.append(now)
    return found


def _until(question: Callable[[], bool]) -> None:
    end = time.monotonic() + _PATIENCE
    while not question():
        if time.monotonic() > end:
            raise TimeoutError(f"not drained after {_PATIENCE:g} s")
        time.sleep(0.05)


def _report(
    stage: Stage, none: list[float], many: list[float], counting: float, cuts: list[_Cut]
) -> None:
    add = stage.results.add
    add(PART, "connections", LIVE, note=f"to one version, {_ROUNDS} times")
    clients = sum(one.resets for one in cuts)
    add(PART, "clients that heard of it", clients, aim=Aim("=", LIVE * len(cuts)), note="a reset")
    add(PART, "connections left", max(one.left for one in cuts), aim=Aim("=", 0))
    failures = sum(one.failures for one in cuts)
    add(PART, "lost by the new version meanwhile", failures, aim=Aim("=", 0))
    add(PART, "deadline to the first reset", median(one.first for one in cuts) * 1e3, "ms")
    last = median(one.last for one in cuts)
    add(PART, "deadline to the last reset", last * 1e3, "ms", aim=Aim("<", 1000))
    used = median(one.processor for one in cuts)
    note = "the daemon's, with the switch, counting and cutting"
    add(PART, "processor time", used * 1e3, "ms", note=note)
    note = "each second, with nothing else to do"
    add(PART, "counting while they drain", counting * 100, "% of a core", note=note)
    add(PART, "alongside status, none connected", median(none) * 1e3, "ms")
    add(PART, f"alongside status, {LIVE:,} connected", median(many) * 1e3, "ms")
    stage.results.raw[PART] = {
        "cuts": [{name: getattr(one, name) for name in one.__slots__} for one in cuts],
        "status_none_ms": [round(one * 1e3, 2) for one in none],
        "status_many_ms": [round(one * 1e3, 2) for one in many],
        "counting_share": counting,
    }
