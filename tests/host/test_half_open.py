"""Clients that were never answered: after a switch they are decided anew, and nothing else is."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from alongside.daemon.half_open import HalfOpen
from alongside.domain.port import Protocol, parse_port
from alongside.router import half_open as module
from alongside.router.conntrack import name_of
from alongside.router.netlink import NETLINK_NETFILTER, open_netlink
from alongside.router.nft import NftRouter
from alongside.router.protocol import AddressTarget, Choice, HostTarget, RoutedPort, Ruleset, Target
from support.hanging import connecting, full, half_open, swallowing
from support.host import Host
from support.namespace import Namespace
from support.pretend import REFUSED, Stage, local_port

pytestmark = pytest.mark.host

PORT = 5300  # public, and the instances' own
ROUTED = parse_port(f"{PORT}/tcp")
SOURCES = range(40001, 40006)


@pytest.fixture(scope="module")
def made_stage() -> Iterator[Stage]:
    with Host() as host, Stage(host) as made:
        made.answer(PORT, Protocol.TCP)
        made.listen(host, host.address4, PORT + 1, Protocol.TCP, name="host")
        yield made


@pytest.fixture
async def stage(made_stage: Stage) -> Stage:
    await NftRouter(namespace=made_stage.host.path).remove()
    made_stage.host.run(["conntrack", "-F"])
    return made_stage


def ruleset(stage: Stage, *targets: Target, gone: bool = False) -> Ruleset:
    """The port leads to one of these; to none with a reject, or it is `gone`."""
    choices = tuple(Choice(one, 1) for one in targets)
    return Ruleset(
        ports=() if gone else (RoutedPort(ROUTED, choices),),
        subnets=stage.subnets,
        container_bridges=frozenset({stage.foreign_bridge}),
        local_ports=frozenset(local_port(one, PORT) for one in range(3)),
    )


class Switched:
    """A router, and the looks after each commit that the daemon makes beside it."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.router = NftRouter(namespace=stage.host.path)
        self.wanted = Ruleset()
        self.problems: dict[str, str] = {}
        self.looks = HalfOpen(self.router, lambda: self.wanted, self.problems)

    async def to(self, *targets: Target, gone: bool = False) -> None:
        self.wanted = ruleset(self._stage, *targets, gone=gone)
        await self.router.apply(self.wanted)
        self.looks.look((ROUTED,) if gone else ())


@pytest.fixture
async def switched(stage: Stage) -> AsyncIterator[Switched]:
    made = Switched(stage)
    looking = asyncio.create_task(made.looks.run())
    yield made
    looking.cancel()
    assert made.problems == {}


async def heard(client: socket.socket) -> str:
    """Who answered in the end, or that it was refused."""
    loop = asyncio.get_running_loop()
    try:
        return (await asyncio.wait_for(loop.sock_recv(client, 100), 30)).decode().split()[0]
    except ConnectionRefusedError:
        return REFUSED


async def come_to(stage: Stage, count: int) -> None:
    """So many of the public port's are half-open."""
    async with asyncio.timeout(30):
        # Nothing tells of an entry that goes: it is asked.
        while half_open(stage.host, PORT) != count:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


def who(stage: Stage, number: int, version: int = 4) -> str:
    subnet = stage.subnets[number]
    return f"{subnet.address6 if version == 6 else subnet.address4}:{PORT}"


@pytest.mark.parametrize("version", [4, 6])
async def test_clients_of_a_version_that_hangs_reach_the_new_one(
    stage: Stage, switched: Switched, version: int
) -> None:
    """Those that were connecting at the switch, and those that ask again from the same port."""
    address = stage.host.address6 if version == 6 else stage.host.address4
    await switched.to(stage.target(0, PORT))
    with swallowing(stage.inside[0].path, PORT), ExitStack() as sockets:
        for source in SOURCES:
            connecting(stage.outside, address, PORT, source=source).close()
        waiting = [connecting(stage.outside, address, PORT) for _ in SOURCES]
        for one in waiting:
            sockets.enter_context(one)
        assert half_open(stage.host, PORT) == 2 * len(SOURCES)
        await switched.to(stage.target(1, PORT))
        for source in SOURCES:  # they never rest
            connecting(stage.outside, address, PORT, source=source).close()
        answers = await asyncio.gather(*map(heard, waiting))
        await come_to(stage, 0)
        for source in SOURCES:
            with connecting(stage.outside, address, PORT, source=source) as again:
                answers.append(await heard(again))
    assert answers == [who(stage, 1, version)] * 2 * len(SOURCES)


async def test_whichever_way_they_come(stage: Stage, switched: Switched) -> None:
    """From outside, from the host itself, over loopback, from a container of another network and
    of the instance's own; the last three go to local ports, and what listens there hangs too."""
    host, old, local = stage.host, stage.subnets[0], local_port(0, PORT + 3)
    await switched.to(stage.target(0, PORT + 3))
    with ExitStack() as hanging:
        for address in (old.address4, old.address6):
            hanging.enter_context(full(stage.inside[0], str(address), PORT + 3))
        for near in ("127.0.0.1", "::1", str(old.gateway4), str(old.proxy6)):
            hanging.enter_context(full(host, near, local))
        clients = [
            hanging.enter_context(connecting(where, address, PORT))
            for where, address in (
                (stage.outside, host.address4),
                (host, host.address4),
                (host, host.address6),
                (host, "127.0.0.1"),
                (host, "::1"),
                (stage.foreign, host.address4),
                (stage.foreign, host.address6),
                (stage.neighbour, host.address4),
            )
        ]
        await come_to(stage, len(clients))
        await switched.to(stage.target(1, PORT))
        answers = await asyncio.gather(*map(heard, clients))
    near, far = local_port(1, PORT), stage.subnets[1]
    assert answers == [
        who(stage, 1),
        who(stage, 1),
        who(stage, 1, 6),
        f"127.0.0.1:{near}",
        f"::1:{near}",
        f"{far.gateway4}:{near}",
        f"{far.proxy6}:{near}",
        f"{far.gateway4}:{near}",
    ]


async def test_a_port_that_is_taken_away_or_given_to_something_else(
    stage: Stage, switched: Switched
) -> None:
    """From a version to nobody, to an address elsewhere, to a program, and to no route at all:
    each is where a client hangs, and the next is where it ends."""
    host, far = stage.host, stage.foreign
    elsewhere = AddressTarget("far", stage.subnets[2].address4, PORT + 2)  # where none listens
    ways: list[tuple[tuple[Target, ...], bool, str]] = [
        ((), False, REFUSED),
        ((stage.target(1, PORT),), False, who(stage, 1)),
        ((HostTarget("host", PORT + 1),), False, "host"),
        ((), True, REFUSED),  # none of the host's own listens there
    ]
    assert far is not None
    with swallowing(stage.inside[0].path, PORT), swallowing(stage.inside[2].path, PORT + 2):
        for number, (targets, gone, expected) in enumerate(ways):
            await switched.to(elsewhere if number % 2 else stage.target(0, PORT))
            with connecting(stage.outside, host.address4, PORT) as client:
                await come_to(stage, 1)
                await switched.to(*targets, gone=gone)
                assert await heard(client) == expected
            await come_to(stage, 0)


@contextmanager
def listening(where: Namespace, address: object) -> Iterator[socket.socket]:
    """A program that accepts when it is told to."""
    with where.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((str(address), PORT + 3))
        listener.listen()
        listener.setblocking(False)
        yield listener


async def talk(client: socket.socket, listener: socket.socket) -> None:
    """The client's connection is accepted there, and both sides hear one another."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(30):
        server, _ = await loop.sock_accept(listener)
        with server:
            await loop.sock_sendall(client, b"there?")
            assert await loop.sock_recv(server, 100) == b"there?"
            await loop.sock_sendall(server, b"here")
            assert await loop.sock_recv(client, 100) == b"here"


@pytest.mark.parametrize("filters", [True, False], ids=["", "a kernel without the filter"])
async def test_what_was_answered_stays(
    stage: Stage, switched: Switched, monkeypatch: pytest.MonkeyPatch, filters: bool
) -> None:
    """An established connection, and one whose answer the host has seen and the client has not."""
    if not filters:
        monkeypatch.setattr(module, "_UNANSWERED", [bytes(4)])
    outside, old = stage.outside, stage.subnets[0].address4
    with ExitStack() as all_:
        listener = all_.enter_context(listening(stage.inside[0], old))
        await switched.to(stage.target(0, PORT + 3))
        kept = all_.enter_context(connecting(outside, stage.host.address4, PORT))
        with swallowing(outside.path, PORT, "answers that come"):
            answered = all_.enter_context(connecting(outside, stage.host.address4, PORT))
            new = ruleset(stage, stage.target(1, PORT))
            await switched.router.apply(new)
            for _ in range(2):
                assert await switched.router.clean_half_open(new, frozenset()) == frozenset()
        await talk(kept, listener)
        await talk(answered, listener)


async def test_what_is_answered_between_two_looks_stays(stage: Stage, switched: Switched) -> None:
    """Though the first of them has seen it."""
    new = ruleset(stage, stage.target(1, PORT))
    with ExitStack() as all_:
        listener = all_.enter_context(listening(stage.inside[0], stage.subnets[0].address4))
        await switched.router.apply(ruleset(stage, stage.target(0, PORT + 3)))
        with swallowing(stage.inside[0].path, PORT + 3, "answers that leave"):
            late = all_.enter_context(connecting(stage.outside, stage.host.address4, PORT))
            await switched.router.apply(new)
            seen = await switched.router.clean_half_open(new, frozenset())
            assert len(seen) == 1
            assert await switched.router.clean_half_open(new, frozenset()) == seen, "none is gone"
        await come_to(stage, 0)
        assert await switched.router.clean_half_open(new, seen) == frozenset()
        await talk(late, listener)


async def test_what_is_answered_after_it_was_read_stays(
    stage: Stage, switched: Switched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And though both looks have seen it unanswered: it is asked for once more."""
    new = ruleset(stage, stage.target(1, PORT))
    with ExitStack() as all_:
        listener = all_.enter_context(listening(stage.inside[0], stage.subnets[0].address4))
        await switched.router.apply(ruleset(stage, stage.target(0, PORT + 3)))
        with swallowing(stage.inside[0].path, PORT + 3, "answers that leave"):
            late = all_.enter_context(connecting(stage.outside, stage.host.address4, PORT))
            await switched.router.apply(new)
            seen = await switched.router.clean_half_open(new, frozenset())
            with open_netlink(NETLINK_NETFILTER, namespace=stage.host.path) as channel:
                read = list(module.entries(channel, socket.IPPROTO_TCP, [bytes(4)]))
            assert seen <= {name_of(entry) for _, entry in read}
        await come_to(stage, 0)
        monkeypatch.setattr(module, "entries", lambda *_: iter(read))
        assert await switched.router.clean_half_open(new, seen) == frozenset()
        await talk(late, listener)


async def test_those_of_others_are_left_alone(stage: Stage, switched: Switched) -> None:
    """What the host asks an instance, what an instance asks elsewhere from the public port's
    number, what another table's DNAT leads somewhere, and what a route still explains."""
    host, old = stage.host, stage.subnets[0].address4
    await switched.to(stage.target(0, PORT), stage.target(1, PORT))
    with ExitStack() as all_:
        for where, port in (
            (stage.inside[0].path, PORT),
            (stage.inside[1].path, PORT),
            (stage.foreign.path, PORT),
            (stage.outside.path, PORT + 9),
        ):
            all_.enter_context(swallowing(where, port))
        host.nft(f"""table ip others {{
            chain prerouting {{
                type nat hook prerouting priority -100
                tcp dport {PORT + 8} dnat to 172.30.0.2:{PORT}
            }}
        }}""")
        all_.callback(host.nft, "delete table ip others\n")
        for client in (
            connecting(stage.outside, host.address4, PORT),
            connecting(host, str(old), PORT),
            connecting(stage.outside, host.address4, PORT + 8),
            connecting(stage.neighbour, host.client.address4, PORT + 9, source=PORT),
        ):
            all_.enter_context(client)
        for wanted in (
            switched.wanted,
            ruleset(stage, stage.target(0, PORT), stage.target(1, PORT)),
        ):
            assert await switched.router.clean_half_open(wanted, frozenset()) == frozenset()
        left = await switched.router.clean_half_open(ruleset(stage), frozenset())
        assert len(left) == 1, "the client of the public port alone"
