"""Who had the ports: drained, cut, and kept on standby; and the way back to each of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from support import ask
from support.host import Host
from support.installation import Installation, Repository, load_images
from support.load import Load

pytestmark = pytest.mark.host

COMPOSE = """\
services:
  web:
    image: repo/web:${{tag:-latest}}
    build: {{context: ., args: {{VERSION: "${{tag}}"}}}}
    ports: ["80:80", "7/udp", "7/tcp"]
    x-alongside:
      ready: {{http: /, timeout: 10s}}
      watch: none
      drain: {drain}
      standby: {{keep: {keep}, as: {kept}}}
"""
DOCKERFILE = """\
FROM alongside-test/responder:latest
ARG VERSION
ENV VERSION=$VERSION PORTS="80 7"
"""


def release(repository: Repository, name: str, drain: str, kept: str, keep: int = 1) -> None:
    compose = COMPOSE.format(drain=drain, keep=keep, kept=kept)
    repository.release(name, {"compose.yaml": compose, "Dockerfile": DOCKERFILE})


@pytest.fixture(scope="module")
def repository() -> Iterator[Repository]:
    """Versions that are named after what they say of those before them; `first` has no opinion."""
    with Host() as host:
        load_images(host, "responder")
        alongside = Installation(host)
        alongside.start()
        compose = COMPOSE.format(drain="forever", keep=1, kept="running")
        repository = alongside.repository(
            "site", {"compose.yaml": compose, "Dockerfile": DOCKERFILE}
        )
        repository.tag("first")
        for drain in ("none", "2s", "forever"):
            for kept in ("running", "paused", "stopped"):
                release(repository, f"{drain}-{kept}", drain, kept)
        yield repository


@pytest.fixture
def alongside(repository: Repository) -> Iterator[Installation]:
    """`first` has the ports, nothing else runs; and under load nothing is lost."""
    alongside = repository.alongside
    host = alongside.host
    alongside("activate", "web@first")
    for one in versions(alongside).values():
        if one["version"] != "first":
            alongside("rm", f"web@{one['version']}", "--force")
    with Load(
        host.client, "tcp", host.address4, 80, dialect="http", workers=1, pause=0.01, seconds=280
    ) as load:
        load.wait_for(5)
        yield alongside
        load.wait_for(5)
        report = load.stop()
    assert not report.failures
    assert not alongside.api("/v1/status")["problems"]


def versions(alongside: Installation) -> dict[str, dict[str, Any]]:
    (service,) = alongside.api("/v1/status")["services"]
    return {one["version"]: one for one in service["versions"]}


def state(alongside: Installation, name: str) -> str:
    return str(versions(alongside)[name]["state"])


def eventually(question: Callable[[], bool], timeout: float = 30) -> None:
    deadline = time.monotonic() + timeout
    while not question():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def verbs(alongside: Installation) -> list[tuple[str, str]]:
    """Newest first, with what came of them."""
    found = alongside.json("history", "web")["history"]
    return [(entry["verb"], entry["detail"] or entry["message"]) for entry in found]


def test_connections_are_counted_and_cut_at_the_deadline(alongside: Installation) -> None:
    host = alongside.host
    with (
        ask.connect(host.client, host.address4, 7) as stream,
        ask.connect(host.client, host.address6, 7) as other,
    ):
        assert stream.ask("before").startswith("first ")
        assert other.ask("before").startswith("first ")
        alongside("deploy", "web@2s-paused")
        assert stream.ask("after").startswith("first "), "an established connection stays"
        left = versions(alongside)["first"]
        assert left["connections"]["tcp"] == 2
        assert (left["former"]["drained"], left["state"]) == (False, "running")
        assert left["former"]["deadline"]
        for one in (stream, other):
            with pytest.raises(ConnectionResetError):
                one.socket.recv(1)  # a reset, with nothing asked: the client knows at once
    eventually(lambda: state(alongside, "first") == "paused")
    assert ("drain", "2 connections were left after 2 s, and cut") in verbs(alongside)


@pytest.mark.parametrize("family", ["IPv4", "IPv6"])
def test_who_was_cut_and_asks_again_from_the_same_port_reaches_the_new_one(
    alongside: Installation, family: str
) -> None:
    """conntrack keeps an entry that was reset for ten seconds, and a client's SYN from the same
    port would go where the entry leads."""
    host = alongside.host
    address = host.address4 if family == "IPv4" else host.address6
    with ask.connect(host.client, address, 7, source_port=4711) as stream:
        assert stream.ask("before").startswith("first ")
        alongside("deploy", "web@none-running")
        with pytest.raises(ConnectionResetError):
            stream.socket.recv(1)
    again = ask.line(host.client, address, 7, source_port=4711)
    assert again.startswith("none-running ")


def test_none_waits_for_nobody(alongside: Installation) -> None:
    host = alongside.host
    with ask.connect(host.client, host.address4, 7) as stream:
        assert stream.ask("before").startswith("first ")
        alongside("deploy", "web@none-stopped")
        with pytest.raises(ConnectionResetError):
            stream.socket.recv(1)
    eventually(lambda: state(alongside, "first") == "exited")


def test_forever_waits_for_the_last_one(alongside: Installation) -> None:
    host = alongside.host
    with ask.connect(host.client, host.address4, 7) as stream:
        assert stream.ask("before").startswith("first ")
        alongside("deploy", "web@forever-paused")
        alongside("deploy", "web@forever-stopped")  # one drains while another is deployed
        eventually(lambda: state(alongside, "forever-paused") == "exited")
        assert state(alongside, "first") == "running"
        assert stream.ask("much later").startswith("first ")
    eventually(lambda: state(alongside, "first") == "exited")


@pytest.mark.parametrize("kept", ["running", "paused", "stopped"])
def test_back_to_a_standby(alongside: Installation, kept: str) -> None:
    host = alongside.host
    alongside("deploy", f"web@2s-{kept}")
    expected = {"running": "running", "paused": "paused", "stopped": "exited"}[kept]
    eventually(lambda: state(alongside, "first") == expected and drained(alongside, "first"))
    said = alongside("rollback", "web").stdout
    assert f"now reach web@first (before: 2s-{kept})" in said
    assert ask.http_get(host.client, host.address4).body.startswith("first ")
    assert state(alongside, "first") == "running"


def drained(alongside: Installation, name: str) -> bool:
    former = versions(alongside)[name]["former"]
    return former is None or bool(former["drained"])


def test_back_to_one_whose_container_is_gone(alongside: Installation) -> None:
    host = alongside.host
    alongside("deploy", "web@2s-paused")
    eventually(lambda: state(alongside, "first") == "paused")
    host.docker(["rm", "--force", "web-first"])
    alongside("rollback", "web")
    assert ask.http_get(host.client, host.address4).body.startswith("first ")


def test_back_while_it_drains_and_nothing_of_it_is_cut(alongside: Installation) -> None:
    host = alongside.host
    with ask.connect(host.client, host.address4, 7) as stream:
        assert stream.ask("before").startswith("first ")
        alongside("deploy", "web@2s-stopped")
        alongside("rollback", "web")
        time.sleep(2.5)  # past the deadline that it had
        assert stream.ask("still there").startswith("first ")
    assert state(alongside, "first") == "running"


def test_one_more_is_stopped_and_what_a_person_runs_is_left_alone(
    alongside: Installation,
) -> None:
    alongside("up", "web@none-running")
    alongside("deploy", "web@none-paused")
    eventually(lambda: state(alongside, "first") == "paused")
    alongside("deploy", "web@2s-paused")
    eventually(lambda: state(alongside, "none-paused") == "paused")
    eventually(lambda: state(alongside, "first") == "exited")
    assert state(alongside, "none-running") == "running"


def test_one_that_does_not_answer_is_not_paused(repository: Repository) -> None:
    """It would be no standby: it is said, and it runs on until somebody has marked it."""
    alongside = repository.alongside
    compose = COMPOSE.format(drain="none", keep=1, kept="paused")
    quick = compose.replace("http: /, timeout: 10s", "http: /, timeout: 1s")
    repository.release("fickle", {"compose.yaml": quick})
    alongside("activate", "web@fickle")
    host = alongside.host
    host.docker(["exec", "web-fickle", "sh", "-c", "kill -USR2 1"])  # it hangs from here on
    alongside("activate", "web@none-paused")
    eventually(lambda: bool(alongside.api("/v1/status")["problems"]))
    (problem,) = alongside.api("/v1/status")["problems"]
    assert "web@fickle, which a rollback may go to, could not be kept paused" in problem
    assert state(alongside, "fickle") == "running"
    alongside("mark", "bad", "web@fickle")
    eventually(lambda: state(alongside, "fickle") == "exited")
    assert not alongside.api("/v1/status")["problems"]


def test_after_a_restart_of_engine_and_daemon_a_paused_one_is_paused_again(
    repository: Repository,
) -> None:
    alongside, host = repository.alongside, repository.alongside.host
    alongside("activate", "web@first")
    alongside("activate", "web@none-paused")
    eventually(lambda: state(alongside, "first") == "paused")
    alongside.kill()
    host.engine_restart()
    alongside.start()
    eventually(lambda: state(alongside, "none-paused") == "running")
    eventually(lambda: state(alongside, "first") == "paused")
    alongside("rollback", "web")
    assert ask.http_get(host.client, host.address4).body.startswith("first ")
