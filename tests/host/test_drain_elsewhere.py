"""Who is left on a version where its ports are not all it has: in the host's network, where many
share one address, and at ports that follow a range."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from support import ask
from support.host import Host
from support.installation import Installation, Repository, load_images

pytestmark = pytest.mark.host

VOICE = """\
services:
  voice:
    image: repo/voice:${tag:-latest}
    build: {context: ., args: {VERSION: "${tag}"}}
    network_mode: host
    environment: {PORTS: "${PORT_7000:-7000}"}
    ports: ["7000:7000/tcp", "7000:7000/udp"]
    x-alongside:
      ready: {tcp: 7000, timeout: 20s}
      watch: {for: 500ms, every: 100ms}
      drain: 2s
      standby: {keep: 1, as: paused}
"""
WEB = """\
services:
  web:
    image: repo/web:${tag:-latest}
    build: {context: ., args: {VERSION: "${tag}"}}
    ports: ["7/tcp"]
    x-alongside:
      also: {"8007": "^1"}
      ready: {tcp: 7, timeout: 20s}
      watch: {for: 300ms, every: 100ms}
      drain: 1s
      standby: {keep: 1, as: stopped}
"""
DOCKERFILE = """\
FROM alongside-test/responder:latest
ARG VERSION
ENV VERSION=$VERSION PORTS=7
"""


@pytest.fixture(scope="module")
def alongside() -> Iterator[Installation]:
    with Host() as host:
        load_images(host, "responder")
        alongside = Installation(host)
        alongside.start()
        yield alongside


def made(alongside: Installation, name: str, compose: str, *versions: str) -> Repository:
    files = {"compose.yaml": compose, "Dockerfile": DOCKERFILE}
    repository = alongside.repository(name, files)
    for version in versions:
        repository.release(version, {"version": version})
    return repository


def versions(alongside: Installation, name: str) -> dict[str, dict[str, Any]]:
    found = alongside.api("/v1/status")["services"]
    (service,) = [one for one in found if one["name"] == name]
    return {one["version"]: one for one in service["versions"]}


def eventually(question: Callable[[], bool], timeout: float = 60) -> None:
    deadline = time.monotonic() + timeout
    while not question():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_in_the_hosts_network_only_its_own_connections_are_counted_and_cut(
    alongside: Installation,
) -> None:
    host = alongside.host
    made(alongside, "calls", VOICE, "1", "2")
    alongside("activate", "voice@1")
    with ask.connect(host.client, host.address4, 7000) as old:
        assert old.ask("before").startswith("1 ")
        assert "voice@2 is good" in alongside("deploy", "voice@2").stdout
        with ask.connect(host.client, host.address4, 7000) as new:
            assert new.ask("hello").startswith("2 ")
            found = versions(alongside, "voice")
            assert found["1"]["connections"]["tcp"] == 1
            assert found["2"]["connections"]["tcp"] == 1
            with pytest.raises(ConnectionResetError):
                old.socket.recv(1)
            eventually(lambda: versions(alongside, "voice")["1"]["state"] == "paused")
            assert new.ask("still there").startswith("2 ")
            alongside("rollback", "voice")
            assert ask.line(host.client, host.address4, 7000).startswith("1 ")
            assert ask.datagram(host.client, host.address6, 7000).startswith("1 ")
            assert new.ask("and now").startswith("2 "), "it drains, and is not cut yet"
    alongside("deactivate", "voice")


def test_a_port_that_follows_a_range_drains_and_keeps(alongside: Installation) -> None:
    host = alongside.host
    repository = made(alongside, "site", WEB, "1.0.0", "1.1.0", "2.0.0")
    alongside("deploy", "web@2.0.0")
    with ask.connect(host.client, host.address4, 8007) as stream:
        assert stream.ask("before").startswith("1.1.0 ")
        # A better match takes the port; who had it drains, is cut, and is stopped.
        repository.release("1.2.0", {"version": "1.2.0"})
        assert ask.line(host.client, host.address4, 8007).startswith("1.2.0 ")
        with pytest.raises(ConnectionResetError):
            stream.socket.recv(1)
    eventually(lambda: versions(alongside, "web")["1.1.0"]["state"] == "exited")

    # What has only such a port is never stopped nor collected, whoever has the others; and one
    # that had both keeps what is left of it.
    alongside("deploy", "web@1.2.0")
    with ask.connect(host.client, host.address4, 7) as stream:
        assert stream.ask("before").startswith("1.2.0 ")
        repository.release("3.0.0", {"version": "3.0.0"})
        alongside("deploy", "web@3.0.0")
        alongside("deploy", "web@2.0.0")
        eventually(lambda: versions(alongside, "web")["3.0.0"]["state"] == "exited")
        assert versions(alongside, "web")["1.2.0"]["state"] == "running"
        assert stream.ask("after").startswith("1.2.0 ")
    plan = alongside("gc", "web", "--keep", "0", "--dry-run").stdout
    assert "keep web@1.2.0: it has ports" in plan
    alongside("gc", "web", "--keep", "0")
    assert ask.line(host.client, host.address4, 8007).startswith("1.2.0 ")
    assert ask.line(host.client, host.address4, 7).startswith("2.0.0 ")
