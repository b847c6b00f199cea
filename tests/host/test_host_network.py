"""Services in the host's network, and ranges of ports."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support import ask
from support.host import Host
from support.installation import Installation, load_images

pytestmark = pytest.mark.host

COMPOSE = """\
services:
  voice:
    image: repo/voice:${tag:-latest}
    build: {context: ., args: {VERSION: "${tag}"}}
    network_mode: host
    # Plain Compose gives it no PORT, and it listens on 7000 as the file says.
    environment: {PORTS: "${PORT_7000:-7000} ${PORT_5060:-5060}"}
    ports: ["7000:7000/tcp", "7000:7000/udp", "5060:5060/tcp"]
  media:
    image: repo/media:${tag:-latest}
    build: {context: ., args: {VERSION: "${tag}"}}
    environment: {PORTS: "6000 6001 6002 6003 6010"}
    ports: ["6000-6003:6000-6003/tcp", "6000-6003:6000-6003/udp", "6100:6010/tcp"]
"""
DOCKERFILE = """\
FROM alongside-test/responder:latest
ARG VERSION
ENV VERSION=$VERSION
"""


@pytest.fixture(scope="module")
def alongside() -> Iterator[Installation]:
    with Host() as host:
        load_images(host, "responder")
        installation = Installation(host)
        installation.start()
        files = {"compose.yaml": COMPOSE, "Dockerfile": DOCKERFILE}
        repository = installation.repository("calls", files)
        for version in ("1", "2"):
            repository.release(version, {})
        yield installation


def test_each_version_listens_on_a_number_of_its_own(alongside: Installation) -> None:
    host = alongside.host
    for version in ("1", "2"):
        alongside("up", f"voice@{version}")
    alongside("activate", "voice@1")
    for version in ("1", "2"):
        assert ask.line(host, "127.0.0.1", local(alongside, version, 7000)).split()[0] == version
    for address, client in (
        (host.address4, host.client.address4),
        (host.address6, host.client.address6),
    ):
        assert ask.line(host.client, address, 7000, "x") == f"1 {client} x"
        assert ask.datagram(host.client, address, 7000, "x") == f"1 {client} x"
        assert ask.line(host.client, address, 5060).startswith("1 ")
    assert ask.line(host, "127.0.0.1", 7000).startswith("1 ")


def test_a_switch_moves_it_and_its_udp_flows(alongside: Installation) -> None:
    host = alongside.host
    alongside("activate", "voice@1")
    with ask.connect(host.client, host.address4, 7000) as stream:
        stream.ask("before")
        assert ask.datagram(host.client, host.address4, 7000, source_port=4000).startswith("1 ")
        alongside("activate", "voice@2")
        assert ask.datagram(host.client, host.address4, 7000, source_port=4000).startswith("2 ")
        assert ask.line(host.client, host.address4, 5060).startswith("2 ")
        assert stream.ask("after").startswith("1 ")
    alongside("rollback", "voice")
    assert ask.datagram(host.client, host.address4, 7000, source_port=4000).startswith("1 ")


def test_others_do_not_reach_its_local_ports(alongside: Installation) -> None:
    host = alongside.host
    alongside("activate", "voice@1")
    for version in ("1", "2"):
        for number in (local(alongside, version, 7000), local(alongside, version, 5060)):
            for address in (host.address4, host.address6):
                with pytest.raises(TimeoutError):
                    ask.line(host.client, address, number, timeout=0.5)
                with pytest.raises(TimeoutError):
                    ask.datagram(host.client, address, number, timeout=0.5)


def test_it_comes_back_after_a_restart_of_the_engine(alongside: Installation) -> None:
    host = alongside.host
    alongside("activate", "voice@2")
    alongside.stop()
    host.engine_restart()
    alongside.start()
    alongside("up", "voice@2")  # which waits until it is ready
    assert ask.line(host.client, host.address4, 7000).startswith("2 ")


def test_a_range_and_a_port_of_another_number_switch_as_one(alongside: Installation) -> None:
    host = alongside.host
    for version in ("1", "2"):
        alongside("activate", f"media@{version}")
        for port in (6000, 6001, 6002, 6003):
            assert ask.line(host.client, host.address4, port).startswith(f"{version} ")
            assert ask.datagram(host.client, host.address6, port).startswith(f"{version} ")
        assert ask.line(host.client, host.address4, 6100).startswith(f"{version} ")
    with pytest.raises(ConnectionRefusedError):
        ask.line(host.client, host.address4, 6004)
    dry = alongside("activate", "media@1", "--dry-run").stdout
    assert dry.count("# nft -f -") == 1
    assert dry.count("flush chain") == 9


def local(alongside: Installation, version: str, target: int) -> int:
    instances = alongside.json("ps", "voice")["instances"]
    (one,) = (instance for instance in instances if instance["version"] == version)
    return next(p["number"] for p in one["local_ports"] if p["target"] == target)
