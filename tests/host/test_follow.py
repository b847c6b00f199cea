"""Releases that are deployed by themselves, and releases that go by themselves."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from support import ask
from support.fairness import assert_answered
from support.host import Host
from support.installation import Installation, Repository, load_images
from support.load import Load

pytestmark = pytest.mark.host

COMPOSE = """\
services:
  web:
    image: repo/web:${{tag:-latest}}
    build: {{context: ., args: {{VERSION: "${{tag}}"}}}}
    ports: ["7/udp", "7/tcp"]
    x-alongside:
      ready: {{tcp: 7, timeout: 10s}}
      watch: {watch}
      {policy}
"""
DOCKERFILE = """\
FROM alongside-test/responder:latest
ARG VERSION
ENV VERSION=$VERSION PORTS=7
"""
SHORT = (  # ready, and over a second and a half later
    'ENTRYPOINT ["sh", "-c", "python3 -S /responder.py & sleep 1.5; exit 3"]\nCMD []\n'
)
WATCH = "{for: 500ms, every: 100ms}"


def files(policy: str, *, watch: str = WATCH, more: str = "") -> dict[str, str]:
    return {
        "compose.yaml": COMPOSE.format(policy=policy, watch=watch),
        "Dockerfile": DOCKERFILE + more,
    }


@pytest.fixture(scope="module")
def alongside() -> Iterator[Installation]:
    with Host() as host:
        load_images(host, "responder")
        alongside = Installation(host)
        alongside.start()
        yield alongside


@pytest.fixture
def started(alongside: Installation, request: pytest.FixtureRequest) -> Iterator[Shop]:
    """A repository of its own whose 1.0.0 has the ports, with the policy that it is asked for;
    under load nothing is lost but by a version that fails."""
    service, policy = request.param
    repository = Shop(alongside, service, files(policy))
    repository.tag("1.0.0")
    alongside("activate", f"{service}@1.0.0")
    host = alongside.host
    try:
        with Load(host.client, "tcp", host.address4, 7, workers=1, pause=0.01, seconds=280) as load:
            load.wait_for(5)
            yield repository
            load.wait_for(5)
            report = load.stop()
    finally:
        alongside("deactivate", service)
    assert_answered(report, repository.entries("deploy"))


class Shop(Repository):
    """A repository with one service of a name of its own: service names belong to the host."""

    def __init__(self, alongside: Installation, service: str, given: dict[str, str]) -> None:
        made = alongside.repository(service, self.named(service, given))
        super().__init__(alongside, made.path)
        self.service = service

    @staticmethod
    def named(service: str, given: dict[str, str]) -> dict[str, str]:
        compose = given["compose.yaml"].replace("  web:\n", f"  {service}:\n")
        return {**given, "compose.yaml": compose}

    def tagged(self, version: str, given: dict[str, str]) -> str:
        """What tagging says."""
        self.commit(self.named(self.service, {**given, "version": version}))
        done = self.tag(version)
        return done.stdout + done.stderr

    def current(self) -> str:
        (found,) = self.alongside.json("status", self.service)["services"]
        return "on trial" if found["trial"] or found["doing"] else str(found["current"])

    def entries(self, verb: str) -> list[dict[str, Any]]:
        found = self.alongside.json("history", self.service)["history"]
        return [entry for entry in found if entry["verb"] == verb]


def eventually(question: Callable[[], bool], timeout: float = 30) -> None:
    deadline = time.monotonic() + timeout
    while not question():
        assert time.monotonic() < deadline
        time.sleep(0.02)


FOLLOW = "follow: '^1'"
KEEP = "follow: latest\n      keep: 2"


@pytest.mark.parametrize("started", [("three", FOLLOW)], indirect=True)
def test_three_in_a_row_of_which_the_second_is_bad(started: Shop) -> None:
    alongside, host = started.alongside, started.alongside.host
    said = started.tagged("1.1.0", files(FOLLOW))
    assert "1.1.0 is deployed by itself" in said
    eventually(lambda: started.current() == "1.1.0")

    # It is ready, and ends soon after it has the ports.
    started.tagged("1.2.0", files(FOLLOW, watch="30s", more=SHORT))
    eventually(lambda: bool(started.entries("rollback")))
    eventually(lambda: started.current() == "1.1.0")

    started.tagged("1.3.0", files(FOLLOW))
    eventually(lambda: started.current() == "1.3.0")
    assert ask.line(host.client, host.address4, 7).startswith("1.3.0 ")
    tried = [(one["to"], one["outcome"], one["actor"]) for one in started.entries("deploy")]
    assert tried == [
        ("1.3.0", "done", "alongside"),
        ("1.2.0", "failed", "alongside"),
        ("1.1.0", "done", "alongside"),
    ]
    (back,) = started.entries("rollback")
    assert (back["from"], back["to"]) == ("1.2.0", "1.1.0")

    # What is not in the range is passed over, and the history says why.
    for version in ("2.0.0", "1.4.0-rc.1", "1.2.5"):
        started.tagged(version, files(FOLLOW))
    reasons = {one["to"]: one["detail"] for one in started.entries("skip")}
    assert reasons == {
        "2.0.0": "is not in ^1",
        "1.4.0-rc.1": "is a pre-release, which ^1 does not name",
    }
    assert started.current() == "1.3.0"
    # A person's way back is not undone by itself, and the next one is followed to.
    service = started.service
    alongside("rollback", service)
    alongside.stop()
    alongside.start()
    eventually(lambda: started.current() in ("1.1.0", "1.2.5"))  # what was not tried may be next
    assert [one["to"] for one in started.entries("deploy")].count("1.3.0") == 1


@pytest.mark.parametrize("started", [("held", FOLLOW)], indirect=True)
def test_hold_and_resume(started: Shop) -> None:
    alongside = started.alongside
    service = started.service
    alongside("hold", service, "-m", "a fair is on")
    assert "is held already" in alongside("hold", service).stdout
    said = started.tagged("1.1.0", files(FOLLOW))
    assert "1.1.0 is not deployed by itself: it is held by root: a fair is on." in said
    assert started.current() == "1.0.0"
    (status,) = alongside.json("status", service)["services"]
    assert (status["hold"]["message"], status["follow"]) == ("a fair is on", "^1")
    assert "1.1.0 is deployed by itself" in alongside("resume", service).stdout
    eventually(lambda: started.current() == "1.1.0")


@pytest.mark.parametrize("started", [("dated", "follow: '2026-*'")], indirect=True)
def test_versions_that_are_not_semver(started: Shop) -> None:
    # 1.0.0 is older than each of them, by creation.
    started.tagged("2026-11-24", files("follow: '2026-*'"))
    eventually(lambda: started.current() == "2026-11-24")
    started.tagged("2027-01-01", files("follow: '2026-*'"))
    assert started.current() == "2026-11-24"


@pytest.mark.parametrize("started", [("kept", KEEP)], indirect=True)
def test_what_is_too_much_goes_by_itself(started: Shop) -> None:
    alongside, host = started.alongside, started.alongside.host
    service = started.service
    for minor in range(1, 5):
        started.tagged(f"1.{minor}.0", files(KEEP))
        eventually(lambda minor=minor: started.current() == f"1.{minor}.0")  # type: ignore[misc]

    def releases() -> set[str]:
        return {one["version"] for one in alongside.json("releases", service)["releases"]}

    eventually(lambda: releases() == {"1.4.0", "1.3.0"})
    held = f"alongside.invalid/{service}"
    images = host.docker(["images", "--format", "{{.Tag}}", held]).stdout.split()
    assert "1.4.0" in images
    assert {"1.0.0", "1.1.0", "1.2.0"}.isdisjoint(images)
    left = host.docker(["ps", "--all", "--format", "{{.Names}}"]).stdout
    assert f"{service}-1.2.0" not in left
    trees = alongside.state / "trees" / started.path.name
    assert len(list(trees.iterdir())) == 2
    # The name of one that is gone stays its commit's.
    started.git("tag", "--delete", "1.0.0")
    assert "was a release of commit" in started.tagged("1.0.0", files(KEEP))


def test_each_thing_that_gc_must_keep(alongside: Installation) -> None:
    host = alongside.host
    policy = "drain: none\n      standby: {keep: 2, as: stopped}"
    repository = Shop(alongside, "shop", files(policy))
    for minor in range(8):
        repository.tagged(f"1.{minor}.0", files(policy))
    for minor in (0, 1, 2, 3):
        alongside("activate", f"shop@1.{minor}.0")
    alongside("up", "shop@1.5.0")

    def planned() -> str:
        return alongside("gc", "shop", "--keep", "0", "--dry-run").stdout

    # It is the third that a rollback would come to.
    eventually(lambda: "remove shop@1.0.0 (" in planned())
    plan = planned()
    assert "MB)" in plan
    kept = {
        "1.1.0": "is on standby",  # stopped, as it is to be
        "1.2.0": "is where a rollback goes",
        "1.3.0": "has ports",
        "1.5.0": "runs",
        "1.7.0": "is the newest",
    }
    for version, why in kept.items():
        assert f"keep shop@{version}: it {why}" in plan
    assert len(alongside.json("releases", "shop")["releases"]) == 8, "a dry run changes nothing"
    done = alongside("gc", "shop", "--keep", "0").stdout
    assert "shop@1.0.0 is removed (" in done
    left = {one["version"] for one in alongside.json("releases", "shop")["releases"]}
    assert left == set(kept)
    assert "There is nothing to remove" in alongside("gc", "shop", "--keep", "0").stdout
    alongside("rollback", "shop")
    assert ask.line(host.client, host.address4, 7).startswith("1.2.0 ")
    alongside("deactivate", "shop")
