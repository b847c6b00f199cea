"""(b) What a path costs: requests a second and latency, by each way to the same container.

Every way is measured once a round, in an order that rotates, and held against the direct way of
the same round. Client, path and server share the machine's cores, so a ratio is one of processor
time. `direct` is measured twice a round: the second says how much of a ratio is noise.
"""

from __future__ import annotations

import time
from collections import Counter
from statistics import median

from bench.hosts import SERVICE, VERSIONS
from bench.load import load
from bench.proxies import HTTP_PORT, NGINX_PORT, TCP_PORT
from bench.results import Aim, ratio
from bench.stage import Stage
from support.namespace import Namespace

_WARM = 0.1  # seconds

_PROXIES = ("docker-proxy", "nginx", "haproxy tcp", "haproxy http")


def run(stage: Stage) -> None:
    ways = _ways(stage)
    for kept, name in ((False, "new connections"), (True, "kept connections")):
        rounds = stage.size.rounds if not kept else max(2, stage.size.rounds // 3)
        _measure(stage, ways, f"paths, {name}", kept=kept, rounds=rounds)


def _ways(stage: Stage) -> dict[str, tuple[Namespace, str]]:
    """Each way: from which client to what."""
    ours, plain = stage.alongside, stage.plain
    # Whatever was measured before: every way leads to the first version now.
    plain.article(f"container-activate {SERVICE}-{VERSIONS[0]}")
    stage.nginx.switch(VERSIONS[0])
    stage.haproxy.switch(VERSIONS[0])
    ours.change("activate", VERSIONS[0])
    time.sleep(0.5)  # nginx's old workers are gone
    host, client = plain.host.address4, plain.host.client
    direct = f"http://{plain.addresses[VERSIONS[0]]}/"
    return {
        "direct": (client, direct),
        "alongside": (ours.host.client, ours.url),
        "docker-proxy": (client, f"http://{host}/"),
        "nginx": (client, f"http://{host}:{NGINX_PORT}/"),
        "haproxy tcp": (client, f"http://{host}:{TCP_PORT}/"),
        "haproxy http": (client, f"http://{host}:{HTTP_PORT}/"),
        "direct again": (client, direct),
    }


def _measure(
    stage: Stage, ways: dict[str, tuple[Namespace, str]], part: str, *, kept: bool, rounds: int
) -> None:
    rates: dict[str, list[float]] = {name: [] for name in ways}
    middle: dict[str, list[float]] = {name: [] for name in ways}
    late: dict[str, list[float]] = {name: [] for name in ways}
    failed: Counter[str] = Counter()
    names = list(ways)
    for number in range(rounds):
        stage.say(f"{part}: round {number + 1} of {rounds}")
        for name in names[number % len(names) :] + names[: number % len(names)]:
            client, url = ways[name]
            with load(client, url, kept=kept):
                time.sleep(_WARM)
            with load(client, url, kept=kept) as loaded:
                time.sleep(stage.size.seconds)
            p50, p99 = loaded.latency()
            rates[name].append(loaded.rate)
            middle[name].append(p50 * 1e6)
            late[name].append(p99 * 1e6)
            wrong = sum(one.version != VERSIONS[0] for one in loaded.answers)
            failed[name] += loaded.failed + wrong
    stage.results.raw[part] = {"rate": rates, "p50_us": middle, "p99_us": late, "failed": failed}
    for name in names:
        note = f"p50 {median(middle[name]):,.0f} µs, p99 {median(late[name]):,.0f} µs"
        stage.results.add(part, name, median(rates[name]), "requests/s", note=note)
    add = stage.results.add
    aim = None if kept else Aim("≥", 0.97)
    add(part, "alongside to direct", ratio(rates["alongside"], rates["direct"]), aim=aim)
    add(part, "direct again to direct", ratio(rates["direct again"], rates["direct"]), note="noise")
    for name in _PROXIES:
        aim = None if kept else Aim(">", 2)
        add(part, f"alongside to {name}", ratio(rates["alongside"], rates[name]), aim=aim)
    add(part, "failed, all ways", failed.total(), aim=Aim("=", 0))
