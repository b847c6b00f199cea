"""Who reaches what, and by which way, with real packets on a real engine."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest

from support import ask
from support.host import Host
from support.installation import Installation, load_images, web_files
from support.load import Load

pytestmark = pytest.mark.host


@pytest.fixture(scope="module")
def site() -> Iterator[Installation]:
    """web@1 and web@2 (20 ms for each answer), both up; web@1 has the ports."""
    with Host() as host:
        load_images(host, "responder")
        alongside = Installation(host)
        alongside.start()
        repository = alongside.repository("site", web_files(DELAY_MS="20"))
        for version in ("1", "2"):
            repository.release(version, {})
            alongside("up", f"web@{version}")
        yield alongside


@pytest.fixture
def one(site: Installation) -> Installation:
    site("activate", "web@1")
    return site


def instance(alongside: Installation, name: str) -> dict:
    return next(one for one in alongside.json("ps")["instances"] if one["name"] == name)


@pytest.mark.parametrize("version", [4, 6])
def test_the_container_sees_the_clients_own_address(one: Installation, version: int) -> None:
    host = one.host
    there = host.address4 if version == 4 else host.address6
    mine = host.client.address4 if version == 4 else host.client.address6
    assert ask.http_get(host.client, there).body == f"1 {mine} /\n"
    assert ask.line(host.client, there, 7, "hello") == f"1 {mine} hello"
    assert ask.datagram(host.client, there, 7, "hello") == f"1 {mine} hello"


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_loopback_reaches_it(one: Installation, address: str) -> None:
    assert ask.http_get(one.host, address).body.startswith("1 ")
    assert ask.datagram(one.host, address, 7).startswith("1 ")


def test_other_loopback_addresses_stay_their_owners(one: Installation) -> None:
    with pytest.raises(ConnectionRefusedError):
        ask.http_get(one.host, "127.0.0.53")


def asked_inside(host: Host, prefix: list[str], address: str, port: int = 7) -> str:
    """What a program in a container is answered. Its image has Python, so that is the program."""
    family = "AF_INET6" if ":" in address else "AF_INET"
    program = (
        f"import socket; s = socket.socket(socket.{family}); s.settimeout(5); "
        f"s.connect(({address!r}, {port})); s.sendall(b'x\\n'); print(s.recv(99).decode(), end='')"
    )
    return host.docker([*prefix, "python3", "-S", "-c", program]).stdout


@pytest.mark.parametrize("network", ["bridge", "another", "own"])
def test_containers_reach_it_from_every_network(one: Installation, network: str) -> None:
    """From Docker's default network, from a network of somebody else's, and from the very
    container that has the port."""
    host = one.host
    if network == "another":
        host.docker(["network", "create", "another"], check=False)
    prefix = (
        ["exec", "web-1"]
        if network == "own"
        else ["run", "--rm", "--network", network, "alongside-test/responder:latest"]
    )
    assert re.fullmatch(r"1 \S+ x\n", asked_inside(host, prefix, host.address4))


@pytest.mark.parametrize("name", ["web-1", "web-2"])
def test_containers_reach_it_over_ipv6(one: Installation, name: str) -> None:
    assert asked_inside(one.host, ["exec", name], one.host.address6).startswith("1 ")


def test_outsiders_reach_neither_addresses_nor_local_ports(one: Installation) -> None:
    """Not even a neighbour that routes the instance's network over the host."""
    host = one.host
    place = instance(one, "web-1")
    (local,) = [port["number"] for port in place["local_ports"] if port["target"] == 80]
    gateway = (
        place["address4"].rpartition(".")[0]
        + "."
        + str(int(place["address4"].rpartition(".")[2]) - 1)
    )
    assert ask.http_get(host, place["address4"]).body.startswith("1 "), "the host itself may"
    assert ask.http_get(host, gateway, local).body.startswith("1 ")
    for address, port in (
        (place["address4"], 80),
        (place["address6"], 80),
        (gateway, local),
        (host.address4, local),
        (host.address6, local),
    ):
        with pytest.raises(OSError):
            ask.http_get(host.client, address, port, timeout=0.5)


def test_a_stream_outlives_the_switch_and_new_ones_go_to_the_new_version(
    one: Installation,
) -> None:
    host = one.host
    with ask.connect(host.client, host.address4, 7) as stream:
        assert stream.ask("before").startswith("1 ")
        one("activate", "web@2")
        assert stream.ask("after").startswith("1 "), "an established connection stays"
        assert ask.line(host.client, host.address4, 7).startswith("2 ")
        assert stream.ask("much later").startswith("1 ")


@pytest.mark.parametrize("dialect", ["line", "http"])
def test_tcp_switches_under_load_lose_nothing(one: Installation, dialect: str) -> None:
    host = one.host
    port = 80 if dialect == "http" else 7
    with Load(host.client, "tcp", host.address4, port, dialect=dialect, workers=4) as load:  # type: ignore[arg-type]
        load.wait_for(50)
        for version in ("2", "1") * 5:
            one("activate", f"web@{version}")
            done = time.monotonic_ns()
            load.wait_for(40)
        report = load.stop()
    assert not report.failures
    assert set(report.versions) == {"1", "2"}
    assert {answer.version for answer in report.asked_after(done)} == {"1"}


def test_udp_switches_under_load_lose_nothing(one: Installation) -> None:
    """Fresh ports: each question is a flow of its own, and none is in flight for long."""
    host = one.host
    with Load(host.client, "udp", host.address4, 7, workers=4) as load:
        load.wait_for(50)
        for version in ("2", "1") * 5:
            one("activate", f"web@{version}")
            done = time.monotonic_ns()
            load.wait_for(40)
        report = load.stop()
    assert {answer.version for answer in report.asked_after(done)} == {"1"}
    # A question that was under way when its flow's entry was removed may lose its reply.
    assert len(report.failures) <= 10 * 4, "at most what was in flight at each of ten switches"


@pytest.mark.parametrize("address", ["address4", "address6"])
def test_fixed_port_udp_clients_move_with_the_switch(one: Installation, address: str) -> None:
    """40 clients that each ask from one port for ever, the server 20 ms late: none stays."""
    host = one.host
    there = getattr(host, address)
    for version in ("2", "1"):
        with Load(
            host.client, "udp", there, 7, workers=40, source_port=20000, pause=0.01, timeout=0.5
        ) as load:
            load.wait_for(200)
            one("activate", f"web@{version}")
            done = time.monotonic_ns()
            load.wait_for(400)
            report = load.stop()
        late = [answer for answer in report.asked_after(done) if answer.version != version]
        assert not late, f"{len(late)} answers from the version that was left"


def test_containers_started_in_the_other_order_keep_their_ports(one: Installation) -> None:
    """Left to itself Docker would swap their addresses."""
    host = one.host
    host.docker(["stop", "-t", "1", "web-1", "web-2"])
    host.docker(["start", "web-2"])
    host.docker(["start", "web-1"])
    one("up", "web@1")
    one("up", "web@2")
    assert ask.http_get(host.client, host.address4).body.startswith("1 ")
    one("activate", "web@2")
    assert ask.http_get(host.client, host.address4).body.startswith("2 ")


def test_a_version_just_started_answers_over_ipv6_from_the_first_moment(
    one: Installation,
) -> None:
    """A container's IPv6 address is tentative for a second after its start."""
    host = one.host
    one("stop", "web@2")
    with Load(host.client, "tcp", host.address6, 7, workers=2) as load:
        load.wait_for(20)
        one("activate", "web@2")
        load.wait_for(40)
        report = load.stop()
    assert not report.failures
    assert set(report.versions) == {"1", "2"}


def test_a_rollback_to_one_that_does_not_run_starts_it_first(one: Installation) -> None:
    host = one.host
    one("activate", "web@2")
    one("stop", "web@1")
    with Load(host.client, "tcp", host.address4, 7, workers=2) as load:
        load.wait_for(20)
        assert "now reach web@1 (before: 2)" in one("rollback", "web").stdout
        load.wait_for(40)
        report = load.stop()
    assert not report.failures
    assert set(report.versions) == {"1", "2"}
    started = instance(one, "web-2")["started"]
    one("activate", "web@2")
    assert instance(one, "web-2")["started"] == started, "one that runs is not started again"


def test_deactivate_gives_the_ports_back_to_the_host(one: Installation) -> None:
    host = one.host
    said = one("deactivate", "web@2").stdout
    assert "web@2 does not have the ports, web@1 has; nothing was changed" in said
    assert ask.http_get(host.client, host.address4).body.startswith("1 ")
    one("deactivate", "web")
    for source, address in ((host.client, host.address4), (host, "127.0.0.1")):
        with pytest.raises(ConnectionRefusedError):
            ask.http_get(source, address)
    assert "nothing was changed" in one("deactivate", "web").stdout
    one("rollback", "web")
    assert ask.http_get(host.client, host.address4).body.startswith("1 ")


def table(host: Host) -> list[str]:
    """What the table says, in no order: chains are listed in the order of their making. The
    targets that were left a moment ago go by themselves."""
    text = host.run(["nft", "-s", "list", "table", "inet", "alongside"], check=False).stdout
    return sorted(re.sub(r"set retired.*?\n\t\}", "", text, flags=re.DOTALL).split())


def test_a_flush_of_the_ruleset_is_put_right_within_seconds(one: Installation) -> None:
    host = one.host
    before = table(host)
    for command in ("flush ruleset", "delete table inet alongside"):
        host.nft(command)
        deadline = time.monotonic() + 5
        while table(host) != before and time.monotonic() < deadline:
            time.sleep(0.05)
        assert table(host) == before
        # Docker's own rules are Docker's to restore, at its next start: this test is the last.
        if command == "delete table inet alongside":
            assert ask.http_get(host, "127.0.0.1").body.startswith("1 ")
