"""What a switch costs on a host with 10, 100 and 1,000 services, and how long a daemon takes to
restore all of them.

Three hosts, whose switches take turns. One service of each is real, and the ports go back and
forth between its two versions; the others are rows of the state file with two routed ports each,
TCP and UDP, as many a service leaves behind in the kernel as a real one would.
"""

from __future__ import annotations

import time
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import IPv4Network, IPv6Network
from statistics import median

from alongside.domain.port import Port, Protocol, Publish
from alongside.domain.release import Release
from alongside.domain.route import Route, Split
from alongside.domain.service import Ready, ReadyKind, Service
from alongside.domain.version import Version
from alongside.plan.addresses import allocate
from alongside.plan.observed import Observed, Pool
from alongside.store.database import Database
from alongside.store.instances import Instances
from alongside.store.releases import Releases
from alongside.store.routes import Routes
from bench.hosts import VERSIONS, Alongside
from bench.results import Aim, ratio
from bench.stage import Stage

PART = "many services"
SIZES = (10, 100, 1000)
_RESTORES = 5


@dataclass(slots=True)
class Crowd:
    size: int
    host: Alongside
    commits: list[float] = field(default_factory=list)  # the step `switch`, seconds
    requests: list[float] = field(default_factory=list)  # the whole of it, over the socket
    restores: list[float] = field(default_factory=list)


def run(stage: Stage) -> None:
    with ExitStack() as hosts:
        crowds = []
        for size in SIZES:
            stage.say(f"scale: a host with {size} services")
            made = Alongside()
            hosts.callback(made.close)
            made.set_up()
            made.stop()
            _fill(made, size - 1)
            crowds.append(Crowd(size, made))
        for number in range(_RESTORES):
            for crowd in crowds:
                stage.say(f"scale: restore {crowd.size}, {number + 1} of {_RESTORES}")
                crowd.restores.append(_restore(crowd.host))
        stage.say(f"scale: {stage.size.repeats} switches each")
        for number in range(stage.size.repeats + 2):
            for crowd in crowds:
                _switch(crowd, VERSIONS[(number + 1) % 2], kept=number >= 2)
    _report(stage, crowds)


def _fill(host: Alongside, more: int) -> None:
    with closing(Database(host.state / "state.db")) as database:
        releases, instances, routes = Releases(database), Instances(database), Routes(database)
        ula = IPv6Network(database.setting("ula", ""))
        pool = Pool(IPv4Network("10.213.0.0/16"), ula)
        with database.transaction():
            for number in range(more):
                release = _release(f"crowd-{number}", 30_000 + number)
                releases.add(release)
                instance = allocate(release, Observed(pool=pool, instances=instances.all()))
                instances.add(instance)
                instances.want(instance, "stopped")  # there is no image to start it from
                routes.replace(release.service, _routes(release))


def _release(name: str, port: int) -> Release:
    ports = tuple(Publish(Port(protocol, port), 80) for protocol in Protocol)
    return Release(
        service=name,
        version=Version("1.0.0"),
        repository="crowd",
        source="/crowd",
        commit="0" * 40,
        tree="0" * 40,
        image=f"repo/{name}:1.0.0",
        image_id=f"sha256:{'0' * 64}",
        compose_file="compose.yaml",
        created=datetime.now(UTC),
        spec=Service(name, f"repo/{name}", ports, Ready(ReadyKind.TCP, 80)),
    )


def _routes(release: Release) -> list[Route]:
    split = Split.all_to(release.version)
    return [Route(publish.port, release.service, split) for publish in release.spec.ports]


def _restore(host: Alongside) -> float:
    """From the daemon's start until its socket answers: every port is in the kernel by then."""
    if host.process is not None and host.process.poll() is None:
        host.stop()
    host.host.nft("add table inet alongside\ndelete table inet alongside\n")
    begun = time.monotonic()
    host.start()
    return time.monotonic() - begun


def _switch(crowd: Crowd, version: str, *, kept: bool) -> None:
    begun = time.monotonic()
    events = crowd.host.change("activate", version)
    taken = time.monotonic() - begun
    if kept:
        crowd.requests.append(taken)
        crowd.commits += [
            event["seconds"]
            for event in events
            if event["event"] == "step" and event["name"] == "switch" and event["state"] == "done"
        ]


def _report(stage: Stage, crowds: list[Crowd]) -> None:
    add = stage.results.add
    for crowd in crowds:
        name = f"{crowd.size:,} services"
        note = f"of it the kernel's transaction {median(crowd.commits) * 1e3:.1f} ms"
        add(PART, f"a switch, {name}", median(crowd.requests) * 1e3, "ms", note=note)
    few, many = crowds[0], crowds[-1]
    commits = ratio(many.commits, few.commits)
    add(
        PART,
        f"a switch, {many.size:,} to {few.size}",
        ratio(many.requests, few.requests),
        aim=Aim("≤", 1.5),
        note=f"the kernel's transaction alone {commits:.2f}",
    )
    for crowd in crowds:
        aim = Aim("<", 2) if crowd is many else None
        name = f"the daemon's start, {crowd.size:,} restored"
        add(PART, name, median(crowd.restores), "s", aim=aim)
    stage.results.raw[PART] = {
        str(crowd.size): {
            "request_ms": [round(one * 1e3, 2) for one in crowd.requests],
            "commit_ms": [round(one * 1e3, 2) for one in crowd.commits],
            "restore_s": [round(one, 3) for one in crowd.restores],
        }
        for crowd in crowds
    }
