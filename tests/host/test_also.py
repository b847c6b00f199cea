"""Several versions public at once, each port following its range."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support import ask
from support.host import Host
from support.installation import Installation, Repository, load_images
from support.load import Load

pytestmark = pytest.mark.host

COMPOSE = """\
services:
  web:
    image: repo/web:${tag:-latest}
    build: {context: ., args: {VERSION: "${tag}"}}
    ports: ["7/tcp", "7/udp"]
    x-alongside: {also: {"8007": "^1", "9007:7/tcp": "^3"}, ready: {tcp: 7, timeout: 5s}}
"""
DOCKERFILE = """\
FROM alongside-test/responder:latest
ARG VERSION
ENV VERSION=$VERSION PORTS=7
"""


@pytest.fixture(scope="module")
def repository() -> Iterator[Repository]:
    with Host() as host:
        load_images(host, "responder")
        alongside = Installation(host)
        alongside.start()
        files = {"compose.yaml": COMPOSE, "Dockerfile": DOCKERFILE}
        repository = alongside.repository("site", files)
        for version in ("1.0.0", "1.1.0", "2.0.0"):
            repository.release(version, {})
        yield repository


def at(repository: Repository, port: int) -> str:
    host = repository.alongside.host
    over_tcp = ask.line(host.client, host.address4, port).split()[0]
    assert ask.datagram(host.client, host.address6, port).split()[0] == over_tcp
    return over_tcp


def test_the_story(repository: Repository) -> None:
    alongside, host = repository.alongside, repository.alongside.host
    said = alongside("activate", "web@2.0.0").stdout
    assert "7/tcp and 7/udp now reach web@2.0.0." in said
    assert "8007/tcp reaches web@1.1.0, as ^1 says." in said
    assert "9007/tcp follows ^3, and no release of web matches." in said
    assert (at(repository, 7), at(repository, 8007)) == ("2.0.0", "1.1.0")
    with pytest.raises(ConnectionRefusedError):
        ask.line(host.client, host.address4, 9007)

    # A release that matches has the port by itself, and nobody on the other port notices.
    with Load(host.client, "tcp", host.address4, 8007, workers=2) as load:
        load.wait_for(20)
        tagged = repository.tag("1.2.0")
        assert "8007/tcp and 8007/udp now reach web@1.2.0 (before: 1.1.0)." in tagged.stderr + (
            tagged.stdout
        )
        load.wait_for(20)
        report = load.stop()
    assert not report.failures
    assert set(report.versions) == {"1.1.0", "1.2.0"}
    assert (at(repository, 7), at(repository, 8007)) == ("2.0.0", "1.2.0")
    assert "web@1.2.0 (^1)" in alongside("ports").stdout

    # A pre-release is not in the range, and an older one changes nothing.
    for tag in ("1.3.0-beta.1", "1.1.5"):
        repository.tag(tag)
        assert at(repository, 8007) == "1.2.0"

    # What has a port is kept; rollback and history are of the service's own ports.
    assert "web@1.2.0 has" in alongside.refused("stop", "web@1.2.0")
    assert "There is no version of web to go back to" in alongside.refused("rollback", "web")
    entries = alongside.json("history", "web")["history"]
    (followed,) = (one for one in entries if one["verb"] == "follow")
    assert (followed["from"], followed["to"], followed["actor"]) == ("1.1.0", "1.2.0", "alongside")


def test_a_dry_run_of_a_build_says_where_ports_would_go(repository: Repository) -> None:
    alongside = repository.alongside
    alongside("activate", "web@2.0.0")
    before = at(repository, 8007)
    repository.git("-c", "core.hooksPath=/nonexistent", "tag", "1.8.0")
    said = alongside("build", "1.8.0", "--dry-run", cwd=repository.path).stdout
    plan, _, nft = said.partition("\n# nft -f -\n")
    assert [line.split(". ")[1][:23] for line in plan.splitlines()][:3] == [
        "build repo/web:1.8.0 an",
        "give web-1.8.0 10.213.0",
        "start web-1.8.0",
    ]
    assert "route 8007/tcp to web@1.8.0" in plan
    assert 'comment "web@1.8.0 8007/tcp"' in nft
    alongside.host.run(["nft", "--check", "--file", "-"], input=nft)
    assert at(repository, 8007) == before
    assert "1.8.0" not in alongside("releases", "web").stdout


def test_one_that_does_not_become_ready_leaves_the_port_where_it_is(
    repository: Repository,
) -> None:
    alongside = repository.alongside
    alongside("activate", "web@2.0.0")
    before = at(repository, 8007)
    broken = DOCKERFILE.replace("PORTS=7", "PORTS=8")
    repository.commit({"Dockerfile": broken})
    tagged = repository.tag("1.9.0")
    assert f"stay with web@{before}: web-1.9.0 did not become ready" in tagged.stderr + (
        tagged.stdout
    )
    assert at(repository, 8007) == before
    releases = {one["version"] for one in alongside.json("releases", "web")["releases"]}
    assert "1.9.0" in releases, "it was built, whatever it is worth"


def test_after_a_crash_and_a_restart_it_is_as_it_was(repository: Repository) -> None:
    alongside = repository.alongside
    before = (at(repository, 7), at(repository, 8007))
    alongside.kill()
    alongside.host.nft("flush ruleset")
    alongside.host.engine_restart()
    alongside.start()
    alongside("up", f"web@{before[1]}")
    assert (at(repository, 7), at(repository, 8007)) == before


def test_deactivating_one_leaves_the_others(repository: Repository) -> None:
    alongside, host = repository.alongside, repository.alongside.host
    follower = at(repository, 8007)
    alongside("deactivate", "web@2.0.0")
    assert at(repository, 8007) == follower
    with pytest.raises(ConnectionRefusedError):
        ask.line(host.client, host.address4, 7)
    alongside("deactivate", "web")
    with pytest.raises(ConnectionRefusedError):
        ask.line(host.client, host.address4, 8007)
