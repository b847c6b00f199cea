"""Releases that are deployed by themselves, and releases that go by themselves."""

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
def started(alongside: Installation, request: pytest.FixtureRequest) -> Iterator[Repository]:
    """A repository of its own whose 1.0.0 has the ports, with the policy that it is asked for."""
    host = alongside.host
    name = request.node.name.partition("[")[0][5:25].replace("_", "-").strip("-")
    repository = alongside.repository(name, files(request.param))
    service = f"web{abs(hash(name)) % 10_000}"
    repository.service = service  # type: ignore[attr-defined]
    rename(repository, files(request.param))
    repository.tag("1.0.0")
    alongside("activate", f"{service}@1.0.0", "--take")
    with Load(host.client, "tcp", host.address4, 7, workers=1, pause=0.01) as load:
        load.wait_for(5)
        yield repository
        load.wait_for(5)
        report = load.stop()
    assert not report.failures
    alongside("deactivate", service)


def rename(repository: Repository, given: dict[str, str]) -> None:
    """Service names belong to the host, so each repository has its own."""
    service = repository.service  # type: ignore[attr-defined]
    compose = given["compose.yaml"].replace("  web:\n", f"  {service}:\n")
    repository.commit({**given, "compose.yaml": compose})


def release(repository: Repository, version: str, given: dict[str, str]) -> str:
    rename(repository, given)
    done = repository.tag(version)
    return done.stdout + done.stderr


def current(repository: Repository) -> str:
    service = repository.service  # type: ignore[attr-defined]
    (found,) = repository.alongside.json("status", service)["services"]
    return str(found["current"]) if found["trial"] is None else f"{found['current']} on trial"


def eventually(question: Callable[[], bool], timeout: float = 30) -> None:
    deadline = time.monotonic() + timeout
    while not question():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def entries(repository: Repository, verb: str) -> list[dict[str, Any]]:
    service = repository.service  # type: ignore[attr-defined]
    found = repository.alongside.json("history", service)["history"]
    return [entry for entry in found if entry["verb"] == verb]


FOLLOW = "follow: '^1'"


@pytest.mark.parametrize("started", [FOLLOW], indirect=True)
def test_three_in_a_row_of_which_the_second_is_bad(started: Repository) -> None:
    alongside, host = started.alongside, started.alongside.host
    said = release(started, "1.1.0", files(FOLLOW))
    assert "1.1.0 is deployed by itself" in said
    eventually(lambda: current(started) == "1.1.0")

    # It is ready, and ends soon after it has the ports.
    ends = 'CMD ["sh", "-c", "python3 /responder.py & sleep 1; exit 3"]\n'
    image = host.docker(["image", "inspect", "--format", "{{.Config.Cmd}}{{.Config.Entrypoint}}", "alongside-test/responder:latest"]).stdout
    assert "python3" in image, image
    release(started, "1.2.0", files(FOLLOW, watch="30s", more=sickly(image)))
    eventually(lambda: bool(entries(started, "rollback")))
    eventually(lambda: current(started) == "1.1.0")
    del ends

    release(started, "1.3.0", files(FOLLOW))
    eventually(lambda: current(started) == "1.3.0")
    assert ask.line(host.client, host.address4, 7).startswith("1.3.0 ")
    tried = [(one["to"], one["outcome"], one["actor"]) for one in entries(started, "deploy")]
    assert tried == [
        ("1.3.0", "done", "alongside"),
        ("1.2.0", "failed", "alongside"),
        ("1.1.0", "done", "alongside"),
    ]
    (back,) = entries(started, "rollback")
    assert (back["from"], back["to"]) == ("1.2.0", "1.1.0")

    # What is not in the range is passed over, and the history says why.
    for version in ("2.0.0", "1.4.0-rc.1", "1.2.5"):
        release(started, version, files(FOLLOW))
    reasons = {one["to"]: one["detail"] for one in entries(started, "skip")}
    assert reasons == {
        "2.0.0": "is not in ^1",
        "1.4.0-rc.1": "is a pre-release, which ^1 does not name",
    }
    assert current(started) == "1.3.0"
    # A person's way back is not undone by itself, and the next one is followed to.
    service = started.service  # type: ignore[attr-defined]
    alongside("rollback", service)
    alongside.stop()
    alongside.start()
    assert current(started) == "1.1.0"


def sickly(image: str) -> str:
    """The responder, for a second and a half."""
    words = image.replace("[", " ").replace("]", " ").split()
    return f'ENTRYPOINT ["sh", "-c", "{" ".join(words)} & sleep 1.5; exit 3"]\nCMD []\n'


@pytest.mark.parametrize("started", [FOLLOW], indirect=True)
def test_hold_and_resume(started: Repository) -> None:
    alongside = started.alongside
    service = started.service  # type: ignore[attr-defined]
    alongside("hold", service, "-m", "a fair is on")
    assert "is held already" in alongside("hold", service).stdout
    said = release(started, "1.1.0", files(FOLLOW))
    assert "1.1.0 is not deployed by itself: it is held by root: a fair is on." in said
    assert current(started) == "1.0.0"
    (status,) = alongside.json("status", service)["services"]
    assert (status["hold"]["message"], status["follow"]) == ("a fair is on", "^1")
    assert "1.1.0 is deployed by itself" in alongside("resume", service).stdout
    eventually(lambda: current(started) == "1.1.0")


@pytest.mark.parametrize("started", ["follow: '2026-*'"], indirect=True)
def test_versions_that_are_not_semver(started: Repository) -> None:
    # 1.0.0 is older than each of them, by creation.
    release(started, "2026-11-24", files("follow: '2026-*'"))
    eventually(lambda: current(started) == "2026-11-24")
    release(started, "2027-01-01", files("follow: '2026-*'"))
    assert current(started) == "2026-11-24"


@pytest.mark.parametrize("started", ["{follow: latest, keep: 2}".strip("{}").replace(", ", "\n      ")], indirect=True)
def test_what_is_too_much_goes_by_itself(started: Repository) -> None:
    alongside, host = started.alongside, started.alongside.host
    service = started.service  # type: ignore[attr-defined]
    policy = "follow: latest\n      keep: 2"
    for minor in range(1, 5):
        release(started, f"1.{minor}.0", files(policy))
        eventually(lambda minor=minor: current(started) == f"1.{minor}.0")  # type: ignore[misc]

    def releases() -> set[str]:
        return {one["version"] for one in alongside.json("releases", service)["releases"]}

    eventually(lambda: releases() == {"1.4.0", "1.3.0"})
    images = host.docker(["images", "--format", "{{.Tag}}", "repo/web"]).stdout.split()
    assert {"1.0.0", "1.1.0", "1.2.0"}.isdisjoint(images)
    left = host.docker(["ps", "--all", "--format", "{{.Names}}"]).stdout
    assert f"{service}-1.2.0" not in left
    trees = alongside.state / "trees" / started.path.name
    assert len(list(trees.iterdir())) == 2
    # The name of one that is gone stays its commit's.
    started.git("tag", "--delete", "1.0.0")
    assert "was a release of commit" in release(started, "1.0.0", files(policy))


def test_each_thing_that_gc_must_keep(alongside: Installation) -> None:
    """Nine releases; 0 is the singleton's case, in test_singleton_is_kept."""
    host = alongside.host
    policy = "drain: none\n      standby: {keep: 2, as: stopped}"
    repository = alongside.repository("gc", files(policy))
    repository.service = "shop"  # type: ignore[attr-defined]
    for minor in range(8):
        release(repository, f"1.{minor}.0", files(policy))
    for minor in (0, 1, 2, 3):
        alongside("activate", f"shop@1.{minor}.0")
    alongside("up", "shop@1.5.0")
    plan = alongside("gc", "shop", "--keep", "0", "--dry-run").stdout
    assert "remove shop@1.0.0 (" in plan
    assert "MB)" in plan
    kept = {
        "1.1.0": None,  # a rollback past the last known good one: nothing promises it
        "1.2.0": "is where a rollback goes",
        "1.3.0": "has ports",
        "1.5.0": "runs",
        "1.7.0": "is the newest",
    }
    for version, why in kept.items():
        if why:
            assert f"keep shop@{version}: it {why}" in plan
    assert len(alongside.json("releases", "shop")["releases"]) == 8, "a dry run changes nothing"
    done = alongside("gc", "shop", "--keep", "0").stdout
    assert "shop@1.0.0 is removed (" in done
    left = {one["version"] for one in alongside.json("releases", "shop")["releases"]}
    assert left == {"1.2.0", "1.3.0", "1.5.0", "1.7.0"}
    assert "There is nothing to remove" in alongside("gc", "shop", "--keep", "0").stdout
    alongside("rollback", "shop")
    assert ask.line(host.client, host.address4, 7).startswith("1.2.0 ")
    alongside("deactivate", "shop")
