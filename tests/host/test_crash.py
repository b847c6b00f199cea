"""The daemon is killed at each step; the engine restarts; the host is in the old state or in the
new one, and never between."""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from support import ask, faults
from support.hanging import connecting, half_open, swallowing
from support.host import Host
from support.installation import Installation, Repository, load_images, web_files
from support.load import Load

pytestmark = pytest.mark.host

KILLED = -9


@pytest.fixture(scope="module")
def repository() -> Iterator[Repository]:
    """web@1 has the ports, web@2 is up."""
    with Host() as host:
        load_images(host, "responder")
        alongside = Installation(host)
        alongside.start()
        repository = alongside.repository("site", web_files())
        for version in ("1", "2"):
            repository.release(version, {})
            alongside("up", f"web@{version}")
        alongside("activate", "web@1")
        alongside.stop()
        yield repository


def answering(host: Host) -> set[str]:
    """The versions that answer now, by every way."""
    return {
        ask.http_get(host.client, host.address4).body.split()[0],
        ask.http_get(host.client, host.address6).body.split()[0],
        ask.datagram(host.client, host.address4, 7).split()[0],
        ask.http_get(host, "127.0.0.1").body.split()[0],
    }


def settled(alongside: Installation) -> str:
    """The version that has the ports, when the daemon is up again: status, kernel and history
    say the same."""
    (service,) = alongside.json("status", "web")["services"]
    assert answering(alongside.host) == {service["current"]}
    outcomes = [entry["outcome"] for entry in alongside.json("history")["history"]]
    assert "pending" not in outcomes
    return str(service["current"])


def recorded(fault: str) -> bool:
    """Whether the daemon was killed after the intent was written."""
    return fault not in ("await-ready:before", "await-ready:after", "record-routes:before")


@pytest.mark.parametrize("fault", faults.SWITCH)
def test_killed_while_it_switches(repository: Repository, fault: str) -> None:
    alongside, host = repository.alongside, repository.alongside.host
    alongside.start()
    alongside("activate", "web@1")
    alongside.stop()
    alongside.start(fault=fault)
    with Load(host.client, "tcp", host.address4, 80, dialect="http") as load:
        load.wait_for(20)
        assert "ended before it was done" in alongside.refused("activate", "web@2")
        assert alongside.wait_ended() == KILLED
        load.wait_for(20)
        alongside.start()
        load.wait_for(20)
        report = load.stop()
    assert not report.failures, "traffic flows while the daemon is down, and comes up again"
    assert settled(alongside) == ("2" if recorded(fault) else "1")
    alongside("activate", "web@2")
    assert settled(alongside) == "2"
    alongside.stop()


def test_killed_before_clients_of_a_version_that_hangs_are_decided_anew(
    repository: Repository,
) -> None:
    """It was connecting at the switch, or asks again from the same port; the daemon that comes up
    sees to it, and finds the table as it is wanted."""
    alongside, host = repository.alongside, repository.alongside.host
    alongside.start()
    alongside("activate", "web@1")
    alongside.stop()
    alongside.start(fault="switch:after")
    inspect = ["inspect", "--format", "{{.State.Pid}}", "web-1"]
    inside = Path(f"/proc/{host.docker(inspect).stdout.strip()}/ns/net")
    # A busy machine may take longer than two minutes to come to the end of this.
    host.sysctl("net.netfilter.nf_conntrack_tcp_timeout_syn_sent", 600)
    sources = range(4801, 4806)
    with swallowing(inside, 7), ExitStack() as clients:
        for source in sources:
            connecting(host.client, host.address4, 7, source=source).close()
        waiting = [
            clients.enter_context(connecting(host.client, address, 7))
            for address in (host.address4, host.address6)
        ]
        assert "ended before it was done" in alongside.refused("activate", "web@2")
        assert alongside.wait_ended() == KILLED
        assert half_open(host, 7) == len(sources) + len(waiting)
        alongside.start()
        for one in waiting:
            one.settimeout(30)  # until its SYN is sent again
            select.select([], [one], [], 30)
            one.sendall(b"?\n")
            assert one.recv(100).startswith(b"2 ")
        for source in sources:
            again = ask.line(host.client, host.address4, 7, source_port=source, timeout=30)
            assert again.startswith("2 ")
    assert settled(alongside) == "2"
    alongside.stop()


@pytest.mark.parametrize("fault", faults.UP)
def test_killed_while_a_version_comes_up(repository: Repository, fault: str) -> None:
    alongside = repository.alongside
    alongside.start()
    alongside("activate", "web@1")
    alongside("deactivate", "web@2")
    alongside("rm", "--force", "web@2")
    alongside.stop()
    alongside.start(fault=fault)
    alongside.refused("up", "web@2")
    assert alongside.wait_ended() == KILLED
    alongside.start()
    assert settled(alongside) == "1"
    alongside("up", "web@2")
    assert settled(alongside) == "1"
    alongside("activate", "web@2")
    assert settled(alongside) == "2"
    alongside.stop()


@pytest.mark.parametrize("fault", faults.DEACTIVATE)
def test_killed_while_it_takes_the_ports(repository: Repository, fault: str) -> None:
    alongside, host = repository.alongside, repository.alongside.host
    alongside.start()
    alongside("activate", "web@1")
    alongside.stop()
    alongside.start(fault=fault)
    assert "ended before it was done" in alongside.refused("deactivate", "web")
    assert alongside.wait_ended() == KILLED
    alongside.start()
    if recorded(fault):
        assert alongside.json("status", "web")["services"][0]["current"] is None
        for source, address in ((host.client, host.address4), (host, "127.0.0.1")):
            with pytest.raises(ConnectionRefusedError):
                ask.http_get(source, address)
        alongside("rollback", "web")
    assert settled(alongside) == "1"
    alongside.stop()


@pytest.fixture(scope="module")
def job(repository: Repository) -> str:
    """A service beside web: no ports, and a helper that all of its versions share."""
    alongside = repository.alongside
    alongside.start()
    other = alongside.repository("jobs", JOB)
    other.tag("1")
    alongside.stop()
    return "job@1"


JOB = {
    "compose.yaml": """\
services:
  job:
    build: .
    depends_on: [helper]
    x-alongside: {ready: running}
  helper:
    image: alongside-test/responder:latest
    x-alongside: {shared: true}
""",
    "Dockerfile": "FROM alongside-test/responder:latest\n",
}


def state(alongside: Installation) -> str:
    """Of job-1, or `none` where it has no instance."""
    found = alongside.json("ps", "job")["instances"]
    assert len(found) <= 1
    return str(found[0]["state"]) if found else "none"


def helpers(host: Host) -> list[str]:
    names = host.docker(["ps", "--format", "{{.Names}}"]).stdout.split()
    return [name for name in names if "helper" in name]


@pytest.mark.parametrize("fault", faults.UP_SHARED)
def test_killed_while_what_is_shared_starts(repository: Repository, job: str, fault: str) -> None:
    alongside, host = repository.alongside, repository.alongside.host
    alongside.start()
    alongside("rm", job)
    for name in helpers(host):
        host.docker(["rm", "--force", name])
    alongside.stop()
    alongside.start(fault=fault)
    alongside.refused("up", job)
    assert alongside.wait_ended() == KILLED
    alongside.start()
    # It has its addresses, and was to run: the daemon starts it when it meets the engine.
    _await(lambda: state(alongside) == "running")
    alongside("up", job)
    assert (state(alongside), len(helpers(host))) == ("running", 1)
    alongside.stop()


@pytest.mark.parametrize("fault", faults.STOP)
def test_killed_while_it_stops_one(repository: Repository, job: str, fault: str) -> None:
    alongside = repository.alongside
    alongside.start()
    alongside("up", job)
    alongside.stop()
    alongside.start(fault=fault)
    alongside.refused("stop", job)
    assert alongside.wait_ended() == KILLED
    alongside.start()
    _await(lambda: not alongside.json("status")["problems"])
    assert state(alongside) == ("running" if fault == "stop:before" else "exited")
    alongside("stop", job)
    assert state(alongside) == "exited"
    assert settled(alongside) == "1"
    alongside.stop()


@pytest.mark.parametrize("fault", faults.REMOVE)
def test_killed_while_it_removes_one(repository: Repository, job: str, fault: str) -> None:
    alongside, host = repository.alongside, repository.alongside.host
    alongside.start()
    alongside("up", job)
    alongside.stop()
    alongside.start(fault=fault)
    alongside.refused("rm", job)
    assert alongside.wait_ended() == KILLED
    alongside.start()
    assert state(alongside) == ("running" if fault == "remove:before" else "none")
    alongside("rm", job)
    assert alongside.json("ps", "job")["instances"] == []
    assert host.docker(["ps", "--all", "--quiet", "--filter", "name=^job-1$"]).stdout == ""
    assert settled(alongside) == "1"
    alongside.stop()


@pytest.mark.parametrize("fault", faults.BUILD)
def test_killed_while_it_builds(repository: Repository, fault: str) -> None:
    alongside, host = repository.alongside, repository.alongside.host
    version = f"3-{fault.replace(':', '-')}"
    alongside.start(fault=fault)
    repository.commit({"what": fault})
    tagged = repository.tag(version)
    assert f"alongside build {version}" in tagged.stderr or "ended before" in tagged.stderr
    assert alongside.wait_ended() == KILLED
    alongside.start()
    released = {one["version"] for one in alongside.json("releases")["releases"]}
    if fault == "record-release:after":
        assert version in released
    else:
        assert version not in released, "a killed build leaves no release"
        _await(lambda: not host.docker(["images", "-q", f"repo/web:{version}"]).stdout)
        assert not list((alongside.state / "incoming").iterdir())
    said = alongside("build", version, cwd=repository.path).stdout
    assert "is released" in said
    alongside("up", f"web@{version}")
    alongside("stop", f"web@{version}")
    alongside.stop()


def test_traffic_flows_while_the_daemon_is_stopped(repository: Repository) -> None:
    alongside, host = repository.alongside, repository.alongside.host
    alongside.start()
    with Load(host.client, "tcp", host.address4, 80, dialect="http") as load:
        load.wait_for(20)
        alongside.stop()
        load.wait_for(50)
        alongside.start()
        load.wait_for(20)
        report = load.stop()
    assert not report.failures
    alongside.stop()


def test_a_killed_engine_and_a_restarted_one(repository: Repository) -> None:
    """Containers run on when the engine is killed; after a restart what was routed is started."""
    alongside, host = repository.alongside, repository.alongside.host
    alongside.start()
    alongside("activate", "web@1")
    host.engine_kill()
    assert "does not answer" in alongside.refused("up", "web@2")
    assert ask.http_get(host.client, host.address4).body.startswith("1 ")
    assert any("does not answer" in text for text in alongside.json("status")["problems"])
    host.engine_start()
    _await(lambda: alongside.json("status")["problems"] == [])

    before = {one["name"]: one["local_ports"] for one in alongside.json("ps")["instances"]}
    host.engine_restart()
    _await(lambda: _answers(host))
    assert settled(alongside) == "1"
    after = {one["name"]: one["local_ports"] for one in alongside.json("ps")["instances"]}
    assert after == before, "local ports survive a restart"
    alongside.stop()


def _answers(host: Host) -> bool:
    try:
        return answering(host) == {"1"}
    except OSError:
        return False


def _await(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.05)
