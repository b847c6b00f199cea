"""The daemon is killed at each step of a deploy, of what follows from one, and of gc: the old
version or the new one has the ports, a trial goes on, and nothing stays half done."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from support import ask, faults
from support.deploying import Deploying
from support.host import Host
from support.installation import Installation, Repository, load_images

pytestmark = pytest.mark.host

KILLED = -9
COMPOSE = """\
services:
  web:
    image: repo/web:${tag:-latest}
    build: {context: ., args: {VERSION: "${tag}"}}
    ports: ["7/udp", "7/tcp"]
    x-alongside:
      ready: {tcp: 7, timeout: 20s}
      watch: {for: 1s, every: 100ms}
      drain: none
      standby: {keep: 1, as: paused}
      before: "true"
      save: true
"""
DOCKERFILE = """\
FROM alongside-test/responder:latest
ARG VERSION
ENV VERSION=$VERSION PORTS=7
"""


@pytest.fixture(scope="module")
def repository() -> Iterator[Repository]:
    """web@1 has the ports."""
    with Host() as host:
        load_images(host, "responder")
        alongside = Installation(host)
        alongside.start()
        files = {"compose.yaml": COMPOSE, "Dockerfile": DOCKERFILE}
        repository = alongside.repository("site", files)
        repository.tag("1")
        alongside("activate", "web@1")
        yield repository


def history(alongside: Installation) -> list[dict[str, Any]]:
    return list(alongside.json("history", "web")["history"])


def versions(alongside: Installation) -> dict[str, dict[str, Any]]:
    (service,) = alongside.api("/v1/status")["services"]
    return {one["version"]: one for one in service["versions"]}


def has_ports(alongside: Installation) -> str:
    """The version that answers by every way; status says the same."""
    host = alongside.host
    (service,) = alongside.api("/v1/status")["services"]
    found = {
        ask.line(host.client, host.address4, 7).split()[0],
        ask.datagram(host.client, host.address6, 7).split()[0],
        ask.line(host, "127.0.0.1", 7).split()[0],
        str(service["current"]),
    }
    assert len(found) == 1, found
    return found.pop()


def eventually(question: Callable[[], bool], timeout: float = 60) -> None:
    deadline = time.monotonic() + timeout
    while not question():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def killed(alongside: Installation, fault: str, *arguments: str) -> None:
    """The daemon dies there, and runs again."""
    alongside.stop()
    alongside.start(fault=fault)
    alongside(*arguments, check=False)
    assert alongside.wait_ended() == KILLED
    alongside.start()


def prune(host: Host, name: str) -> None:
    """As `docker image prune --all` does."""
    host.docker(
        ["image", "prune", "--all", "--force", "--filter", f"label=alongside.version={name}"]
    )


@pytest.mark.parametrize("fault", faults.DEPLOY)
def test_killed_while_it_deploys(repository: Repository, fault: str) -> None:
    deploy_killed(repository, fault, switched=fault.startswith("open-trial"))


@pytest.mark.parametrize("fault", ["record-routes:after", "switch:after"])
def test_killed_while_it_switches(repository: Repository, fault: str) -> None:
    """Unlike after an activate, the trial is yet to come."""
    deploy_killed(repository, fault, switched=True)


def deploy_killed(repository: Repository, fault: str, *, switched: bool) -> None:
    alongside, host = repository.alongside, repository.alongside.host
    assert has_ports(alongside) == "1"
    name = fault.replace(":", "-")
    repository.release(name, {"version": name})
    prune(host, name)  # so that it is loaded from its archive
    killed(alongside, fault, "deploy", f"web@{name}")
    assert has_ports(alongside) == (name if switched else "1")
    if switched:
        eventually(lambda: history(alongside)[0]["outcome"] != "pending")
        (entry, *_) = [one for one in history(alongside) if one["verb"] == "deploy"]
        assert (entry["to"], entry["outcome"]) == (name, "done")
        assert "came through" in entry["detail"]
        assert versions(alongside)[name]["mark"] == "good"
        eventually(lambda: versions(alongside)["1"]["state"] == "paused")
    else:
        assert history(alongside)[0]["outcome"] == "interrupted"
        assert versions(alongside)[name]["mark"] is None
        said = alongside("deploy", f"web@{name}").stdout
        assert f"web@{name} is good." in said
    assert has_ports(alongside) == name
    alongside("rollback", "web")
    assert has_ports(alongside) == "1"


def test_an_engine_that_restarts_within_a_trial_is_no_fault_of_the_version(
    repository: Repository,
) -> None:
    alongside, host = repository.alongside, repository.alongside.host
    repository.release("outlasts", {"version": "outlasts"})
    deploying = Deploying(alongside, "web@outlasts", "--watch", "5s")
    deploying.watched()
    host.engine_restart()
    status, said = deploying.end()
    assert (status, said) == (0, "")
    assert has_ports(alongside) == "outlasts"
    assert versions(alongside)["outlasts"]["mark"] == "good"
    alongside("rollback", "web")
    assert has_ports(alongside) == "1"


@pytest.mark.parametrize("fault", faults.BACK)
def test_killed_while_a_standby_is_woken(repository: Repository, fault: str) -> None:
    alongside = repository.alongside
    name = fault.replace(":", "-")
    repository.release(name, {"version": name})
    alongside("deploy", f"web@{name}", "--watch", "none")
    eventually(lambda: versions(alongside)["1"]["state"] == "paused")
    killed(alongside, fault, "rollback", "web")
    back_on_standby(alongside, name)


@pytest.mark.parametrize("fault", faults.STANDBY)
def test_killed_while_a_standby_is_paused(repository: Repository, fault: str) -> None:
    alongside = repository.alongside
    name = fault.replace(":", "-")
    repository.release(name, {"version": name})
    killed(alongside, fault, "deploy", f"web@{name}", "--watch", "none")
    back_on_standby(alongside, name)


def back_on_standby(alongside: Installation, name: str) -> None:
    """The named one has the ports, and 1 is paused until it has them."""
    assert has_ports(alongside) == name
    eventually(lambda: versions(alongside)["1"]["state"] == "paused")
    eventually(lambda: "pending" not in [entry["outcome"] for entry in history(alongside)])
    alongside("rollback", "web")
    assert has_ports(alongside) == "1"


@pytest.mark.parametrize("fault", faults.GC)
def test_killed_while_it_removes_a_release(repository: Repository, fault: str) -> None:
    gc_killed(repository, fault)


def test_killed_between_a_releases_image_and_its_record(repository: Repository) -> None:
    """What is left of it goes at the next start, and the history says that it went."""
    alongside, host = repository.alongside, repository.alongside.host
    repository.release("half", {"version": "half"})
    repository.release("half-newer", {"version": "half-newer"})
    there = set(versions(alongside))
    killed(alongside, "remove-release:half", "gc", "web", "--keep", "1")
    eventually(lambda: set(versions(alongside)) < there, timeout=120)
    (gone,) = there - set(versions(alongside))  # the oldest of those that were too many
    entry = next(one for one in history(alongside) if (one["verb"], one["to"]) == ("gc", gone))
    assert entry["outcome"] == "done"
    assert "finished after a restart" in entry["detail"]
    for name in ("repo/web", "alongside.invalid/web"):
        assert gone not in host.docker(["images", "--format", "{{.Tag}}", name]).stdout.split()
    kept = {one["tree"] for one in alongside.json("releases", "web")["releases"]}
    assert {one.name for one in (alongside.state / "trees" / "site").iterdir()} == kept
    assert alongside.json("status")["problems"] == []


@pytest.mark.parametrize("fault", ["forget:after"])
def test_killed_while_it_removes_its_instance(repository: Repository, fault: str) -> None:
    gc_killed(repository, fault)


def gc_killed(repository: Repository, fault: str) -> None:
    """A second gc finishes what the first began."""
    alongside, host = repository.alongside, repository.alongside.host
    name = f"gc-{fault.replace(':', '-')}"
    repository.release(name, {"version": name})
    repository.release(f"{name}-newer", {"version": f"{name}-newer"})
    alongside("up", f"web@{name}")
    alongside("stop", f"web@{name}")
    killed(alongside, fault, "gc", "web", "--keep", "1")
    alongside("gc", "web", "--keep", "1")
    assert "There is nothing to remove" in alongside("gc", "web", "--keep", "1").stdout
    assert name not in versions(alongside)
    assert has_ports(alongside) == "1"
    left = [
        *host.docker(["ps", "--all", "--format", "{{.Names}}"]).stdout.split(),
        *host.docker(["images", "--format", "{{.Tag}}", "repo/web"]).stdout.split(),
    ]
    assert f"web-{name}" not in left
    assert name not in left
    assert not (alongside.state / "archives" / "web" / f"{name}.tar").exists()
    kept = {one["tree"] for one in alongside.json("releases", "web")["releases"]}
    trees = {one.name for one in (alongside.state / "trees" / "site").iterdir()}
    assert len(trees) == len(kept)
    networks = host.docker(["network", "ls", "--format", "{{.Name}}"]).stdout.split()
    assert not [one for one in networks if one.startswith(f"web-{name}_")]
    assert "pending" not in [entry["outcome"] for entry in history(alongside)]
