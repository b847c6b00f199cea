"""Raw ports: a public port for whatever listens on the host, container or not."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from support import ask, faults, responder
from support.host import Host
from support.installation import Installation, load_images, web_files
from support.load import Load
from support.namespace import Namespace

pytestmark = pytest.mark.host


@contextmanager
def server(place: Namespace, folder: Path, version: str, ports: str) -> Iterator[None]:
    """A program of the host's own that answers on `ports`, TCP and UDP, with its version."""
    process = place.spawn(
        [sys.executable, "-S", responder.__file__],
        log=folder / f"{version}.log",
        env={**os.environ, "VERSION": version, "PORTS": ports},
    )
    try:
        yield
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def alongside() -> Iterator[Installation]:
    """Two servers of the host's own, blue on 50080 and 50081, green on 51080 and 51081; and a
    service web with version 1 on ports 80 and 7."""
    with Host() as host, ExitStack() as servers:
        load_images(host, "responder")
        installation = Installation(host)
        installation.start()
        repository = installation.repository("site", web_files())
        repository.release("1", {})
        installation("activate", "web@1")
        servers.enter_context(server(host, host.folder, "blue", "50080 50081"))
        servers.enter_context(server(host, host.folder, "green", "51080 51081"))
        host.call(_wait_until_listening, 51081)
        yield installation


def _wait_until_listening(port: int) -> None:
    import socket

    deadline = time.monotonic() + 10
    while True:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture(autouse=True)
def _nothing_assigned(alongside: Installation) -> Iterator[None]:
    yield
    for one in alongside.json("port", "list")["assigned"]:
        alongside("port", "unassign", one["port"])


def version_at(source: Namespace, address: str, port: int) -> str:
    return ask.line(source, address, port).split()[0]


def test_it_is_reached_from_everywhere_and_sees_the_client(alongside: Installation) -> None:
    host = alongside.host
    said = alongside("port", "assign", "8080:50080/tcp").stdout
    assert said == "8080/tcp now reaches 50080.\n"
    for address, client in (
        (host.address4, host.client.address4),
        (host.address6, host.client.address6),
    ):
        assert ask.line(host.client, address, 8080, "hi") == f"blue {client} hi"
    for address in ("127.0.0.1", "::1", host.address4, host.address6):
        assert version_at(host, address, 8080) == "blue"
    program = "import socket; s = socket.create_connection((%r, 8080), 5); s.sendall(b'x\\n'); "
    inside = ["exec", "web-1", "python3", "-S", "-c"]
    said = host.docker([*inside, program % host.address4 + "print(s.recv(99).decode())"]).stdout
    assert said.startswith("blue ")


def test_a_port_is_one_port(alongside: Installation) -> None:
    """The article's grep for 80 found 8080 as well."""
    host = alongside.host
    for assignment in ("808:50080/tcp", "8080:50081/tcp", "8080:51081/udp"):
        alongside("port", "assign", assignment)
    alongside("port", "unassign", "808/tcp")
    assert version_at(host.client, host.address4, 8080) == "blue"
    assert ask.datagram(host.client, host.address4, 8080).startswith("green ")
    with pytest.raises(ConnectionRefusedError):
        ask.line(host.client, host.address4, 808)
    listed = alongside("port", "list").stdout.splitlines()
    assert [line.split() for line in listed[1:]] == [["8080/tcp", "50081"], ["8080/udp", "51081"]]
    assert "8080/udp" in alongside("ports").stdout


def test_a_switch_under_load_loses_nothing(alongside: Installation) -> None:
    host = alongside.host
    alongside("port", "assign", "8080:50080/tcp")
    with Load(host.client, "tcp", host.address4, 8080, workers=4) as load:
        load.wait_for(50)
        for target in ("51080", "50080") * 5:
            alongside("port", "assign", f"8080:{target}/tcp")
            load.wait_for(40)
        report = load.stop()
    assert not report.failures
    assert set(report.versions) == {"blue", "green"}


def test_udp_flows_move_and_end_with_the_assignment(alongside: Installation) -> None:
    host = alongside.host
    alongside("port", "assign", "5353:50080/udp")

    def asked() -> str:
        return ask.datagram(host.client, host.address4, 5353, source_port=4000).split()[0]

    assert asked() == "blue"
    alongside("port", "assign", "5353:51080/udp")
    assert asked() == "green"
    alongside("port", "unassign", "5353/udp")
    with pytest.raises(OSError):
        asked()


def test_one_public_address_and_one_target_elsewhere_on_the_host(alongside: Installation) -> None:
    """A namespace of somebody else's behind a bridge: as a VM would be."""
    host = alongside.host
    machine = Namespace(f"{host.name}-c2")  # a name that is cleaned up with the host
    neighbour = host.neighbour()
    _attach(host, machine)
    try:
        with server(machine, host.folder, "machine", "8000"):
            machine.call(_wait_until_listening, 8000)
            alongside("port", "assign", f"{host.address4}:8080:10.99.0.2:8000/tcp")
            alongside("port", "assign", f"{host.address4}:8080:10.99.0.2:8000/udp")
            client = host.client.address4
            assert ask.line(host.client, host.address4, 8080, "x") == f"machine {client} x"
            assert ask.datagram(host.client, host.address4, 8080).startswith("machine ")
            assert version_at(host, host.address4, 8080) == "machine"
            with pytest.raises(ConnectionRefusedError):
                ask.line(neighbour, neighbour.host4, 8080)
            alongside("port", "assign", "8081:10.99.0.2:8000/tcp")
            with pytest.raises(ConnectionRefusedError):  # no silence where there is no way
                ask.line(host, "127.0.0.1", 8081)
            with pytest.raises(ConnectionRefusedError):
                ask.line(host.client, host.address6, 8081)
    finally:
        machine.close()


def test_one_public_address_of_ipv6(alongside: Installation) -> None:
    host = alongside.host
    alongside(
        "port", "assign", f"[{host.address6}]:8082:50080/tcp", f"[{host.address6}]:8082:50080/udp"
    )
    client = host.client.address6
    assert ask.line(host.client, host.address6, 8082, "x") == f"blue {client} x"
    assert ask.datagram(host.client, host.address6, 8082, "x") == f"blue {client} x"
    assert version_at(host, host.address6, 8082) == "blue"
    for source, address in ((host.client, host.address4), (host, "::1"), (host, "127.0.0.1")):
        with pytest.raises(ConnectionRefusedError):
            ask.line(source, address, 8082)
    listed = alongside.json("port", "list")["assigned"]
    assert {"port": f"[{host.address6}]:8082/tcp", "target": "50080"} in listed
    alongside("port", "unassign", f"[{host.address6}]:8082/tcp")
    with pytest.raises(ConnectionRefusedError):
        ask.line(host.client, host.address6, 8082)


def _attach(host: Host, machine: Namespace) -> None:
    import subprocess

    for command in (
        f"netns add {machine.name}",
        f"-n {host.name} link add vm0 type veth peer name eth0 netns {machine.name}",
        f"-n {host.name} address add 10.99.0.1/24 dev vm0",
        f"-n {machine.name} address add 10.99.0.2/24 dev eth0",
        f"-n {machine.name} link set lo up",
        f"-n {machine.name} link set eth0 up",
        f"-n {host.name} link set vm0 up",
        f"-n {machine.name} route add default via 10.99.0.1",
    ):
        subprocess.run(["ip", *command.split()], check=True, stdin=subprocess.DEVNULL)
    # Docker drops what it does not forward itself; whoever runs machines lets them be reached.
    host.run(["iptables", "-I", "FORWARD", "-o", "vm0", "-j", "ACCEPT"])
    host.run(["iptables", "-I", "FORWARD", "-i", "vm0", "-j", "ACCEPT"])


def test_a_range(alongside: Installation) -> None:
    host = alongside.host
    said = alongside("port", "assign", "7000-7001:50080-50081/tcp").stdout
    assert said == "7000/tcp and 1 more now reaches 50080 and 1 more.\n"
    assert version_at(host.client, host.address4, 7001) == "blue"
    alongside("port", "unassign", "7000-7001/tcp")
    assert alongside.json("port", "list") == {"assigned": []}


def test_refusals_change_nothing(alongside: Installation) -> None:
    host = alongside.host
    alongside("port", "assign", "8080:50080/tcp")
    for words, said in (
        (["assign", "80:50080/tcp"], "80/tcp belongs to the service web."),
        (["assign", "51080:50080/tcp"], "51080/tcp is held by python"),
        (["assign", "80:127.0.0.1:50080"], "cannot be reached from other machines"),
        (["assign", "http:50080"], "does not say which port"),
        (["assign", "80:0"], "0 is not a port number"),
        (["assign", "80-81:50080"], "gives 2 ports to 1"),
        (["assign", "80:50080/sctp"], "the protocol sctp"),
        (["unassign", "80/tcp"], "80/tcp is not assigned; the service web has it."),
    ):
        assert said in alongside.refused("port", *words)
    assert alongside.json("port", "list")["assigned"] == [{"port": "8080/tcp", "target": "50080"}]
    assert version_at(host.client, host.address4, 80) == "1"
    assert "nothing was changed" in alongside("port", "unassign", "9/tcp").stdout
    assert "Nothing listens on 4321/tcp" in alongside("port", "assign", "81:4321").stdout
    dry = alongside("port", "assign", "8080:51080/tcp", "--dry-run").stdout
    assert "redirect to :51080" in dry
    assert version_at(host.client, host.address4, 8080) == "blue"


def test_a_service_cannot_have_a_port_that_is_assigned(alongside: Installation) -> None:
    alongside("deactivate", "web")
    alongside("port", "assign", "80:50080/tcp", "-m", "while web is away")
    assert "web wants 80/tcp, and 80/tcp is assigned to 50080" in alongside.refused(
        "activate", "web@1"
    )
    alongside("port", "unassign", "80/tcp")
    alongside("activate", "web@1")
    verbs = [entry["verb"] for entry in alongside.json("history", "80/tcp")["history"]]
    assert verbs == ["unassign", "assign"]
    assert "while web is away" in alongside("history", "80/tcp").stdout


@pytest.mark.parametrize("fault", faults.ASSIGN)
def test_the_daemon_is_killed_on_the_way(alongside: Installation, fault: str) -> None:
    host = alongside.host

    def reached() -> set[str]:
        return {
            version_at(host.client, host.address4, 8080),
            ask.datagram(host.client, host.address4, 8080, source_port=4000).split()[0],
        }

    alongside("port", "assign", "8080:50080/tcp", "8080:50080/udp")
    assert reached() == {"blue"}
    alongside.stop()
    alongside.start(fault=fault)
    alongside.refused("port", "assign", "8080:51080/tcp", "8080:51080/udp")
    alongside.wait_ended()
    alongside.start()
    assert reached() == {"blue" if fault == "record-assignments:before" else "green"}
    assert "pending" not in {one["outcome"] for one in alongside.json("history")["history"]}


def test_it_is_there_again_after_a_restart_and_a_crash(alongside: Installation) -> None:
    host = alongside.host
    alongside("port", "assign", "8080:50080/tcp")
    alongside.stop()
    assert version_at(host.client, host.address4, 8080) == "blue"
    host.nft("flush ruleset")
    host.engine_restart()
    alongside.start(fault="record-assignments:after")
    assert version_at(host.client, host.address4, 8080) == "blue"
    alongside.refused("port", "assign", "8080:51080/tcp")
    alongside.wait_ended()
    alongside.start()
    assert version_at(host.client, host.address4, 8080) == "green"
