"""Connections of a real kernel: counted by the far end that they live on, and cut."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import resource
import select
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from alongside.domain.errors import MissingRequirement
from alongside.domain.port import Protocol, parse_port
from alongside.host import cut as module
from alongside.host.cut import cut
from alongside.router import connections as counting
from alongside.router.netlink import (
    NETLINK_NETFILTER,
    NLM_F_REQUEST,
    attribute,
    message,
    open_netlink,
)
from alongside.router.nft import NftRouter
from alongside.router.protocol import Choice, Connections, FarEnd, RoutedPort, Ruleset
from support.host import Host
from support.namespace import Namespace
from support.pretend import Stage, local_port

pytestmark = pytest.mark.host

PORT = 5400
TCP, UDP = Protocol.TCP, Protocol.UDP
SILENT = Connections()
Open = Callable[..., "Pair"]


@pytest.fixture(scope="module")
def made_stage() -> Iterator[Stage]:
    with Host() as host, Stage(host, instances=2) as made:
        yield made


@pytest.fixture
async def stage(made_stage: Stage) -> Stage:
    await NftRouter(namespace=made_stage.host.path).remove()
    made_stage.host.run(["conntrack", "-F"])
    return made_stage


@pytest.fixture
def router(stage: Stage) -> NftRouter:
    return NftRouter(namespace=stage.host.path)


class Pair:
    """A client's socket and the server's of one connection."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client, self.server = client, server

    def close(self) -> None:
        self.client.close()
        self.server.close()


class Listener:
    def __init__(
        self,
        stack: contextlib.ExitStack,
        where: Namespace,
        address: str,
        port: int,
        protocol: Protocol = TCP,
    ) -> None:
        self.stack = stack
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        kind = socket.SOCK_STREAM if protocol is TCP else socket.SOCK_DGRAM
        self.socket = stack.enter_context(where.socket(family, kind))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind((address, port))
        self.socket.settimeout(10)
        if protocol is TCP:
            self.socket.listen(4096)

    def connect(self, where: Namespace, address: object, port: int = PORT) -> Pair:
        family = socket.AF_INET6 if ":" in str(address) else socket.AF_INET
        client = self.stack.enter_context(where.socket(family, socket.SOCK_STREAM))
        client.settimeout(10)
        client.connect((str(address), port))
        server = self.stack.enter_context(self.socket.accept()[0])
        server.settimeout(10)
        return Pair(client, server)


@pytest.fixture
def stack() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture
def listen(stack: contextlib.ExitStack) -> Callable[..., Listener]:
    def listen(*args: object, **more: object) -> Listener:
        return Listener(stack, *args, **more)  # type: ignore[arg-type]

    return listen


def ends(stage: Stage, number: int, port: int = PORT) -> list[FarEnd]:
    subnet = stage.subnets[number]
    addresses = (subnet.address4, subnet.address6)
    return [FarEnd(protocol, port, addresses) for protocol in Protocol]


def count(router: NftRouter, far_ends: list[FarEnd]) -> Connections:
    return asyncio.run(router.connections({"it": far_ends}))["it"]


def wait_count(router: NftRouter, far_ends: list[FarEnd], wanted: Connections) -> None:
    deadline = time.monotonic() + 10
    while (seen := count(router, far_ends)) != wanted:
        assert time.monotonic() < deadline, seen
        time.sleep(0.01)


def test_tcp_counts_until_it_is_over_for_both(
    stage: Stage, router: NftRouter, listen: Callable[..., Listener]
) -> None:
    it, other = ends(stage, 0), ends(stage, 1)
    pairs = []
    for number in range(2):
        for address in (stage.subnets[number].address4, stage.subnets[number].address6):
            listener = listen(stage.inside[number], str(address), PORT)
            pairs.append(listener.connect(stage.outside, address))
    assert count(router, it) == count(router, other) == Connections(tcp=2)
    assert count(router, ends(stage, 0, PORT + 1)) == SILENT

    for pair in pairs[:2]:  # the client has no more to say; the server has
        pair.client.shutdown(socket.SHUT_WR)
        assert pair.server.recv(1) == b""
    assert count(router, it) == Connections(tcp=2)

    pairs[0].close()  # in order: TIME_WAIT
    wait_count(router, it, Connections(tcp=1))
    pairs[1].server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    pairs[1].server.close()  # by a reset: CLOSE
    wait_count(router, it, SILENT)
    assert count(router, other) == Connections(tcp=2)


def test_a_connection_that_is_asked_for_counts(stage: Stage, router: NftRouter) -> None:
    """Whoever hangs and takes no connection has some nevertheless."""
    stage.inside[0].nft("table ip deaf { chain in { type filter hook input priority 0; drop; }; }")
    with stage.outside.socket(socket.AF_INET, socket.SOCK_STREAM) as client:
        client.setblocking(False)
        client.connect_ex((str(stage.subnets[0].address4), PORT))
        wait_count(router, ends(stage, 0), Connections(tcp=1))
    stage.inside[0].nft("delete table ip deaf")


def test_udp_counts_once_it_was_answered(
    stage: Stage, router: NftRouter, listen: Callable[..., Listener], stack: contextlib.ExitStack
) -> None:
    it, subnet = ends(stage, 0), stage.subnets[0]
    for address in (subnet.address4, subnet.address6):
        server = listen(stage.inside[0], str(address), PORT, UDP).socket
        client = stack.enter_context(stage.outside.socket(server.family, socket.SOCK_DGRAM))
        client.settimeout(10)
        client.connect((str(address), PORT))
        before = count(router, it).udp
        client.send(b"?")
        asked, peer = server.recvfrom(10)
        assert count(router, it) == Connections(udp=before)

        server.sendto(asked, peer)
        assert client.recv(10) == b"?"
        assert count(router, it) == Connections(udp=before + 1)
    assert count(router, it) == Connections(udp=2)


def test_after_a_switch_those_that_stayed_are_the_old_one_s(
    stage: Stage, router: NftRouter, listen: Callable[..., Listener], stack: contextlib.ExitStack
) -> None:
    def switch(number: int) -> None:
        choice = Choice(stage.target(number, PORT), 1)
        ruleset = Ruleset(
            ports=(RoutedPort(parse_port(f"{PORT}/tcp"), (choice,)),),
            subnets=stage.subnets,
            local_ports=frozenset(local_port(one, PORT) for one in range(2)),
        )
        asyncio.run(router.apply(ruleset))

    listeners = [
        listen(stage.inside[one], str(stage.subnets[one].address4), PORT) for one in range(2)
    ]
    public = stage.host.client.host4
    switch(0)
    for _ in range(3):
        listeners[0].connect(stage.outside, public)
    switch(1)
    listeners[1].connect(stage.outside, public)

    asked = {
        "old": ends(stage, 0),
        "new": ends(stage, 1),
        "both": [*ends(stage, 0), *ends(stage, 1)],
    }
    assert asyncio.run(router.connections(asked)) == {
        "old": Connections(tcp=3),
        "new": Connections(tcp=1),
        "both": Connections(tcp=4),
    }
    assert asyncio.run(router.connections({})) == {}


def test_in_the_host_s_network_any_address_of_the_host_counts_and_no_other(
    stage: Stage, router: NftRouter, listen: Callable[..., Listener]
) -> None:
    it = [FarEnd(TCP, PORT + 5), FarEnd(UDP, PORT + 5)]
    places = [stage.host.client.host4, stage.host.client.host6]
    pairs = [
        listen(stage.host, place, PORT + 5).connect(stage.outside, place, PORT + 5)
        for place in places
    ]
    pairs.append(
        listen(stage.host, "127.0.0.7", PORT + 5).connect(stage.host, "127.0.0.7", PORT + 5)
    )
    # The same port of somebody else's, asked by the host.
    theirs = listen(stage.outside, stage.outside.address4, PORT + 5)  # type: ignore[attr-defined]
    pairs.append(theirs.connect(stage.host, stage.outside.address4, PORT + 5))  # type: ignore[attr-defined]

    assert count(router, it) == Connections(tcp=3)


def test_among_many_of_another_service_it_costs_little(
    stage: Stage,
    router: NftRouter,
    listen: Callable[..., Listener],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for address in (stage.subnets[0].address4, stage.subnets[0].address6):
        listen(stage.inside[0], str(address), PORT).connect(stage.outside, address)
    made = _many(stage, 20_000)

    few = _processor_time(lambda: count(router, ends(stage, 0)))
    monkeypatch.setattr(counting, "MOST_DUMPS", 0)  # all of it, sorted out here
    assert count(router, ends(stage, 1)) == Connections(udp=made)
    every = _processor_time(lambda: count(router, ends(stage, 0)))
    print(
        f"{made} entries of another service: {few * 1000:.1f} ms, sorted here {every * 1000:.1f} ms"
    )

    assert few < every / 2


def _processor_time(work: Callable[[], Connections]) -> float:
    """Seconds, the least of five."""
    taken = []
    for _ in range(5):
        began = time.process_time()
        assert work() == Connections(tcp=2)
        taken.append(time.process_time() - began)
    return min(taken)


def _many(stage: Stage, number: int) -> int:
    """So many answered UDP flows to the second instance, as the kernel would have noted them."""
    here = stage.subnets[1].address4.packed
    with open_netlink(NETLINK_NETFILTER, namespace=stage.host.path) as channel:
        for first in range(0, number, 200):
            channel.send(b"".join(_flow(here, one) for one in range(first, first + 200)))
    # They are there when their sender's messages have been dealt with, which send itself does.
    return number


def _flow(here: bytes, number: int) -> bytes:
    client, port = ip_address(0x0A800000 + number // 50_000).packed, 10_000 + number % 50_000

    def tuple_(kind: int, source: bytes, target: bytes, from_: int, to: int) -> bytes:
        addresses = attribute(1, source) + attribute(2, target)
        ports = attribute(2, from_.to_bytes(2, "big")) + attribute(3, to.to_bytes(2, "big"))
        return attribute(
            kind | 0x8000,
            attribute(1 | 0x8000, addresses)
            + attribute(2 | 0x8000, attribute(1, bytes((17,))) + ports),
        )

    flow = tuple_(1, client, here, port, PORT) + tuple_(2, here, client, PORT, port)
    seen = attribute(3, (1 << 1 | 1 << 2 | 1 << 3).to_bytes(4, "big"))  # reply, assured, confirmed
    timeout = attribute(7, (600).to_bytes(4, "big"))
    create = NLM_F_REQUEST | 0x400  # NLM_F_CREATE
    return message(1 << 8, create, bytes((socket.AF_INET, 0, 0, 0)) + flow + seen + timeout)


# -- cutting -------------------------------------------------------------------------------


@pytest.fixture
def inside(stage: Stage, stack: contextlib.ExitStack) -> int:
    """A process in the first instance's namespace."""
    process = subprocess.Popen(
        ["nsenter", f"--net={stage.inside[0].path}", "sleep", "600"], stdin=subprocess.DEVNULL
    )
    stack.callback(process.wait)
    stack.callback(process.kill)
    own = Path("/proc/self/ns/net").stat().st_ino
    deadline = time.monotonic() + 10
    while Path(f"/proc/{process.pid}/ns/net").stat().st_ino == own:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return process.pid


def reset(one: socket.socket) -> bool:
    """Whether the kernel says within a moment that the connection is no more."""
    poll = select.poll()
    poll.register(one, select.POLLIN)
    poll.poll(2000)
    error = one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    return error != 0


def test_both_ends_see_it_at_once_and_nobody_else_does(
    stage: Stage, inside: int, listen: Callable[..., Listener]
) -> None:
    subnet = stage.subnets[0]
    listeners = [
        listen(stage.inside[0], str(one), PORT) for one in (subnet.address4, subnet.address6)
    ]
    cutting = [
        listener.connect(stage.outside, address)
        for listener, address in zip(listeners, (subnet.address4, subnet.address6), strict=True)
    ]
    both = listen(stage.inside[0], "::", PORT + 1)  # a server of both families in one socket
    cutting.append(both.connect(stage.outside, subnet.address4, PORT + 1))
    half = listeners[0].connect(stage.outside, subnet.address4)
    half.client.shutdown(socket.SHUT_WR)
    cutting.append(half)
    # What it asked of somebody else, on the same port of theirs, and what has another port.
    theirs = listen(stage.outside, stage.host.client.address4, PORT)
    outbound = theirs.connect(stage.inside[0], stage.host.client.address4)
    third = listen(stage.inside[0], str(subnet.address4), PORT + 2)
    kept = [outbound, third.connect(stage.outside, subnet.address4, PORT + 2)]

    ports = [(TCP, PORT), (UDP, PORT), (TCP, PORT + 1)]
    assert asyncio.run(cut(inside, ports, tracked=stage.host.path)) == 4

    for pair in cutting:
        assert reset(pair.client)
        assert reset(pair.server)
    for pair in kept:
        pair.client.sendall(b"on")
        assert pair.server.recv(2) == b"on"
    kept.append(listeners[0].connect(stage.outside, subnet.address4))  # the listener goes on
    assert asyncio.run(cut(inside, [(UDP, PORT)], tracked=stage.host.path)) == 0


def test_after_the_cut_none_is_counted(
    stage: Stage, router: NftRouter, inside: int, listen: Callable[..., Listener]
) -> None:
    listener = listen(stage.inside[0], str(stage.subnets[0].address4), PORT)
    for _ in range(5):
        listener.connect(stage.outside, stage.subnets[0].address4)
    assert count(router, ends(stage, 0)) == Connections(tcp=5)

    assert asyncio.run(cut(inside, [(TCP, PORT)], tracked=stage.host.path)) == 5

    wait_count(router, ends(stage, 0), SILENT)


def test_two_thousand_are_cut_in_little_time(
    stage: Stage, inside: int, listen: Callable[..., Listener]
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 8192)), hard))
    listener = listen(stage.inside[0], str(stage.subnets[0].address4), PORT)
    pairs = [listener.connect(stage.outside, stage.subnets[0].address4) for _ in range(2000)]

    began = time.process_time()
    assert asyncio.run(cut(inside, [(TCP, PORT)], tracked=stage.host.path)) == 2000
    taken = time.process_time() - began
    print(f"2,000 connections: {taken * 1000:.0f} ms of processor time")

    assert taken < 1
    assert all(reset(pair.client) and reset(pair.server) for pair in pairs)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_in_the_host_s_own_network(stage: Stage, listen: Callable[..., Listener]) -> None:
    place = stage.host.client.host4
    pairs = [
        listen(stage.host, place, port).connect(stage.outside, place, port)
        for port in range(PORT, PORT + 8)
    ]

    def work() -> int:
        return asyncio.run(cut(0, [(TCP, port) for port in range(PORT, PORT + 7)]))

    assert stage.host.call(work) == 7
    assert all(reset(pair.client) and reset(pair.server) for pair in pairs[:-1])
    pairs[-1].client.sendall(b"on")
    assert pairs[-1].server.recv(2) == b"on"


def test_a_container_that_has_ended_has_nothing_to_cut() -> None:
    with subprocess.Popen(["true"]) as ended:
        ended.wait()
        assert not Path(f"/proc/{ended.pid}").exists()
        assert asyncio.run(cut(ended.pid, [(TCP, PORT)])) == 0


def test_a_kernel_that_cannot_says_what_it_takes(
    stage: Stage, inside: int, listen: Callable[..., Listener], monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = listen(stage.inside[0], str(stage.subnets[0].address4), PORT)
    listener.connect(stage.outside, stage.subnets[0].address4)
    # There is no such kernel here, so its answer is put in the place of this one's.
    monkeypatch.setattr(module, "acknowledgements", lambda _: iter([errno.EOPNOTSUPP]))

    with pytest.raises(MissingRequirement, match="CONFIG_INET_DIAG_DESTROY") as caught:
        asyncio.run(cut(inside, [(TCP, PORT)], tracked=stage.host.path))

    assert "drain: forever" in caught.value.hint
