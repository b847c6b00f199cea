"""(a) What a switch loses under load, and how long it takes.

Every connection that begins during the switches is counted: refused, reset, cut, unanswered, or
answered by a version that the port did not name from its beginning to its end. The contenders
take turns, round by round.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from statistics import median

from alongside.domain.version import Version
from alongside.plan.wanted import wanted_ruleset
from alongside.router.nft import NftRouter
from alongside.router.protocol import Ruleset
from alongside.store.database import Database
from alongside.store.instances import Instances
from alongside.store.releases import Releases
from alongside.store.routes import Routes
from bench.hosts import SERVICE, VERSIONS, Alongside
from bench.load import Loaded, Switch, load, strangers
from bench.proxies import HTTP_PORT, NGINX_PORT
from bench.results import Aim
from bench.stage import Stage
from support.namespace import Namespace

PART = "switches under load"
ROUNDS = 3


@dataclass(slots=True)
class Contender:
    """`to` switches, and returns when the one who asked thinks that it is done. `pause` between
    two switches, in seconds: long enough for answers to come from one version alone."""

    name: str
    client: Namespace
    url: str
    to: Callable[[str], object]
    switches: int
    pause: float
    seconds: list[float] = field(default_factory=list)  # a switch
    seen: list[float] = field(default_factory=list)  # until the new version first answers
    connections: int = 0
    failed: int = 0
    strange: int = 0
    slow: int = 0
    loaded: float = 0.0  # seconds under load


def run(stage: Stage, *, alone: bool = False) -> None:
    """`alone`: alongside by itself, for a long run."""
    contenders = [*_ours(stage), *(() if alone else _theirs(stage))]
    for number in range(ROUNDS):
        for one in contenders:
            stage.say(f"switches: {one.name}, round {number + 1} of {ROUNDS}")
            _turn(one, -(-one.switches // ROUNDS))
    _router_alone(stage, contenders)
    for one in contenders:
        _report(stage, one)


def _ours(stage: Stage) -> Iterator[Contender]:
    ours = stage.alongside
    yield Contender(
        "alongside",
        ours.host.client,
        ours.url,
        lambda version: ours.change("activate", version),
        max(ROUNDS, stage.size.switches // 5),
        pause=0.005,
    )


def _theirs(stage: Stage) -> Iterator[Contender]:
    plain, nginx, haproxy = stage.plain, stage.nginx, stage.haproxy
    client, address = plain.host.client, plain.host.address4
    few = max(ROUNDS, stage.size.switches // 20)

    def article(version: str) -> None:
        plain.article(f"container-activate {SERVICE}-{version}")

    yield Contender("article", client, f"http://{address}/", article, few, pause=0.05)
    yield Contender(
        "nginx reload", client, f"http://{address}:{NGINX_PORT}/", nginx.switch, few, pause=0.2
    )
    yield Contender(
        "haproxy weights",
        client,
        f"http://{address}:{HTTP_PORT}/",
        haproxy.switch,
        few,
        pause=0.005,
    )


def _turn(one: Contender, count: int) -> None:
    """So many switches in one load."""
    first, other = VERSIONS
    one.to(first)
    time.sleep(0.5)  # a reload's old workers are gone
    switches: list[Switch] = []
    with load(one.client, one.url) as loaded:
        time.sleep(0.3)
        for number in range(count):
            version = first if number % 2 else other
            begun = time.monotonic()
            one.to(version)
            switches.append(Switch(begun, time.monotonic(), version))
            time.sleep(one.pause)
        time.sleep(0.3)
    _count(one, first, switches, loaded)


def _count(one: Contender, first: str, switches: list[Switch], loaded: Loaded) -> None:
    one.seconds += [switch.ended - switch.begun for switch in switches]
    one.seen += _seen(switches, loaded)
    one.connections += len(loaded.answers) + loaded.failed
    one.failed += loaded.failed
    one.strange += len(strangers(loaded.answers, first, switches))
    one.slow += loaded.slow
    one.loaded += loaded.seconds


def _seen(switches: list[Switch], loaded: Loaded) -> Iterator[float]:
    """For each switch, from its beginning to the end of the new version's first answer."""
    answers = iter(loaded.answers)
    for switch in switches:
        for answer in answers:
            if answer.begun >= switch.begun and answer.version == switch.to:
                yield answer.ended - switch.begun
                break


def _router_alone(stage: Stage, contenders: list[Contender]) -> None:
    """The router without the daemon around it: the same ruleset, thousands of times. The daemon
    is stopped meanwhile; it would put its own table back."""
    ours = stage.alongside
    stage.say(f"switches: the router alone, {stage.size.switches}")
    rulesets = _rulesets(ours)
    ours.stop()
    try:
        with _router(ours) as commit:
            one = Contender(
                "router alone",
                ours.host.client,
                ours.url,
                lambda version: commit(rulesets[version]),
                stage.size.switches,
                pause=0.003,
            )
            _turn(one, one.switches)
            contenders.insert(1, one)
    finally:
        ours.start()


def _rulesets(ours: Alongside) -> dict[str, Ruleset]:
    """What the daemon would want of the kernel for each version."""
    found = {}
    for version in VERSIONS:
        ours.change("activate", version)
        with closing(Database(ours.state / "state.db")) as database:
            instances = Instances(database).all()
            found[version] = wanted_ruleset(
                Routes(database).all(),
                instances,
                Releases(database).all(),
                frozenset(instance.subnet.bridge for instance in instances) | {"docker0"},
            )
    assert {one.version for one in instances} == set(map(Version, VERSIONS))
    return found


@contextmanager
def _router(ours: Alongside) -> Iterator[Callable[[Ruleset], object]]:
    with asyncio.Runner() as runner:
        router = NftRouter(namespace=ours.host.path)
        yield lambda wanted: runner.run(router.apply(wanted))


def _report(stage: Stage, one: Contender) -> None:
    mine = one.name in ("alongside", "router alone")
    add, part = stage.results.add, f"{PART}: {one.name}"
    note = f"of {one.connections:,} connections, {one.connections / one.loaded:,.0f} a second"
    add(part, "switches", len(one.seconds))
    add(part, "lost", one.failed, aim=Aim("=", 0) if mine else None, note=note)
    add(
        part,
        "answered by another version",
        one.strange,
        aim=Aim("=", 0) if mine else None,
        note="than the port named meanwhile",
    )
    add(part, "answered late (a lost SYN)", one.slow, aim=Aim("=", 0) if mine else None)
    add(part, "a switch takes", median(one.seconds) * 1e3, "ms")
    if one.seen:
        add(part, "until the new version answers", median(one.seen) * 1e3, "ms")
    stage.results.raw[part] = {
        "switch_ms": [round(one * 1e3, 2) for one in one.seconds],
        "seen_ms": [round(one * 1e3, 2) for one in one.seen],
        "connections": one.connections,
        "failed": one.failed,
        "strange": one.strange,
        "slow": one.slow,
        "seconds": one.loaded,
    }
