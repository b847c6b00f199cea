"""Singletons through the gates: never two at once, and where a new one fails the old one runs
again by itself."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support import ask
from support.deploying import Deploying
from support.host import Host
from support.installation import Installation, Repository, load_images

pytestmark = pytest.mark.host

COMPOSE = """\
services:
  scheduler: &scheduler
    image: repo/scheduler:${tag:-latest}
    build: &build {context: ., args: {VERSION: "${tag}"}}
    restart: always
    ports: ["9000/tcp"]
    environment: {LOG: /data/scheduler}
    volumes: ["data:/data"]
    x-alongside:
      workload: singleton
      ready: {tcp: 9000, timeout: 10s}
      watch: {for: 1s, every: 200ms}
  cron:
    <<: *scheduler
    image: repo/cron:${tag:-latest}
    build: *build
    ports: []
    environment: {LOG: /data/cron}
    x-alongside:
      workload: singleton
      ready: {tcp: 9000, timeout: 10s}
      watch: {for: 1s, every: 200ms}
volumes:
  data: {x-alongside: {shared: true}}
"""
# Says when it begins and ends, and whether another one ran at that moment.
PROGRAM = """\
import fcntl, os, signal, socket, sys
version = os.environ["VERSION"]
def log(word):
    with open(os.environ["LOG"], "a") as file:
        file.write(f"{version} {word}\\n")
lock = open(os.environ["LOG"] + ".lock", "w")
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    log("overlap")
log("start")
def end(code):
    log("end")
    os._exit(code)
signal.signal(signal.SIGTERM, lambda *_: end(0))
signal.signal(signal.SIGUSR1, lambda *_: end(3))
server = socket.create_server(("", 9000), family=socket.AF_INET6, dualstack_ipv6=True)
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
def repository() -> Iterator[Repository]:
    with Host() as host:
        load_images(host, "responder")
        alongside = Installation(host)
        alongside.start()
        repository = alongside.repository("jobs", FILES)
        for version in ("1.0.0", "1.1.0", "1.2.0", "1.3.0"):
            repository.release(version, {})
        yield repository


@pytest.fixture
def alongside(repository: Repository) -> Iterator[Installation]:
    """1.0.0 of both runs, and nothing was ever said of two at once."""
    alongside = repository.alongside
    for name in ("scheduler", "cron"):
        alongside("activate", f"{name}@1.0.0")
    yield alongside
    for name in ("scheduler", "cron"):
        assert not [line for line in log(alongside, name) if "overlap" in line]
    entries = alongside.json("history")["history"]
    assert "pending" not in [entry["outcome"] for entry in entries]


def log(alongside: Installation, name: str) -> list[str]:
    said = alongside.host.docker(["volume", "inspect", "--format", "{{.Mountpoint}}", "jobs_data"])
    return Path(said.stdout.strip(), name).read_text().splitlines()


def service(alongside: Installation, name: str) -> dict[str, Any]:
    (found,) = alongside.json("status", name)["services"]
    return dict(found)


def mark(alongside: Installation, name: str, version: str) -> str | None:
    (found,) = [one for one in service(alongside, name)["versions"] if one["version"] == version]
    return None if found["mark"] is None else str(found["mark"])


def runs(alongside: Installation, name: str = "scheduler") -> str:
    """The version that runs, and it alone; of the scheduler it is also the one that answers."""
    host = alongside.host
    listed = host.docker(
        ["ps", "--all", "--filter", f"name={name}", "--format", "{{.Names}} {{.State}}"]
    )
    assert listed.stdout.splitlines() == [f"{name}-current running"]
    form = '{{index .Config.Labels "alongside.version"}}'
    version = host.docker(["inspect", "--format", form, f"{name}-current"]).stdout.strip()
    if name == "scheduler":
        assert ask.line(host.client, host.address4, 9000, timeout=10) == version
    return version


def eventually(question: Callable[[], bool], timeout: float = 60) -> None:
    deadline = time.monotonic() + timeout
    while not question():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def fail(alongside: Installation, name: str = "scheduler") -> None:
    alongside.host.docker(["kill", "--signal", "USR1", f"{name}-current"])


def last(alongside: Installation, name: str, verb: str) -> dict[str, Any]:
    found = alongside.json("history", name)["history"]
    return dict(next(entry for entry in found if entry["verb"] == verb))


def test_one_that_comes_through(alongside: Installation) -> None:
    done = alongside("deploy", "scheduler@1.1.0").stdout
    assert "scheduler@1.1.0 runs as scheduler-current (before: 1.0.0)." in done
    assert "None of scheduler ran for " in done
    assert "scheduler@1.1.0 is good." in done
    assert runs(alongside) == "1.1.0"
    assert mark(alongside, "scheduler", "1.1.0") == "good"
    assert log(alongside, "scheduler")[-2:] == ["1.0.0 end", "1.1.0 start"]
    assert last(alongside, "scheduler", "deploy")["outcome"] == "done"


@pytest.mark.parametrize("name", ["scheduler", "cron"])
def test_one_that_fails_while_it_is_watched(alongside: Installation, name: str) -> None:
    version = f"{name}@1.2.0"
    alongside("mark", "good", version)
    deploying = Deploying(alongside, version, "--watch", "60s")
    deploying.watched()
    fail(alongside, name)
    status, said = deploying.end()
    assert status == 1
    assert f"{version} ran and was ended again: it ended with exit code 3" in said
    assert f"{name}@1.0.0 runs again." in said
    assert runs(alongside, name) == "1.0.0"
    assert mark(alongside, name, "1.2.0") == "bad"
    assert last(alongside, name, "rollback")["actor"] == "alongside"


@pytest.mark.parametrize("name", ["scheduler", "cron"])
@pytest.mark.parametrize("moment", ["before", "watched"])
def test_one_that_a_person_gives_up(alongside: Installation, name: str, moment: str) -> None:
    deploying = Deploying(alongside, f"{name}@1.1.0", "--watch", "60s")
    if moment == "watched":
        deploying.watched()
    else:
        deploying.until("step", name="prepare-singleton", state="started")
    deploying.process.send_signal(signal.SIGINT)
    status, said = deploying.end()
    assert status == 130
    assert "was given up by" in said
    assert runs(alongside, name) == "1.0.0"
    assert last(alongside, name, "deploy")["outcome"] == "failed"


def test_a_person_goes_back_and_nothing_is_held_against_it(alongside: Installation) -> None:
    """One without ports has no switch that would end its trial."""
    alongside("mark", "good", "cron@1.3.0")
    deploying = Deploying(alongside, "cron@1.3.0", "--watch", "60s")
    deploying.watched()
    alongside("rollback", "cron")
    assert "was displaced (rollback by" in deploying.end()[1]
    assert runs(alongside, "cron") == "1.0.0"
    assert mark(alongside, "cron", "1.3.0") == "good"


@pytest.mark.parametrize("fault", ["", "replace-singleton:before", "open-trial:before"])
def test_a_trial_outlives_the_daemon(alongside: Installation, fault: str) -> None:
    alongside("mark", "good", "scheduler@1.2.0")
    if fault:
        alongside.stop()
        alongside.start(fault=fault)
        alongside("deploy", "scheduler@1.2.0", check=False)
        assert alongside.wait_ended() == -9
        alongside.start()
        assert last(alongside, "scheduler", "deploy")["to"] == "1.2.0"
        eventually(lambda: last(alongside, "scheduler", "deploy")["outcome"] == "done")
        assert "came through 1 s" in last(alongside, "scheduler", "deploy")["detail"]
        assert runs(alongside) == "1.2.0"
        return
    deploying = Deploying(alongside, "scheduler@1.2.0", "--watch", "60s")
    deploying.watched()
    alongside.kill()
    deploying.end()
    alongside.start()
    assert service(alongside, "scheduler")["trial"]["version"] == "1.2.0"
    assert runs(alongside) == "1.2.0"
    fail(alongside)
    eventually(lambda: last(alongside, "scheduler", "deploy")["outcome"] == "failed")
    assert runs(alongside) == "1.0.0"


def test_gc_keeps_the_one_that_runs(repository: Repository, alongside: Installation) -> None:
    alongside("activate", "scheduler@1.1.0")
    plan = alongside("gc", "scheduler", "--keep", "0", "--dry-run").stdout
    assert "keep scheduler@1.1.0: it has ports" in plan
    assert "keep scheduler@1.0.0: it is where a rollback goes" in plan
    alongside("gc", "scheduler", "--keep", "0")
    left = {one["version"] for one in alongside.json("releases", "scheduler")["releases"]}
    assert left == {"1.0.0", "1.1.0", "1.3.0"}  # and the newest
    assert runs(alongside) == "1.1.0"
    assert "keep cron@1.0.0: it is the one that runs" in (
        alongside("gc", "cron", "--keep", "0", "--dry-run").stdout
    )


def test_it_is_followed(repository: Repository, alongside: Installation) -> None:
    following = COMPOSE.replace("watch: {for: 1s", "follow: ^1\n      watch: {for: 1s")
    repository.release("1.8.0", {"compose.yaml": following})
    alongside("activate", "scheduler@1.8.0")
    repository.commit({"more": "1.9.0"})
    tagged = repository.tag("1.9.0")
    assert "scheduler@1.9.0 is deployed by itself" in tagged.stdout + tagged.stderr
    eventually(lambda: last(alongside, "scheduler", "deploy")["to"] == "1.9.0")
    eventually(lambda: last(alongside, "scheduler", "deploy")["outcome"] == "done")
    assert runs(alongside) == "1.9.0"
    assert last(alongside, "scheduler", "deploy")["actor"] == "alongside"
    assert runs(alongside, "cron") == "1.0.0", "what nothing says to follow stays"
