"""What runs once a release, before it first has the ports; and images that vanish."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from support import ask
from support.host import Host
from support.installation import Installation, Repository, load_images

pytestmark = pytest.mark.host

COMPOSE = """\
services:
  web:
    image: repo/web:${{tag:-latest}}
    build: {{context: ., args: {{VERSION: "${{tag}}"}}}}
    ports: ["7/udp", "7/tcp"]
    depends_on: [store]
    volumes: ["data:/data"]
    x-alongside:
      ready: {{tcp: 7, timeout: 10s}}
      watch: none
      standby: {{keep: 1, as: stopped}}
      {more}
  store:
    image: alongside-test/responder:latest
    environment: {{VERSION: store, PORTS: "5000"}}
    x-alongside: {{shared: true}}
volumes:
  data:
    x-alongside: {{shared: true}}
"""
DOCKERFILE = """\
FROM alongside-test/responder:latest
ARG VERSION
ENV VERSION=$VERSION PORTS=7
"""
MIGRATE = (
    "before: ['sh', '-c', 'echo migrating to $$VERSION; echo $$VERSION >> /data/log; "
    'python3 -c "import socket; s = socket.create_connection((\\"store\\", 5000), 9); '
    's.send(b\\"x\\\\n\\"); print(s.recv(99).split()[0].decode())"\']'
)


def compose(more: str = "") -> str:
    return COMPOSE.format(more=more)


@pytest.fixture(scope="module")
def repository() -> Iterator[Repository]:
    with Host() as host:
        load_images(host, "responder")
        alongside = Installation(host)
        alongside.start()
        files = {"compose.yaml": compose(), "Dockerfile": DOCKERFILE}
        repository = alongside.repository("site", files)
        repository.tag("1")
        alongside("activate", "web@1")
        yield repository


def latest(alongside: Installation, verb: str) -> dict[str, Any]:
    found = alongside.json("history", "web")["history"]
    return dict(next(entry for entry in found if entry["verb"] == verb))


def answers(alongside: Installation) -> str:
    host = alongside.host
    return ask.line(host.client, host.address4, 7).split()[0]


def log(alongside: Installation) -> list[str]:
    """What is in the volume that versions share."""
    done = alongside.host.docker(["exec", f"web-{answers(alongside)}", "cat", "/data/log"])
    return done.stdout.split()


def test_it_runs_once_in_the_new_version_and_its_output_is_kept(repository: Repository) -> None:
    alongside, host = repository.alongside, repository.alongside.host
    repository.release("2", {"compose.yaml": compose(MIGRATE)})
    alongside("up", "web@2")
    done = host.docker(["exec", "web-2", "ls", "/data"])
    assert "log" not in done.stdout, "to be up is not to have the ports"
    done = alongside("deploy", "web@2")
    assert "migrating to 2" in done.stderr
    assert latest(alongside, "deploy")["output"] == ["migrating to 2", "store"]
    assert log(alongside) == ["2"]
    # Not again: not after a rollback, nor where its instance is made anew.
    alongside("rollback", "web")
    alongside("activate", "web@2")
    assert log(alongside) == ["2"]
    left = host.docker(["ps", "--all", "--format", "{{.Names}}"]).stdout.split()
    assert sorted(left) == ["site-shared-store-1", "web-1", "web-2"], "nothing is left of it"


@pytest.mark.parametrize("verb", ["deploy", "activate"])
def test_where_it_fails_nothing_is_switched(repository: Repository, verb: str) -> None:
    alongside = repository.alongside
    alongside("activate", "web@2")
    name = f"3-{verb}"
    failing = "before: 'echo no such column; exit 4'"
    repository.release(name, {"compose.yaml": compose(failing)})
    said = alongside.refused(verb, f"web@{name}")
    assert f"What is to run before web@{name} has the ports failed" in said
    assert "exit code 4" in said
    assert "no such column" in said
    assert answers(alongside) == "2"
    entry = latest(alongside, verb)
    assert entry["outcome"] == "failed"
    assert "no such column" in entry["output"]
    states = alongside.host.docker(["ps", "--format", "{{.Names}}"]).stdout
    assert f"web-{name}" not in states, "it was not started either"


def test_what_failed_is_not_started_by_the_next_start_of_the_daemon(
    repository: Repository,
) -> None:
    alongside, host = repository.alongside, repository.alongside.host
    alongside("activate", "web@2")
    repository.release("7", {"compose.yaml": compose("before: 'exit 4'")})
    alongside.refused("activate", "web@7")
    alongside.stop()
    host.docker(["stop", "--time", "0", "web-2"])
    alongside.start()
    wait_until(lambda: re.search(r"web-2 .*: starting it", alongside.words()) is not None)
    # What it starts by itself comes before it looks at what its ports follow.
    wait_until(lambda: alongside.api("/v1/status")["problems"] == [] and runs(host, "web-2"))
    alongside("up", "web@1")
    assert not runs(host, "web-7")
    assert "starting web-7" not in alongside.words()
    assert answers(alongside) == "2"


def runs(host: Host, name: str) -> bool:
    return name in host.docker(["ps", "--format", "{{.Names}}"]).stdout.split()


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.05)


def test_killed_on_the_way_it_runs_again(repository: Repository) -> None:
    alongside = repository.alongside
    alongside("activate", "web@2")
    repository.release("4", {"compose.yaml": compose(MIGRATE)})
    before = log(alongside)
    alongside.stop()
    alongside.start(fault="run-before:after")
    alongside("deploy", "web@4", check=False)
    assert alongside.wait_ended() == -9
    alongside.start()
    assert answers(alongside) == "2"
    alongside("deploy", "web@4")
    assert log(alongside) == [*before, "4"], "it had run to its end, which was written down"
    alongside("activate", "web@2")
    alongside.stop()
    repository.alongside.start()


def prune(host: Host, name: str) -> None:
    """As `docker image prune --all` does, where no container uses it."""
    host.docker(["rm", "--force", f"web-{name}"])
    host.docker(
        ["image", "prune", "--all", "--force", "--filter", f"label=alongside.version={name}"]
    )
    gone = host.docker(["image", "inspect", f"repo/web:{name}"], check=False)
    assert gone.returncode != 0


def test_an_image_that_vanished_is_seen_and_refused(repository: Repository) -> None:
    alongside, host = repository.alongside, repository.alongside.host
    repository.release("5", {"compose.yaml": compose()})
    alongside("activate", "web@5")
    alongside("activate", "web@2")
    prune(host, "5")
    (service,) = alongside.json("status")["services"]
    (five,) = [one for one in service["versions"] if one["version"] == "5"]
    assert (five["image_state"], service["rollback_to"]) == ("gone", "5")
    problems = alongside.json("status")["problems"]
    assert any("web@5" in problem and "rollback" in problem for problem in problems)
    before = host.docker(["ps", "-a", "--format", "{{.Names}} {{.Status}}"]).stdout.split()[0]
    for arguments in (("rollback", "web"), ("activate", "web@5"), ("up", "web@5")):
        said = alongside.refused(*arguments)
        assert "The image of web@5 (repo/web:5) is gone from the engine" in said
    assert answers(alongside) == "2"
    assert host.docker(["ps", "-a", "--format", "{{.Names}}"]).stdout.split()[0] == before


def test_an_image_that_was_saved_is_loaded_again_the_very_same(repository: Repository) -> None:
    alongside, host = repository.alongside, repository.alongside.host
    repository.release("6", {"compose.yaml": compose("save: true")})
    alongside("activate", "web@6")
    alongside("activate", "web@2")
    released = {
        one["version"]: one["image_id"] for one in alongside.json("releases", "web")["releases"]
    }
    prune(host, "6")
    (service,) = alongside.json("status")["services"]
    (six,) = [one for one in service["versions"] if one["version"] == "6"]
    assert six["image_state"] == "archived"
    alongside("rollback", "web")
    assert answers(alongside) == "6"
    found = host.docker(["inspect", "--format", "{{.Image}}", "web-6"]).stdout.strip()
    assert found == released["6"]
    assert (alongside.state / "archives" / "web" / "6.tar").stat().st_size > 0
