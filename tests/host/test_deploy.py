"""Versions through the gates, under load: whatever becomes of them, the right one has the ports,
the history is true, and nobody is left without an answer that a routed version could have given."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from support import ask
from support.deploying import Deploying
from support.fairness import assert_answered
from support.host import Host
from support.installation import Installation, Repository, load_images
from support.load import Load, Report

pytestmark = pytest.mark.host

COMPOSE = """\
services:
  web:
    image: repo/web:${tag:-latest}
    build: {context: ., args: {VERSION: "${tag}"}}
    ports: ["80:80", "7/udp", "7/tcp"]
    mem_limit: 48m
    memswap_limit: 48m
    x-alongside:
      ready: {http: /, timeout: 5s}
      watch: {for: 2s, every: 200ms, failures: 3, within: 500ms}
      drain: 5s
"""
DOCKERFILE = """\
FROM alongside-test/responder:latest
ARG VERSION
ENV VERSION=$VERSION PORTS="80 7" SICK=/tmp/sick
"""


@pytest.fixture(scope="module")
def repository() -> Iterator[Repository]:
    """web@1 came through its trial."""
    with Host() as host:
        load_images(host, "responder")
        alongside = Installation(host)
        alongside.start()
        files = {"compose.yaml": COMPOSE, "Dockerfile": DOCKERFILE}
        repository = alongside.repository("site", files)
        repository.tag("1")
        alongside("deploy", "web@1")
        yield repository


@pytest.fixture
def one(repository: Repository) -> Iterator[Repository]:
    """A good version has the ports, and whatever happens under load loses nothing over TCP; over
    UDP no more than what is in flight at a switch."""
    with under_load(repository) as reports:
        yield repository
    tcp, udp = reports
    assert not tcp.failures
    assert len(udp.failures) <= 20


@pytest.fixture
def failing(repository: Repository) -> Iterator[Repository]:
    """The same where a bad version has the ports for a while: what is lost is lost by it, while
    it has them, and not by one that could have answered."""
    with under_load(repository) as reports:
        yield repository
    assert_answered(reports[0], entries(repository.alongside, "deploy"))


@contextmanager
def under_load(repository: Repository) -> Iterator[list[Report]]:
    alongside, host = repository.alongside, repository.alongside.host
    reports: list[Report] = []
    loads = (
        Load(
            host.client,
            "tcp",
            host.address4,
            80,
            dialect="http",
            workers=2,
            pause=0.005,
            seconds=280,
        ),
        Load(host.client, "udp", host.address6, 7, workers=1, pause=0.01, seconds=280),
    )
    with loads[0] as tcp, loads[1] as udp:
        tcp.wait_for(10)
        yield reports
        tcp.wait_for(10)
        reports += [tcp.stop(), udp.stop()]
    # A version that has just lost the ports may still be being stopped.
    ended = time.monotonic() + 30
    while "pending" in outcomes(alongside):
        assert time.monotonic() < ended, alongside.json("history", "web")


def outcomes(alongside: Installation) -> list[str]:
    return [entry["outcome"] for entry in alongside.json("history", "web")["history"]]


def entries(alongside: Installation, verb: str) -> list[dict[str, Any]]:
    """Newest first."""
    found = alongside.json("history", "web")["history"]
    return [entry for entry in found if entry["verb"] == verb]


def service(alongside: Installation) -> dict[str, Any]:
    (found,) = alongside.json("status", "web")["services"]
    return dict(found)


def version(alongside: Installation, name: str) -> dict[str, Any]:
    (found,) = [one for one in service(alongside)["versions"] if one["version"] == name]
    return dict(found)


def has_ports(alongside: Installation) -> str:
    """By every way, and as status says."""
    host = alongside.host
    found = {
        ask.http_get(host.client, host.address4).body.split()[0],
        ask.http_get(host.client, host.address6).body.split()[0],
        ask.datagram(host.client, host.address4, 7).split()[0],
        ask.http_get(host, "127.0.0.1").body.split()[0],
        str(service(alongside)["current"]),
    }
    assert len(found) == 1, found
    return found.pop()


def eventually(question: Any, timeout: float = 30) -> None:
    deadline = time.monotonic() + timeout
    while not question():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def tell(alongside: Installation, name: str, command: str) -> None:
    alongside.host.docker(["exec", f"web-{name}", "sh", "-c", command])


def release(repository: Repository, name: str, **replaced: str) -> None:
    compose, dockerfile = COMPOSE, DOCKERFILE
    for old, new in (one.split("=>") for one in replaced.values()):
        assert old in compose + dockerfile
        compose, dockerfile = compose.replace(old, new), dockerfile.replace(old, new)
    repository.release(name, {"compose.yaml": compose, "Dockerfile": dockerfile})


def test_a_good_one(one: Repository) -> None:
    alongside = one.alongside
    release(one, "2")
    done = alongside("deploy", "web@2", "-m", "the next")
    assert "now reach web@2 (before: 1)" in done.stdout
    assert "web@2 is good." in done.stdout
    assert has_ports(alongside) == "2"
    assert version(alongside, "2")["mark"] == "good"
    assert service(alongside)["rollback_to"] == "1"
    assert version(alongside, "1")["state"] == "running", "on standby, for an instant rollback"
    (entry,) = [one for one in entries(alongside, "deploy") if one["to"] == "2"]
    assert (entry["from"], entry["outcome"], entry["message"]) == ("1", "done", "the next")
    assert alongside("deploy", "web@2").stdout.startswith("web@2 has 80/tcp")
    alongside("rollback", "web")
    assert has_ports(alongside) == "1"


def test_one_that_never_becomes_ready(one: Repository) -> None:
    alongside = one.alongside
    release(one, "3-deaf", a="http: /, timeout: 5s=>http: /, port: 81, timeout: 1s")
    said = alongside.refused("deploy", "web@3-deaf")
    assert "web-3-deaf did not become ready" in said
    assert has_ports(alongside) == "1"
    assert version(alongside, "3-deaf")["state"] == "exited"
    assert entries(alongside, "deploy")[0]["outcome"] == "failed"
    assert "did not become ready" in entries(alongside, "deploy")[0]["detail"]


@pytest.mark.parametrize(
    ("name", "command", "reason"),
    [
        ("4-sick", "touch /tmp/sick", "failed 3 probes in a row (GET / at"),
        ("4-exits", "kill -USR1 1", "ended with exit code 3"),
        ("4-hungry", "kill -HUP 1", "was killed for want of memory"),
        ("4-hangs", "kill -USR2 1", "failed 3 probes in a row (GET / at"),
    ],
)
def test_one_that_fails_while_it_is_watched(
    failing: Repository, name: str, command: str, reason: str
) -> None:
    alongside = failing.alongside
    release(failing, name, a="watch: {for: 2s=>watch: {for: 30s")
    deploying = Deploying(alongside, f"web@{name}")
    deploying.watched()
    assert has_ports(alongside) == name
    assert service(alongside)["trial"]["version"] == name
    tell(alongside, name, command)
    status, said = deploying.end()
    assert status == 1
    assert f"web@{name} had the ports and lost them: it {reason}" in said
    assert "web@1 has them" in said
    assert has_ports(alongside) == "1"
    assert version(alongside, name)["mark"] == "bad"
    (back, *_) = entries(alongside, "rollback")
    assert (back["to"], back["actor"], back["outcome"]) == ("1", "alongside", "done")
    assert reason in back["message"]
    (deploy, *_) = entries(alongside, "deploy")
    assert deploy["outcome"] == "failed"
    assert reason in deploy["detail"]
    assert "is marked bad" in alongside.refused("deploy", f"web@{name}")
    assert "is marked bad" in alongside.refused("activate", f"web@{name}")
    eventually(lambda: version(alongside, name)["state"] == "exited")


def test_one_that_is_restarted(failing: Repository) -> None:
    alongside = failing.alongside
    release(failing, "5", a="    mem_limit: 48m=>    restart: always\n    mem_limit: 48m")
    deploying = Deploying(alongside, "web@5", "--watch", "30s")
    deploying.watched()
    tell(alongside, "5", "kill -USR1 1")
    status, said = deploying.end()
    assert (status, "ended with exit code 3" in said) == (1, True)
    assert has_ports(alongside) == "1"


def test_one_that_a_person_gives_up(one: Repository) -> None:
    alongside = one.alongside
    release(one, "6")
    for moment in ("watched", "before"):
        deploying = Deploying(alongside, "web@6", "--watch", "60s")
        if moment == "watched":
            deploying.watched()
        else:
            deploying.until("step", name="await-ready", state="started")
        deploying.process.send_signal(signal.SIGINT)
        status, said = deploying.end()
        assert status == 130
        assert "given up" in said or "Giving it up" in said
        assert has_ports(alongside) == "1"
        assert entries(alongside, "deploy")[0]["outcome"] == "failed"
        assert version(alongside, "6")["mark"] is None
        eventually(lambda: version(alongside, "6")["state"] == "exited")


def test_two_at_once(one: Repository) -> None:
    """The second is refused, whether it comes while the first is made ready or while it is
    watched."""
    alongside = one.alongside
    release(one, "7")
    release(one, "8")
    running = {name: Deploying(alongside, f"web@{name}", "--watch", "60s") for name in "78"}
    eventually(lambda: service(alongside)["trial"] is not None)
    won = service(alongside)["trial"]["version"]
    lost = "8" if won == "7" else "7"
    status, said = running[lost].end()
    assert status == 1
    assert "were given to another version" in said or "is still watched" in said
    assert f"web@{won} was given the ports a moment ago" in alongside.refused(
        "deploy", f"web@{lost}"
    )
    assert has_ports(alongside) == won
    # A person's word ends the trial: nobody waits for it.
    assert f"web@{won} is marked good." in alongside("mark", "good", f"web@{won}").stdout
    assert running[won].end()[0] == 0
    alongside("rollback", "web")
    assert has_ports(alongside) == "1"


def test_a_person_goes_back_while_it_is_watched(one: Repository) -> None:
    alongside = one.alongside
    deploying = Deploying(alongside, "web@7", "--watch", "60s", "--force")
    deploying.watched()
    alongside("rollback", "web", "-m", "looks odd")
    status, said = deploying.end()
    assert status == 1
    assert "rollback by" in said
    assert has_ports(alongside) == "1"
    assert service(alongside)["trial"] is None


def test_marked_bad_while_it_is_watched(one: Repository) -> None:
    alongside = one.alongside
    release(one, "9")
    deploying = Deploying(alongside, "web@9", "--watch", "60s")
    deploying.watched()
    said = alongside("mark", "bad", "web@9", "-m", "wrong colour").stdout
    assert "web@1 has the ports" in said
    assert deploying.end()[0] == 1
    assert has_ports(alongside) == "1"
    assert "web@9 is marked bad: wrong colour" in alongside.refused("activate", "web@9")
    alongside("activate", "web@9", "--force")
    assert has_ports(alongside) == "9"
    alongside("rollback", "web")
    assert has_ports(alongside) == "1"


@pytest.mark.parametrize("moment", ["killed", "stopped"])
def test_a_trial_outlives_the_daemon(failing: Repository, moment: str) -> None:
    alongside = failing.alongside
    name = f"10-{moment}"
    release(failing, name)
    deploying = Deploying(alongside, f"web@{name}", "--watch", "60s")
    deploying.watched()
    alongside.kill() if moment == "killed" else alongside.stop()
    assert deploying.end()[0] == 1
    alongside.start()
    assert service(alongside)["trial"]["version"] == name
    tell(alongside, name, "touch /tmp/sick")
    eventually(lambda: service(alongside)["current"] == "1")
    assert has_ports(alongside) == "1"
    assert version(alongside, name)["mark"] == "bad"
    eventually(lambda: entries(alongside, "deploy")[0]["outcome"] == "failed")
