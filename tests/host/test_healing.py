"""What is to run is brought back on a real engine, whatever ended it, with all that it needs."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from support import ask
from support.host import Host
from support.installation import Installation, load_images

pytestmark = pytest.mark.host

# No restart policy; data in an anonymous volume; a database that versions share, a cache of its
# own, and a job that the database waits for.
COMPOSE = """\
services:
  web:
    image: repo/web:${tag:-latest}
    build: {context: ., args: {VERSION: "${tag}"}}
    ports: ["80:80"]
    volumes: ["/data"]
    stop_grace_period: 1s
    depends_on: [db, cache]
    x-alongside:
      ready: {http: /, timeout: 30s}
      watch: none
      drain: none
      standby: {keep: 1, as: stopped}
  db:
    image: alongside-test/responder:latest
    volumes: ["dbdata:/var/lib/db"]
    depends_on: {migrate: {condition: service_completed_successfully}}
    x-alongside: {shared: true}
  migrate:
    image: alongside-test/responder:latest
    command: ["true"]
  cache:
    image: alongside-test/responder:latest
    x-alongside: {shared: false}
volumes:
  dbdata: {x-alongside: {shared: true}}
"""
DOCKERFILE = """\
FROM alongside-test/responder:latest
ARG VERSION
ENV VERSION=$VERSION PORTS="80"
"""
NAME, DB = "web-1.0.0", "app-shared-db-1"


@pytest.fixture(scope="module")
def alongside() -> Iterator[Installation]:
    with Host() as host:
        load_images(host, "responder")
        installation = Installation(host)
        installation.start()
        repository = installation.repository(
            "app", {"compose.yaml": COMPOSE, "Dockerfile": DOCKERFILE}
        )
        repository.tag("1.0.0")
        repository.release("1.1.0", {})
        installation("activate", "web@1.0.0")
        yield installation


def inspect(alongside: Installation, name: str) -> dict[str, Any]:
    said = alongside.host.docker(["inspect", name], check=False)
    found = json.loads(said.stdout)
    return dict(found[0]) if found else {}


def eventually(question: Callable[[], bool], timeout: float = 60) -> float:
    """Seconds until it was so."""
    began = time.monotonic()
    while not question():
        assert time.monotonic() < began + timeout
        time.sleep(0.05)
    return time.monotonic() - began


def answers(alongside: Installation) -> str:
    """The version that a client reaches; empty while none does."""
    host = alongside.host
    try:
        return ask.http_get(host.client, host.address4, timeout=0.5).body.split()[0]
    except (OSError, AssertionError):
        return ""


def problems(alongside: Installation) -> list[str]:
    return list(alongside.api("/v1/status")["problems"])


def network(alongside: Installation, name: str = NAME) -> str:
    return min(inspect(alongside, name)["NetworkSettings"]["Networks"])


def cache(alongside: Installation) -> str:
    """Its name, also while the version has no container."""
    names = alongside.host.docker(["ps", "--all", "--format", "{{.Names}}"]).stdout.split()
    return next((one for one in names if one.startswith("web-1-0-0-")), "none")


def whole(alongside: Installation) -> None:
    """All of it is well again, and says so."""
    eventually(lambda: all(running(alongside, name) for name in (NAME, DB, cache(alongside))))
    eventually(lambda: answers(alongside) == "1.0.0" and not problems(alongside))


def running(alongside: Installation, name: str) -> bool:
    return bool(inspect(alongside, name).get("State", {}).get("Status") == "running")


def remove_network(alongside: Installation) -> None:
    docker, name = alongside.host.docker, network(alongside)
    for container in (cache(alongside), NAME):
        docker(["network", "disconnect", "--force", name, container])
    docker(["network", "rm", name])


def stop_and_prune(alongside: Installation) -> None:
    """The daemon is away meanwhile, or it would be back before its network is gone."""
    alongside.stop()
    alongside.host.docker(["stop", "--time", "1", NAME, cache(alongside), DB])
    alongside.host.docker(["network", "prune", "--force"])
    alongside.start()


def by_docker(*command: str) -> Callable[[Installation], object]:
    return lambda alongside: alongside.host.docker([*command])


FAULTS = {
    "killed": by_docker("kill", NAME),
    "stopped": by_docker("stop", NAME),
    "paused": by_docker("pause", NAME),
    "ended": by_docker("exec", NAME, "sh", "-c", "kill -USR1 1"),
    "network removed": remove_network,
    "all stopped, networks pruned": stop_and_prune,
    "removed": by_docker("rm", "--force", NAME),
    "own cache ended": lambda alongside: alongside.host.docker(["kill", cache(alongside)]),
    "shared db ended": by_docker("kill", DB),
    "shared db removed": by_docker("rm", "--force", DB),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_it_is_brought_back(alongside: Installation, fault: str) -> None:
    host = alongside.host
    host.docker(["exec", NAME, "sh", "-c", f"echo {fault!r} > /data/kept"])
    host.docker(["exec", DB, "sh", "-c", f"echo {fault!r} > /var/lib/db/kept"])
    FAULTS[fault](alongside)
    whole(alongside)
    kept = host.docker(["exec", DB, "cat", "/var/lib/db/kept"]).stdout
    assert kept.strip() == fault
    if fault != "removed":  # by hand, with its anonymous volumes
        assert host.docker(["exec", NAME, "cat", "/data/kept"]).stdout.strip() == fault
    job = inspect(alongside, "app-shared-migrate-1")["State"]
    assert (job["Status"], job["ExitCode"]) == ("exited", 0)


def test_stop_is_how_it_stays_down(alongside: Installation) -> None:
    alongside("up", "web@1.1.0")
    alongside("stop", "web@1.1.0")
    alongside.host.docker(["kill", NAME])  # something that it does hear of
    whole(alongside)
    assert inspect(alongside, "web-1.1.0")["State"]["Status"] == "exited"


def test_one_that_ends_at_once_is_said_and_started_less_and_less(alongside: Installation) -> None:
    host = alongside.host
    alongside("up", "web@1.1.0")
    began = inspect(alongside, "web-1.1.0")["State"]["StartedAt"]
    # Its own program is gone, so it ends as soon as it is started.
    host.docker(["exec", "web-1.1.0", "mv", "/responder.py", "/elsewhere.py"])
    host.docker(["exec", "web-1.1.0", "sh", "-c", "kill -USR1 1"])
    eventually(lambda: any("(try 3)" in one for one in problems(alongside)))
    (said,) = problems(alongside)
    assert said.startswith("web-1.1.0, which should be running, has exited with code ")
    assert inspect(alongside, "web-1.1.0")["State"]["StartedAt"] != began
    assert alongside("status").stderr.strip() == f"alongside: {said}"
    eventually(lambda: said[:40] in alongside("doctor", check=False).stdout)
    assert answers(alongside) == "1.0.0", "and nobody else is held up by it"
    alongside("stop", "web@1.1.0")  # it may have ended just now
    eventually(lambda: not problems(alongside))
    alongside("rm", "web@1.1.0", "--force")


def test_a_shared_service_that_stays_down_is_seen_everywhere(alongside: Installation) -> None:
    host = alongside.host
    host.docker(["exec", DB, "mv", "/responder.py", "/elsewhere.py"])
    host.docker(["exec", DB, "sh", "-c", "kill -USR1 1"])
    about = "db, which web@1.0.0 needs, has exited with code "
    # It runs for a moment whenever it is started, and longer on a busy machine.
    eventually(lambda: any(one.startswith(about) and "(try " in one for one in problems(alongside)))

    def row() -> dict[str, Any]:
        (found,) = [one for one in alongside.json("ps")["dependencies"] if one["service"] == "db"]
        return dict(found)

    eventually(lambda: row()["state"] == "exited")
    assert (row()["name"], row()["needed_by"]) == (DB, ["web@1.0.0"])
    assert DB in alongside("ps").stdout
    eventually(lambda: about in alongside("doctor", check=False).stdout)
    plan = ("activate", "web@1.0.0", "--dry-run", "--json")
    eventually(lambda: "what versions of app share" in alongside(*plan).stdout)
    host.docker(["rm", "--force", DB])
    whole(alongside)
    (mount,) = inspect(alongside, DB)["Mounts"]
    assert mount["Name"] == "app_dbdata", "as docs/x-alongside.md says"


def test_a_stranger_at_its_address_is_never_reached(alongside: Installation) -> None:
    host = alongside.host
    name = network(alongside)
    address = inspect(alongside, NAME)["NetworkSettings"]["Networks"][name]["IPAddress"]
    options = ["--name", "stranger", "--network", name, "--ip", address]
    options += ["--env", "VERSION=stranger", "--publish", "127.0.0.1:8099:80"]
    host.docker(["create", *options, "alongside-test/responder:latest"])
    host.docker(["kill", NAME])
    host.docker(["start", "stranger"], check=False)  # whichever of the two is first has it
    heard = set()
    for _ in range(40):
        heard.add(answers(alongside))
        time.sleep(0.05)
    assert heard <= {"", "1.0.0"}
    if inspect(alongside, "stranger")["State"]["Status"] == "running":
        eventually(lambda: any("stranger" in one for one in problems(alongside)))
    host.docker(["rm", "--force", "stranger"])
    whole(alongside)


def test_back_to_a_standby_whose_network_was_pruned(alongside: Installation) -> None:
    host = alongside.host
    alongside("deploy", "web@1.1.0")
    eventually(lambda: inspect(alongside, NAME)["State"]["Status"] == "exited")
    host.docker(["kill", cache(alongside)])
    host.docker(["network", "prune", "--force"])
    alongside("rollback", "web")
    assert answers(alongside) == "1.0.0"
