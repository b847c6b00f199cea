"""(b) What a path costs: requests a second and latency, by each way to the same server.

Every way is measured once a round, in an order that rotates, and held against the direct way of
the same round. Client, path and server share the machine's cores, so a ratio is one of processor
time, which is measured as well. `direct` is measured twice a round: the second says how much of a
ratio is noise.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from bench.hosts import SERVICE, VERSIONS
from bench.load import load
from bench.processor import processor_seconds
from bench.proxies import HTTP_KEPT_PORT, HTTP_PORT, NGINX_KEPT_PORT, NGINX_PORT, TCP_PORT
from bench.results import Aim, ratio
from bench.stage import Stage
from support.host import Host
from support.namespace import Namespace

_WARM = 0.1  # seconds
_REDIRECTED = 8084  # to docker-proxy, by the article's function
_PROXIES = {
    "docker-proxy": _REDIRECTED,
    "nginx": NGINX_PORT,
    "nginx, kept upstream": NGINX_KEPT_PORT,
    "haproxy tcp": TCP_PORT,
    "haproxy http": HTTP_PORT,
    "haproxy http, kept upstream": HTTP_KEPT_PORT,
}


@dataclass(slots=True)
class Way:
    """From which client to what; and one measurement a round of each."""

    name: str
    client: Namespace
    url: str
    rates: list[float] = field(default_factory=list)  # requests a second
    middle: list[float] = field(default_factory=list)  # p50, seconds
    late: list[float] = field(default_factory=list)  # p99, seconds
    costs: list[float] = field(default_factory=list)  # processor seconds a request
    failed: Counter[str] = field(default_factory=Counter)


def run(stage: Stage) -> None:
    for kept, name in ((False, "new connections"), (True, "kept connections")):
        rounds = stage.size.rounds if not kept else max(2, stage.size.rounds // 3)
        ways = list(_ways(stage))
        namespaces = {*_inhabited(stage.alongside.host), *_inhabited(stage.plain.host)}
        for number in range(rounds):
            stage.say(f"paths, {name}: round {number + 1} of {rounds}")
            start = number % len(ways)
            for way in ways[start:] + ways[:start]:
                _measure(way, stage.size.seconds, namespaces, kept=kept)
        _report(stage, f"paths, {name}", {way.name: way for way in ways}, kept=kept)


def _ways(stage: Stage) -> Iterator[Way]:
    ours, plain = stage.alongside, stage.plain
    # Whatever was measured before: every way leads to the first version now. The article's rule
    # for port 80 takes every packet to a port 80 that comes through the host, also those straight
    # to the container: so it gets a port of its own, and goes from 80.
    published = plain.published[VERSIONS[0]]
    plain.article("iptables-unassign-port 80 tcp")
    plain.article(f"iptables-assign-port {_REDIRECTED} {published} tcp")
    stage.nginx.switch(VERSIONS[0])
    stage.haproxy.switch(VERSIONS[0])
    ours.change("activate", VERSIONS[0])
    time.sleep(0.5)  # nginx's old workers are gone
    client, host = plain.host.client, plain.host.address4
    direct = f"http://{plain.addresses[VERSIONS[0]]}/"
    yield Way("direct", client, direct)
    yield Way("alongside", ours.host.client, ours.url)
    for name, port in _PROXIES.items():
        yield Way(name, client, f"http://{host}:{port}/")
    yield Way("direct again", client, direct)


def _inhabited(host: Host) -> Iterator[int]:
    """The network namespaces of the client, the host and its containers."""
    for namespace in (host, host.client):
        yield namespace.path.stat().st_ino
    for version in VERSIONS:
        said = host.docker(["inspect", "--format", "{{.State.Pid}}", f"{SERVICE}-{version}"])
        yield Path("/proc", said.stdout.strip(), "ns/net").stat().st_ino


def _measure(way: Way, seconds: float, namespaces: set[int], *, kept: bool) -> None:
    with load(way.client, way.url, kept=kept) as whole:
        time.sleep(_WARM)
        before, begun = processor_seconds(namespaces), time.monotonic()
        time.sleep(seconds)
        used, ended = processor_seconds(namespaces) - before, time.monotonic()
    loaded = whole.between(begun, ended)
    if len(loaded.answers) < 2:
        raise RuntimeError(f"{way.name}: no answers from {way.url}; {dict(whole.errors)}")
    p50, p99 = loaded.latency()
    way.rates.append(loaded.rate)
    way.middle.append(p50)
    way.late.append(p99)
    way.costs.append(used / len(loaded.answers))
    wrong = sum(answer.version != VERSIONS[0] for answer in whole.answers)
    way.failed += +(whole.errors + Counter({"version": wrong}))


def _report(stage: Stage, part: str, ways: dict[str, Way], *, kept: bool) -> None:
    add = stage.results.add
    for way in ways.values():
        note = f"p50 {median(way.middle) * 1e6:,.0f} µs, p99 {median(way.late) * 1e6:,.0f} µs, "
        note += f"{median(way.costs) * 1e6:,.0f} µs of processor time a request"
        add(part, way.name, median(way.rates), "requests/s", note=note)
    direct, ours = ways["direct"], ways["alongside"]

    def compare(one: Way, other: Way, aim: Aim | None, more: str = "") -> None:
        cost = f"by processor time {ratio(other.costs, one.costs):.2f}{more}"
        what = f"{one.name} to {other.name}"
        add(part, what, ratio(one.rates, other.rates), aim=None if kept else aim, note=cost)

    compare(ours, direct, Aim("≥", 0.97))
    compare(ways["direct again"], direct, None, "; the noise")
    for name in _PROXIES:
        compare(ours, ways[name], Aim(">", 2))
    add(part, "failed, all ways", sum(way.failed.total() for way in ways.values()), aim=Aim("=", 0))
    stage.results.raw[part] = {
        way.name: {
            "rate": [round(one) for one in way.rates],
            "p50_us": [round(one * 1e6) for one in way.middle],
            "p99_us": [round(one * 1e6) for one in way.late],
            "processor_us": [round(one * 1e6, 1) for one in way.costs],
            "failed": way.failed,
        }
        for way in ways.values()
    }
