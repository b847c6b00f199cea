"""The tracer and the kernel, held to the same answers: real packets, random rulesets."""

from __future__ import annotations

import random
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from alongside.domain.port import Port, Protocol
from alongside.domain.route import Assign
from alongside.router.compile import compile_table
from alongside.router.nft import NftRouter
from alongside.router.protocol import Choice, RoutedPort, Ruleset
from alongside.router.tracer import Delivered, Dropped, Landing, Packet, Rejected, Untouched, trace
from support.host import Host
from support.namespace import Namespace
from support.pretend import REFUSED, SILENCE, Answer, Stage, local_port, name_of

pytestmark = pytest.mark.host

PUBLIC = (5300, 8000)  # one that is the containers' own number as well, and one that is not
TARGET = 5300
OWN = ("198.51.100.1", "198.51.100.9", "2001:db8:51:100::1", "2001:db8:51:100::9")
MOST = 2**32 - 1
BOTH = (Protocol.TCP, Protocol.UDP)


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with Host() as host, Stage(host) as made:
        host.run(["ip", "address", "add", "198.51.100.9/24", "dev", "eth0"])
        host.run(["ip", "address", "add", "2001:db8:51:100::9/64", "dev", "eth0", "nodad"])
        made.answer(TARGET, *BOTH)
        gateway = str(made.subnets[0].gateway4)
        for port in PUBLIC:
            made.answer_as_host((*OWN, "127.0.0.1", "127.0.0.53", "::1", gateway), port, *BOTH)
        yield made


@pytest.fixture
def router(stage: Stage) -> NftRouter:
    return NftRouter(namespace=stage.host.path)


def random_ruleset(draw: random.Random, stage: Stage) -> Ruleset:
    bound = [None, None, "198.51.100.9", "2001:db8:51:100::9", "127.0.0.1"]
    ports = {
        Port(
            draw.choice(BOTH),
            draw.choice(PUBLIC),
            ip_address(where) if (where := draw.choice(bound)) else None,
        )
        for _ in range(6)
    }
    return Ruleset(
        ports=tuple(
            RoutedPort(
                port,
                tuple(
                    Choice(stage.target(number, TARGET), draw.randint(1, 9))
                    for number in draw.sample(range(3), draw.choice((0, 1, 1, 2, 3)))
                ),
                draw.choice(tuple(Assign)),
            )
            for port in sorted(ports, key=lambda port: port.sort_key)
        ),
        subnets=stage.subnets,
        container_bridges=frozenset({stage.foreign_bridge}),
        local_ports=frozenset(local_port(number, TARGET) for number in range(3)),
    )


def questions(stage: Stage) -> Iterator[tuple[str, Namespace, str | None, str, int, str]]:
    """Name, asker, the interface that its packets come in by, destination, port, source."""
    host = stage.host
    for port in PUBLIC:
        for to in OWN:
            source = stage.outside.address6 if ":" in to else stage.outside.address4
            yield "outside", stage.outside, "eth0", to, port, source
            yield "host", host, None, to, port, to
        for to in ("127.0.0.1", "::1", "127.0.0.53"):
            yield "loopback", host, None, to, port, "127.0.0.1" if "." in to else to
        for number, subnet in enumerate(stage.subnets[:2]):
            for to, source in ((OWN[0], subnet.address4), (OWN[2], subnet.address6)):
                inside = stage.inside[number]
                yield "instance", inside, subnet.bridge, to, port, str(source)
        own = stage.subnets[0]
        for to, place in (
            (OWN[0], own.ipv4[3]),
            (OWN[3], own.ipv6[3]),
            (str(own.gateway4), own.ipv4[3]),
        ):
            yield "neighbour", stage.neighbour, own.bridge, to, port, str(place)
        yield "container", stage.foreign, stage.foreign_bridge, OWN[1], port, "172.30.0.2"
        yield "container", stage.foreign, stage.foreign_bridge, OWN[3], port, "fd00:30:0:1::2"


def intrusions(stage: Stage) -> Iterator[tuple[str, Namespace, str | None, str, int, str]]:
    """From where an instance's addresses and local ports must not be reached. No ruleset makes
    a difference to it."""
    subnet = stage.subnets[0]
    local = local_port(0, TARGET)
    for asker, interface, source4, source6 in (
        (stage.outside, "eth0", stage.outside.address4, stage.outside.address6),
        (stage.foreign, stage.foreign_bridge, "172.30.0.2", "fd00:30:0:1::2"),
        (stage.inside[1], stage.subnets[1].bridge, "10.213.0.18", "fd00:a1:51de:1::2"),
    ):
        yield "guard", asker, interface, str(subnet.address4), TARGET, source4
        yield "guard", asker, interface, str(subnet.address6), TARGET, source6
        yield "guard", asker, interface, str(subnet.gateway4), local, source4
        yield "guard", asker, interface, str(subnet.proxy6), local, source6


@pytest.mark.parametrize("seed", range(12))
async def test_the_tracer_says_what_the_kernel_does(
    stage: Stage, router: NftRouter, seed: int
) -> None:
    draw = random.Random(seed)
    stage.bridge_netfilter(seed % 2 == 1)
    wanted = random_ruleset(draw, stage)
    await router.apply(wanted)
    table = compile_table(wanted)
    own = set(OWN)
    for subnet in stage.subnets:
        own |= {str(subnet.gateway4), str(subnet.gateway6), str(subnet.proxy6)}
    host = frozenset(map(ip_address, own))
    asked = [*questions(stage), *(intrusions(stage) if seed == 0 else ())]
    wrong = []
    for about, asker, interface, to, port, source in asked:
        protocol = draw.choice(BOTH)
        expected: set[str] = set()
        for draws in ((0,), (MOST, 0), (MOST,)):  # the first of a split, the second, the last
            packet = Packet(
                ip_address(source), ip_address(to), protocol, port, interface, draws=draws
            )
            expected.add(outcome(trace(table, packet, host)))
        got = stage.ask(asker, to, port, protocol, timeout=0.25)
        who = got.who if isinstance(got, Answer) else got
        if who not in expected:
            wrong.append(f"{about} -> {to}:{port}/{protocol}: {who}, the tracer says {expected}")
    # Within its own bridge an instance is reached, and so are its local ports by IPv4.
    first = stage.subnets[0]
    for to, port in (
        (first.address4, TARGET),
        (first.address6, TARGET),
        (first.gateway4, local_port(0, TARGET)),
    ):
        for protocol in BOTH:
            got = stage.ask(stage.neighbour, to, port, protocol)
            if not (isinstance(got, Answer) and got.who == name_of(to, port)):
                wrong.append(f"neighbour -> {to}:{port}/{protocol}: {got}")
    assert len(asked) > 30
    assert not wrong, "\n".join(wrong)


def outcome(landing: Landing) -> str:
    match landing:
        case Delivered(address, number):
            return name_of(address, number)
        case Rejected():
            return REFUSED
        case Dropped():
            return SILENCE
        case Untouched():
            return "host"
