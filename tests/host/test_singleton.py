"""A scheduler: one instance on the whole host, whoever asks and whatever dies."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from support import ask, faults
from support.host import Host
from support.installation import Installation, load_images

pytestmark = pytest.mark.host

KILLED = -9
COMPOSE = """\
services:
  scheduler:
    image: repo/scheduler:${tag:-latest}
    build: {context: ., args: {VERSION: "${tag}"}}
    restart: always
    ports: ["9000/tcp"]
    volumes: ["data:/data"]
    x-alongside: {workload: singleton, ready: {tcp: 9000, timeout: 5s}}
volumes:
  data: {x-alongside: {shared: true}}
"""
# Says in /data/log when it begins and ends, and whether another one ran at that moment.
PROGRAM = """\
import fcntl, os, signal, socket, sys, time
version = os.environ["VERSION"]
def log(word):
    with open("/data/log", "a") as file:
        file.write(f"{version} {word}\\n")
lock = open("/data/lock", "w")
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    log("overlap")
log("start")
def end(*_):
    log("end")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
if version == "broken":
    signal.pause()
server = socket.create_server(("", 9000), family=socket.AF_INET6, dualstack_ipv6=True, backlog=128)
while True:
    client, _ = server.accept()
    client.sendall(f"{version}\\n".encode())
    client.close()
"""
FILES = {
    "compose.yaml": COMPOSE,
    "scheduler.py": PROGRAM,
    "Dockerfile": "FROM alongside-test/responder:latest\nARG VERSION\nENV VERSION=$VERSION\n"
    'COPY scheduler.py /\nCMD ["python3", "-S", "/scheduler.py"]\n',
}


@pytest.fixture(scope="module")
def alongside() -> Iterator[Installation]:
    """scheduler@1, @2 and @3 are released, and @broken, which runs and never becomes ready."""
    with Host() as host:
        load_images(host, "responder")
        installation = Installation(host)
        installation.start()
        repository = installation.repository("jobs", FILES)
        for version in ("1", "2", "3", "broken"):
            repository.release(version, {})
        yield installation


@pytest.fixture
def one(alongside: Installation) -> Iterator[Installation]:
    """scheduler@1 runs, and nothing was ever said of two at once."""
    alongside("activate", "scheduler@1")
    yield alongside
    assert not [line for line in log(alongside) if "overlap" in line]
    assert len(containers(alongside)) <= 1


def log(alongside: Installation) -> list[str]:
    said = alongside.host.docker(["volume", "inspect", "--format", "{{.Mountpoint}}", "jobs_data"])
    return Path(said.stdout.strip(), "log").read_text().splitlines()


def containers(alongside: Installation) -> list[str]:
    """Name and image of every container, running or not."""
    said = alongside.host.docker(["ps", "--all", "--format", "{{.Names}} {{.State}}"]).stdout
    return said.splitlines()


def running(alongside: Installation) -> str:
    """The version that answers; status, engine and kernel say the same."""
    (service,) = alongside.json("status")["services"]
    host = alongside.host
    assert ask.line(host.client, host.address4, 9000, timeout=10) == service["current"]
    assert containers(alongside) == ["scheduler-current running"]
    labels = host.docker(["inspect", "--format", "{{json .Config.Labels}}", "scheduler-current"])
    assert json.loads(labels.stdout)["alongside.version"] == service["current"]
    return str(service["current"])


def test_the_old_one_is_gone_before_the_new_one_starts(one: Installation) -> None:
    done = one("activate", "scheduler@2")
    said = done.stdout.splitlines()
    assert said[0] == "scheduler@2 runs as scheduler-current (before: 1)."
    gap = re.fullmatch(r"None of scheduler ran for (\d+\.\d\d) s\.", said[1])
    assert gap
    assert 0 < float(gap[1]) < 10
    assert log(one)[-2:] == ["1 end", "2 start"]
    assert running(one) == "2"
    host = one.host
    images = host.docker(["images", "--format", "{{.Tag}} {{.ID}}", "repo/scheduler"]).stdout
    ids = dict(line.split() for line in images.splitlines())
    assert ids["current"] == ids["2"]
    assert "the one that runs" in one("status").stdout
    one("rollback", "scheduler")
    assert running(one) == "1"
    assert log(one)[-2:] == ["2 end", "1 start"]
    assert "none ran for" in one("history", "scheduler").stdout


def test_there_is_no_way_to_a_second_one(one: Installation) -> None:
    assert "is a singleton" in one.refused("up", "scheduler@2")
    for verb in ("stop", "rm"):
        assert "the one version of a singleton" in one.refused(verb, "scheduler@1")
    assert "runs already" in one("activate", "scheduler@1").stdout
    before = containers(one)
    assert "prepare" not in one("activate", "scheduler@2", "--dry-run").stderr
    assert containers(one) == before


def test_two_people_at_once(one: Installation) -> None:
    processes = [
        one.host.spawn(
            [sys.executable, "-m", "alongside", "activate", f"scheduler@{version}"],
            log=one.host.folder / f"activate-{version}.log",
            env=one.environment,
        )
        for version in ("2", "3", "2", "3")
    ]
    assert [process.wait(60) for process in processes] == [0, 0, 0, 0]
    assert running(one) in ("2", "3")


def test_one_that_does_not_become_ready_gives_way_to_the_old_one(one: Installation) -> None:
    said = one.refused("activate", "scheduler@broken")
    assert "did not become ready" in said
    assert "scheduler@1 runs again" in said
    assert running(one) == "1"
    assert log(one)[-4:] == ["1 end", "broken start", "broken end", "1 start"]
    (last, *_) = one.json("history", "scheduler")["history"]
    assert (last["outcome"], last["to"]) == ("failed", "broken")
    one("activate", "scheduler@2")
    one("rollback", "scheduler")
    assert running(one) == "1", "what failed was never known good"


def test_clients_wait_within_the_gap(one: Installation) -> None:
    host = one.host
    process = host.spawn(
        [sys.executable, "-m", "alongside", "activate", "scheduler@2"],
        log=host.folder / "gap.log",
        env=one.environment,
    )
    heard = []
    while process.poll() is None:
        try:
            answer = ask.line(host.client, host.address4, 9000, timeout=10)
        except ConnectionResetError:
            answer = "cut"  # it had come to the old one just before its end
        except ConnectionRefusedError:
            answer = "refused"
        heard.append((datetime.now(UTC), answer))
        time.sleep(0.02)
    # From its start on the new one itself refuses them, until it listens: also one that asked
    # before, and whose SYN was sent again then.
    said = host.docker(["inspect", "--format", "{{.State.StartedAt}}", "scheduler-current"]).stdout
    started = datetime.fromisoformat(said.strip())
    assert [answer for at, answer in heard if at < started].count("refused") == 0, heard
    assert heard[-1][1] == "2"


@pytest.mark.parametrize("fault", faults.SINGLETON)
def test_the_daemon_is_killed_on_the_way(one: Installation, fault: str) -> None:
    one.stop()
    one.start(fault=fault)
    one.refused("activate", "scheduler@2")
    assert one.wait_ended() == KILLED
    one.start()
    wait_converged(one)
    recorded = fault.partition(":")[0] not in ("allocate", "prepare-singleton") and (
        fault != "record-singleton:before"
    )
    assert running(one) == ("2" if recorded else "1")
    outcomes = {entry["outcome"] for entry in one.json("history")["history"]}
    assert "pending" not in outcomes


def test_the_daemon_is_killed_and_the_new_one_never_becomes_ready(one: Installation) -> None:
    one.stop()
    one.start(fault="replace-singleton:after")
    one.refused("activate", "scheduler@broken")
    one.wait_ended()
    one.start()
    wait_converged(one)
    assert running(one) == "1"


@pytest.mark.parametrize("fault", ["record-singleton:after", "replace-singleton:before"])
def test_daemon_and_engine_die_on_the_way(one: Installation, fault: str) -> None:
    one.stop()
    one.start(fault=fault)
    one.refused("activate", "scheduler@2")
    one.wait_ended()
    one.host.engine_kill()
    one.start()
    wait_converged(one)
    assert running(one) == "2"


def test_after_a_reboot_it_is_the_same_one(one: Installation) -> None:
    """Every container ends, the engine starts what has a restart policy, then the daemon starts."""
    one("activate", "scheduler@3")
    one.stop()
    one.host.engine_restart()
    one.host.nft("flush ruleset")
    one.host.engine_restart()
    one.start()
    wait_converged(one)
    assert running(one) == "3"


def wait_converged(one: Installation, timeout: float = 30) -> None:
    """Until what is to run answers, and history has no open end."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        entries = one.json("history", "scheduler")["history"]
        ended = all(entry["outcome"] != "pending" for entry in entries)
        if ended and containers(one) == ["scheduler-current running"]:
            with suppress(OSError):
                ask.line(one.host.client, one.host.address4, 9000, timeout=1)
                return
        time.sleep(0.1)
    raise AssertionError(f"{containers(one)}\n{one.words()[-3000:]}")


def test_a_copy_started_by_hand_is_reported_and_stands_in_the_way(one: Installation) -> None:
    host = one.host
    options = ["--detach", "--name", "by-hand", "--tmpfs", "/data"]
    host.docker(["run", *options, "repo/scheduler:2"])
    try:
        assert "copies of it run that were started by hand: by-hand" in one("status").stderr
        said = one.refused("activate", "scheduler@3")
        assert "docker rm --force by-hand" in said
        assert log(one)[-1] == "1 start", "nothing was touched"
    finally:
        host.docker(["rm", "--force", "by-hand"])
    assert "by hand" not in one("status").stderr


def test_deactivated_none_runs(one: Installation) -> None:
    assert "No version of scheduler runs now (before: 1)." in one("deactivate", "scheduler").stdout
    assert containers(one) == []
    assert log(one)[-1] == "1 end"
    with pytest.raises(ConnectionRefusedError):
        ask.line(one.host.client, one.host.address4, 9000)
    assert "nothing was changed" in one("deactivate", "scheduler").stdout
    networks = one.host.docker(["network", "ls", "--format", "{{.Name}}"]).stdout.split()
    assert sorted(networks) == ["bridge", "host", "none"]
    one("rollback", "scheduler")
    assert running(one) == "1"
