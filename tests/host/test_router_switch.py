"""Switches on a real kernel, under real packets: nothing lost, nothing left behind."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from alongside.domain.errors import MissingRequirement, StepFailed
from alongside.domain.port import Protocol, parse_port
from alongside.router.listing import parse_listing
from alongside.router.nft import NftRouter
from alongside.router.protocol import Choice, RoutedPort, Ruleset
from alongside.router.table import ListedChain
from alongside.router.watch import changes
from support.host import Host
from support.pretend import REFUSED, SILENCE, Answer, Stage, local_port

pytestmark = pytest.mark.host

PORT = 5300


@pytest.fixture(scope="module")
def made_stage() -> Iterator[Stage]:
    with Host() as host, Stage(host) as made:
        made.answer(PORT, *Protocol)
        yield made


@pytest.fixture
async def stage(made_stage: Stage) -> Stage:
    await NftRouter(namespace=made_stage.host.path).remove()
    made_stage.answers.settle()
    made_stage.host.run(["conntrack", "-F"])
    return made_stage


@pytest.fixture
def router(stage: Stage) -> NftRouter:
    return NftRouter(namespace=stage.host.path)


def routed(stage: Stage, number: int | None, *ports: str) -> Ruleset:
    """All ports to one instance; None: to nobody."""
    choices = () if number is None else (Choice(stage.target(number, PORT), 1),)
    return Ruleset(
        ports=tuple(RoutedPort(parse_port(port), choices) for port in ports or ("5300/udp",)),
        subnets=stage.subnets,
        container_bridges=frozenset({stage.foreign_bridge}),
        local_ports=frozenset(local_port(one, PORT) for one in range(3)),
    )


def ask(stage: Stage, port: int = PORT, protocol: Protocol = Protocol.TCP) -> str:
    answer = stage.ask(stage.outside, stage.host.address4, port, protocol)
    return answer.who if isinstance(answer, Answer) else answer


def who(stage: Stage, number: int) -> str:
    return f"{stage.subnets[number].address4}:{PORT}"


class Clients:
    """Threads that make one TCP connection after the other, and keep what came of each."""

    def __init__(self, stage: Stage, threads: int = 3) -> None:
        self.answers: list[tuple[float, float, str]] = []
        self._stage = stage
        self._ending = threading.Event()
        self._threads = [threading.Thread(target=self._work) for _ in range(threads)]

    def _work(self) -> None:
        with self._stage.outside.inside():  # the thread ends in there
            while not self._ending.is_set():
                began = time.monotonic()
                try:
                    address = (self._stage.host.address4, PORT)
                    with socket.create_connection(address, timeout=5) as connection:
                        answer = connection.recv(100).decode().partition(" ")[0]
                except OSError as error:
                    answer = errno.errorcode.get(error.errno or 0, repr(error))
                self.answers.append((began, time.monotonic(), answer))

    def __enter__(self) -> Clients:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join()


async def test_switches_under_load_lose_nothing(stage: Stage, router: NftRouter) -> None:
    await router.apply(routed(stage, 0, "5300/tcp"))
    # When each version was routed: from before its commit to after the next one's.
    spans: dict[str, list[list[float]]] = {who(stage, 0): [[0.0, float("inf")]], who(stage, 1): []}
    with Clients(stage) as clients:
        for switch in range(2000):
            new, old = (switch + 1) % 2, switch % 2
            spans[who(stage, new)].append([time.monotonic(), float("inf")])
            assert (await router.apply(routed(stage, new, "5300/tcp"))).text
            spans[who(stage, old)][-1][1] = time.monotonic()
    assert len(clients.answers) > 1000
    wrong = [
        (began, ended, answer)
        for began, ended, answer in clients.answers
        if not any(began <= until and since <= ended for since, until in spans.get(answer, ()))
    ]
    assert wrong == []
    assert {answer for _, _, answer in clients.answers} == set(spans)


async def test_a_new_router_takes_the_table_over_without_a_loss(
    stage: Stage, router: NftRouter
) -> None:
    wanted = routed(stage, 0, "5300/tcp", "5300/udp")
    await router.apply(wanted)
    before = listing(stage)
    with Clients(stage) as clients:
        for _ in range(10):
            assert (await NftRouter(namespace=stage.host.path).apply(wanted)).text == ""
        # One that starts with other wishes changes the difference.
        text = (await NftRouter(namespace=stage.host.path).apply(routed(stage, 0, "5300/tcp"))).text
    assert "delete element inet alongside ports { udp . 5300 : goto port-5300-udp }" in text
    assert "port-5300-tcp" not in text
    assert "delete table" not in text
    assert {answer for _, _, answer in clients.answers} == {who(stage, 0)}
    await router.apply(wanted)
    assert listing(stage) == before


def listing(stage: Stage) -> str:
    return stage.host.run(["nft", "-s", "list", "table", "inet", "alongside"]).stdout


async def test_an_empty_split_rejects_and_a_port_that_is_gone_is_left_alone(
    stage: Stage, router: NftRouter
) -> None:
    for protocol in Protocol:
        await router.apply(routed(stage, None, f"5300/{protocol}"))
        began = time.monotonic()
        assert ask(stage, protocol=protocol) == REFUSED
        assert time.monotonic() - began < 0.2
        await router.apply(routed(stage, 1, f"5300/{protocol}"))
        assert ask(stage, protocol=protocol) == who(stage, 1)


@pytest.mark.parametrize("protocol", Protocol)
async def test_an_empty_split_leaves_the_port_to_nobody_else(
    stage: Stage, router: NftRouter, protocol: Protocol
) -> None:
    """Not to another table's nat, as Docker's, and not to a program on the host."""
    host = stage.host
    port = 5301 if protocol is Protocol.TCP else 5302
    stage.answer_as_host((host.address4, "127.0.0.1"), port, protocol)
    host.nft(f"""table ip docker {{
        chain prerouting {{
            type nat hook prerouting priority -100
            {protocol} dport {port} dnat to {stage.subnets[2].address4}:{PORT}
        }}
    }}""")
    try:
        assert ask(stage, port, protocol) == who(stage, 2)
        await router.apply(routed(stage, None, f"{port}/{protocol}"))
        await router.clean_udp(routed(stage, None, f"{port}/{protocol}"))
        assert ask(stage, port, protocol) == REFUSED
        for address in (host.address4, "127.0.0.1"):
            assert stage.ask(host, address, port, protocol) == REFUSED
        await router.apply(routed(stage, 0, f"{port}/{protocol}"))
        assert ask(stage, port, protocol) == who(stage, 0)
    finally:
        host.nft("delete table ip docker\n")


async def test_the_client_s_address_reaches_the_instance(stage: Stage, router: NftRouter) -> None:
    await router.apply(routed(stage, 2, "5300/tcp", "5300/udp"))
    host, outside = stage.host, stage.outside
    for protocol in Protocol:
        for to, own in (
            (host.address4, host.client.address4),
            (host.address6, host.client.address6),
        ):
            answer = stage.ask(outside, to, PORT, protocol)
            assert isinstance(answer, Answer)
            assert answer.saw == own


async def test_an_established_connection_stays_with_its_version(
    stage: Stage, router: NftRouter
) -> None:
    with stage.inside[0].socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind((str(stage.subnets[0].address4), PORT + 1))
        listener.listen()
        first = RoutedPort(parse_port("9000/tcp"), (Choice(stage.target(0, PORT + 1), 1),))
        second = RoutedPort(parse_port("9000/tcp"), (Choice(stage.target(1, PORT), 1),))
        await router.apply(Ruleset((first,), stage.subnets))
        with stage.outside.socket(socket.AF_INET, socket.SOCK_STREAM) as stream:
            stream.settimeout(2)
            stream.connect((stage.host.address4, 9000))
            server, _ = listener.accept()
            with server:
                await router.apply(Ruleset((second,), stage.subnets))
                await router.clean_udp(Ruleset((second,), stage.subnets))
                assert ask(stage, 9000) == who(stage, 1)
                await router.apply(Ruleset((RoutedPort(second.port, ()),), stage.subnets))
                assert ask(stage, 9000) == REFUSED
                for _ in range(3):
                    stream.send(b"still here?")
                    assert server.recv(100) == b"still here?"
                    server.send(b"yes")
                    assert stream.recv(100) == b"yes"


class Flow:
    """A UDP client that keeps its port."""

    def __init__(self, stage: Stage) -> None:
        self.socket = stage.outside.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.connect((stage.host.address4, PORT))
        self.socket.settimeout(1)

    def ask(self) -> str:
        self.socket.send(b"?")
        return self.hear()

    def hear(self) -> str:
        return self.socket.recv(100).decode().partition(" ")[0]

    def drain(self) -> None:
        self.socket.setblocking(False)
        with contextlib.suppress(OSError):
            while self.socket.recv(100):
                pass
        self.socket.settimeout(1)


class Talking:
    """Every flow sends again and again, whether it was answered or not."""

    def __init__(self, flows: list[Flow]) -> None:
        self._flows = flows
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work)

    def _work(self) -> None:
        for flow in itertools.cycle(self._flows):
            if self._ending.wait(0.0005):
                return
            with contextlib.suppress(OSError):
                flow.socket.send(b"?")

    def __enter__(self) -> Talking:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()


async def test_every_udp_flow_moves_though_late_replies_come(
    stage: Stage, router: NftRouter
) -> None:
    """The public port is the instances' own: then a late reply, masqueraded, makes an entry
    that the client's next packet matches. It takes 20 ms, so some are always on their way."""
    await router.apply(routed(stage, 0))
    stage.answers.delay = 0.02
    flows = [Flow(stage) for _ in range(60)]
    stayed = 0
    try:
        with Talking(flows):
            await asyncio.sleep(0.2)
            for number in (1, 0, 1, 2):
                wanted = routed(stage, number)
                await router.apply(wanted)
                assert await router.clean_udp(wanted) >= len(flows)
                await asyncio.sleep(0.3)
                for flow in flows:
                    flow.drain()
                stayed += sum(flow.hear() != who(stage, number) for flow in flows)
                assert await router.clean_udp(wanted) == 0
        assert stayed == 0
    finally:
        for flow in flows:
            flow.socket.close()


async def test_flows_from_before_the_port_was_routed_move_too(
    stage: Stage, router: NftRouter
) -> None:
    await router.apply(Ruleset(subnets=stage.subnets))  # conntrack runs, nothing is routed
    stage.listen(stage.host, stage.host.address4, PORT, Protocol.UDP, name="host")
    flow = Flow(stage)
    with flow.socket:
        assert flow.ask() == "host"
        await router.apply(routed(stage, 0))
        assert flow.ask() == "host"  # conntrack knows the flow
        assert await router.clean_udp(routed(stage, 0)) == 1
        assert flow.ask() == who(stage, 0)
        # And when the port is taken away, back to whoever listens.
        gone = Ruleset(subnets=stage.subnets)
        await router.apply(gone)
        assert await router.clean_udp(gone) == 1
        assert flow.ask() == "host"


async def test_flows_of_others_are_left_alone(stage: Stage, router: NftRouter) -> None:
    await router.apply(routed(stage, 0))
    subnet = stage.subnets[1]
    local = local_port(1, PORT)
    asked = (
        (stage.host, str(subnet.address4), PORT),  # straight to an instance, as a probe does
        (stage.host, "127.0.0.1", local),
        (stage.host, str(subnet.gateway4), local),
        (stage.inside[1], str(subnet.gateway4), local),
    )
    for where, address, port in asked:
        assert isinstance(stage.ask(where, address, port, Protocol.UDP), Answer)
    # And an instance's own flow to a server elsewhere, on the same port number.
    stage.listen(stage.outside, stage.host.client.address4, PORT, Protocol.UDP)
    assert isinstance(
        stage.ask(stage.inside[1], stage.host.client.address4, PORT, Protocol.UDP), Answer
    )
    assert await router.clean_udp(routed(stage, 0)) == 0


async def test_a_flush_is_heard_within_a_second_and_put_right(
    stage: Stage, router: NftRouter
) -> None:
    wanted = routed(stage, 0, "5300/tcp")
    await router.apply(wanted)
    heard = changes(stage.host.path)
    await anext(heard)  # it listens
    listening = asyncio.ensure_future(anext(heard))
    try:
        engine = stage.host.run(["nft", "list", "table", "inet", "engine"]).stdout
        began = time.monotonic()
        stage.host.nft(f"flush ruleset\n{engine}")
        await asyncio.wait_for(listening, 5)
        assert time.monotonic() - began < 1
        assert not await router.intact()
        assert ask(stage) == REFUSED
        assert "add table" in (await router.apply(wanted)).text
        assert await router.intact()
        assert ask(stage) == who(stage, 0)
    finally:
        listening.cancel()
        await heard.aclose()  # type: ignore[attr-defined]


DAMAGES = {
    "a rule more": "add rule inet alongside port-5300-tcp drop",
    "a rule first": "insert rule inet alongside dispatch drop",
    "a rule less": "flush chain inet alongside port-5300-tcp",
    "no guard": "flush chain inet alongside guard",
    "no dispatch": "flush map inet alongside ports",
    "another way": "delete element inet alongside ports { tcp . 5300 }; "
    "add element inet alongside ports { tcp . 5300 : drop }",
    "an element more": "add element inet alongside ports { tcp . 22 : drop }",
    "a bridge less": f'delete element inet alongside bridges {{ "al-{0:010x}" }}',
    "no base chain": "delete chain inet alongside prerouting",
    "another priority": "delete chain inet alongside prerouting; "
    "add chain inet alongside prerouting "
    "{ type nat hook prerouting priority 0; policy accept; }",
    "another policy": "add chain inet alongside guard { policy drop; }",
    "a set more": "add set inet alongside mine { type ipv4_addr; }",
    "a chain more": "add chain inet alongside mine; add rule inet alongside mine drop",
    "asleep": "add table inet alongside { flags dormant; }",
    "no table": "delete table inet alongside",
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
async def test_what_somebody_changed_by_hand_is_put_right(
    stage: Stage, router: NftRouter, damage: str
) -> None:
    wanted = routed(stage, 0, "5300/tcp", "80/tcp")
    await router.apply(wanted)
    whole = parse_listing(listing(stage))
    stage.host.nft(damage.replace("; ", "\n") if "{ type" not in damage else damage)
    assert not await router.intact()
    await router.apply(wanted)
    assert await router.intact()
    now = parse_listing(listing(stage))
    # A chain that others made is emptied, and deleted with the next change.
    chains = {name: chain for name, chain in now.chains.items() if name != "mine"}
    assert now.chains.get("mine", ListedChain("", ())).rules == ()
    assert replace(now, chains=chains) == whole
    assert ask(stage) == who(stage, 0)
    assert (await router.apply(wanted)).text == ""


async def test_other_owners_changes_do_not_count(stage: Stage, router: NftRouter) -> None:
    await router.apply(routed(stage, 0))
    stage.host.nft("add table inet somebody\nadd chain inet somebody c\n")
    try:
        assert await router.intact()
        assert (await router.apply(routed(stage, 0))).text == ""
    finally:
        stage.host.nft("delete table inet somebody\n")


async def test_loopback_is_not_for_the_wire(stage: Stage, router: NftRouter) -> None:
    """As on an engine that sets route_localnet: 127.0.0.1:P answers a packet from the wire."""
    host, outside = stage.host, stage.outside
    local = local_port(0, PORT)
    with host.inside():
        Path("/proc/sys/net/ipv4/conf/eth0/route_localnet").write_text("1")
    for line in (
        "address del 127.0.0.1/8 dev lo",
        "route add 127.0.0.1/32 via 198.51.100.1 src 198.51.100.2",
    ):
        outside.run(["ip", *line.split()])
    outside.sysctl("net.ipv4.conf.eth0.route_localnet", 1)
    try:
        before = stage.ask(outside, "127.0.0.1", local, Protocol.TCP)
        await router.apply(routed(stage, 0))
        after = stage.ask(outside, "127.0.0.1", local, Protocol.TCP)
    finally:
        outside.run(["ip", "route", "del", "127.0.0.1/32"])
        outside.run(["ip", "address", "add", "127.0.0.1/8", "dev", "lo"])
    assert isinstance(before, Answer)
    assert after == SILENCE


async def test_another_nft_s_spelling_is_learnt(
    stage: Stage, router: NftRouter, tmp_path: Path
) -> None:
    """An nft that prints rules otherwise than they were written costs a replacement at the
    start, and no more."""
    other = tmp_path / "nft"
    other.write_text("#!/bin/sh\nnft \"$@\" | sed 's/meta l4proto \\([a-z]*\\)/ip protocol \\1/'\n")
    other.chmod(0o755)

    def started() -> NftRouter:
        return NftRouter(command=(str(other),), namespace=stage.host.path)

    wanted = routed(stage, 0, "5300/tcp")
    await router.apply(wanted)
    spelling = started()
    text = (await spelling.apply(wanted)).text
    assert "flush chain inet alongside port-5300-tcp" in text
    assert "table" not in text.replace("flush chain inet", "").split()
    for number in (0, 1, 0):
        await spelling.apply(routed(stage, number, "5300/tcp"))
        assert (await spelling.apply(routed(stage, number, "5300/tcp"))).text == ""
        stage.host.nft("add table inet somebody\ndelete table inet somebody\n")
        assert await spelling.intact()
        assert ask(stage) == who(stage, number)
    stage.host.nft("flush chain inet alongside port-5300-tcp\n")
    assert not await spelling.intact()


async def test_nft_s_own_words_are_kept(stage: Stage, tmp_path: Path) -> None:
    refusing = tmp_path / "nft"
    refusing.write_text(
        '#!/bin/sh\ncase "$*" in *list*) nft "$@";; *) cat >/dev/null; '
        "echo 'Error: Could not process rule: No space left on device' >&2; exit 1;; esac\n"
    )
    refusing.chmod(0o755)
    router = NftRouter(command=(str(refusing),), namespace=stage.host.path)
    with pytest.raises(StepFailed, match="No space left on device") as caught:
        await router.apply(routed(stage, 0))
    assert caught.value.log
    assert not await router.intact()
    missing = NftRouter(command=(str(tmp_path / "none"),))
    with pytest.raises(MissingRequirement):
        await missing.apply(routed(stage, 0))


async def test_a_flush_between_the_look_and_the_commit_is_no_failure(
    stage: Stage, tmp_path: Path
) -> None:
    """The router's memory of the table is wrong by the time that nft runs."""
    interfering = tmp_path / "nft"
    flag = tmp_path / "flag"
    interfering.write_text(
        f"#!/bin/sh\nif [ -e {flag} ]; then rm {flag}; nft delete table inet alongside; fi\n"
        'exec nft "$@"\n'
    )
    interfering.chmod(0o755)
    router = NftRouter(command=(str(interfering),), namespace=stage.host.path)
    await router.apply(routed(stage, 0, "5300/tcp"))
    flag.touch()
    assert "add table" in (await router.apply(routed(stage, 1, "5300/tcp"))).text
    assert ask(stage) == who(stage, 1)
