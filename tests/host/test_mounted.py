"""What a container mounts outlives the release that it came from: on a real engine."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.host import Host
from support.installation import Installation, Repository, load_images

pytestmark = pytest.mark.host

# A database: it counts its starts in its folder, and says them, its program's edition and its
# settings.
DB = """\
import os, socket, time
with open('/var/lib/db/starts', 'a') as file:
    file.write('started\\n')
server = socket.create_server(('', 5432))
while True:
    peer, _ = server.accept()
    starts = len(open('/var/lib/db/starts').readlines())
    peer.sendall(f'{starts} EDITION {open("/conf/db.conf").read().strip()}'.encode())
    peer.close()
"""
COMPOSE = """\
services:
  NAME:
    build: .
    image: repo/NAME:${tag:-latest}
    ports: ["PORT:80"]
    depends_on: [db]
    volumes: ["./written:/written", "./compose.yaml:/compose.yaml:ro"]
    x-alongside: {ready: running, keep: 1, standby: {keep: 0}, drain: none}
  db:
    image: alongside-test/responder:latest
    command: ["python3", "-S", "/db.py"]
    volumes: ["./pgdata:/var/lib/db", "./db.py:/db.py:ro", "./conf:/conf"]
    secrets: [key]
    x-alongside: {shared: true}
secrets:
  key: {file: key.txt}
"""
ASK = "import socket; print(socket.create_connection(('db', 5432), 5).recv(99).decode(), end='')"


@pytest.fixture(scope="module")
def alongside() -> Iterator[Installation]:
    with Host() as host:
        load_images(host, "responder")
        alongside = Installation(host)
        alongside.start()
        yield alongside


class Shop:
    """A service with a database that its versions share, in a repository of that name."""

    def __init__(self, alongside: Installation, name: str, port: int) -> None:
        self.alongside, self.name, self.port = alongside, name, port
        self.repository: Repository = alongside.repository(name, self.files("0"))
        self.db = f"{name}-shared-db-1"

    def files(self, edition: str) -> dict[str, str]:
        return {
            "compose.yaml": COMPOSE.replace("NAME", self.name).replace("PORT", str(self.port)),
            "Dockerfile": "FROM alongside-test/responder:latest\nENV PORTS=80\n",
            ".gitignore": "pgdata\nwritten\n",
            "db.py": DB.replace("EDITION", edition),
            "conf/db.conf": f"conf-{edition}",
            f"conf/only-{edition}": "",
            "key.txt": "$ecret",
        }

    def tagged(self, version: str) -> None:
        for old in (self.repository.path / "conf").iterdir():
            old.unlink()
        self.repository.commit(self.files(version))
        said = self.repository.tag(version).stderr
        assert f"{self.name}@{version} is released" in said

    def ask(self, version: str) -> str:
        """What the database says to that version: its starts, and both editions."""

        def answer() -> str:
            command = ["exec", f"{self.name}-{version}", "python3", "-S", "-c", ASK]
            return self.alongside.host.docker(command, check=False).stdout

        return eventually(answer)

    def releases(self) -> set[str]:
        found = self.alongside.json("releases", self.name)["releases"]
        return {one["version"] for one in found}

    def tree(self, version: str) -> Path:
        (found,) = (
            one["tree"]
            for one in self.alongside.json("releases", self.name)["releases"]
            if one["version"] == version
        )
        return self.alongside.state / "trees" / self.name / str(found)

    def sources(self) -> dict[str, Path]:
        """What its database mounts, by where."""
        template = "{{range .Mounts}}{{.Destination}} {{.Source}}\n{{end}}"
        said = self.alongside.host.docker(["inspect", self.db, "--format", template]).stdout
        return {line.split()[0]: Path(line.split()[1]) for line in said.splitlines() if line}


def eventually(question: Callable[[], Any], timeout: float = 60) -> Any:
    deadline = time.monotonic() + timeout
    while not (answer := question()):
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.05)
    return answer


def test_a_shared_database_outlives_the_release_that_started_it(alongside: Installation) -> None:
    shop, host = Shop(alongside, "shop", 8001), alongside.host
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        shop.tagged(version)
        alongside("activate", f"shop@{version}")
    first = alongside.state / "services" / "shop" / "files"
    assert set(shop.sources().values()) == {
        first / one for one in ("pgdata", "db.py", "conf", "key.txt")
    }
    eventually(lambda: shop.releases() == {"1.1.0", "1.2.0"})  # by itself: 1.1.0 is gone back to
    assert shop.ask("1.2.0") == "1 1.0.0 conf-1.0.0"
    host.docker(["restart", "--time", "1", shop.db])
    assert shop.ask("1.2.0") == "2 1.0.0 conf-1.0.0"

    # One that is made anew has the files of the release that makes it, and what it has written.
    (first / "conf" / "db.conf").write_text("by-hand")
    shop.tagged("1.3.0")
    alongside("activate", "shop@1.3.0")
    assert shop.ask("1.3.0") == "2 1.0.0 by-hand"
    host.docker(["rm", "--force", shop.db])  # and it is brought back
    assert shop.ask("1.3.0") == "3 1.3.0 by-hand"
    assert {one.name for one in (first / "conf").iterdir()} == {"db.conf", "only-1.3.0"}


def test_a_tree_that_a_container_mounts_is_kept_until_it_does_not(alongside: Installation) -> None:
    kept, host = Shop(alongside, "kept", 8002), alongside.host
    for version in ("1", "2", "3", "4", "5"):
        kept.tagged(version)
    alongside("activate", "kept@5")
    alongside("up", "kept@3")
    written = ["exec", "kept-3", "sh", "-c", "echo x > /written/line"]
    host.docker(written)
    alongside("stop", "kept@3")
    link = host.folder / "a-link"
    link.symlink_to(kept.tree("1"))
    image = "alongside-test/responder:latest"
    host.docker(["run", "-d", "--name", "foreign-1", "-v", f"{link}/conf:/x", image])
    host.docker(["create", "--name", "foreign-2", "-v", f"{kept.tree('2')}:/x", image])
    # One that looks at the whole host is no reason.
    host.docker(["create", "--name", "looks-on", "-v", "/:/host:ro", image])
    why = {
        "1": "its files are mounted by the container foreign-1",
        "2": "its files are mounted by the container foreign-2",
        "3": "a container has written written/line into its files",
    }
    plan = alongside("gc", "kept", "--keep", "0", "--dry-run").stdout
    done = alongside("gc", "kept", "--keep", "0").stdout
    for version, reason in why.items():
        assert f"keep kept@{version}: {reason}" in plan
        assert f"kept@{version} is kept: {reason}." in done
    assert "kept@4 is removed" in done
    assert kept.releases() == {"1", "2", "3", "5"}

    # Nor does a restart forget: also a row that is lost takes no tree with it that is mounted.
    trees = {version: kept.tree(version) for version in why}
    alongside.stop()
    host.run(["python3", "-c", _LOSE, str(alongside.state / "state.db")])
    alongside.start()
    eventually(lambda: "listening" in alongside.words())
    assert all(tree.is_dir() for tree in trees.values())

    host.docker(["rm", "--force", "foreign-1", "foreign-2", "looks-on"])
    assert "is removed" in alongside("gc", "kept", "--keep", "0", "--volumes").stdout
    assert kept.releases() == {"5"}
    assert not any(trees[version].exists() for version in ("2", "3"))
    # The state does not know any more whose it is: that is said, and nothing is removed.
    assert trees["1"].is_dir()
    problems = " ".join(alongside.json("status")["problems"])
    assert f"No release is known of trees/kept/{trees['1'].name}" in problems


_LOSE = """
import sqlite3, sys
with sqlite3.connect(sys.argv[1]) as database:
    database.execute("DELETE FROM releases WHERE service = 'kept' AND version = '1'")
"""


def test_what_an_earlier_alongside_had_mounted_from_a_tree_is_found_again(
    alongside: Installation,
) -> None:
    """It ran shared services from the tree of the release that first started them."""
    former, host = Shop(alongside, "former", 8003), alongside.host
    former.tagged("1")
    tree = former.tree("1")
    old = host.folder / "old.yaml"
    old.write_text(
        "services: {db: {networks: {default: {}}}}\n"
        "networks: {default: {name: former-shared_default}}\n"
    )
    said = ("--file", str(tree / "compose.yaml"), "--file", str(old))
    where = ("--project-name", "former-shared", "--project-directory", str(tree))
    host.docker(["compose", *where, *said, "up", "--detach", "--no-build", "db"])
    alongside("activate", "former@1")
    assert former.sources()["/var/lib/db"] == tree / "pgdata", "it is not made anew"
    assert former.ask("1") == "1 1 conf-1"
    former.tagged("2")
    alongside("activate", "former@2")
    former.tagged("3")
    alongside("activate", "former@3")
    held = "former@1 is kept: its files are mounted by the container former-shared-db-1"
    assert held in alongside("gc", "former").stdout

    host.docker(["rm", "--force", former.db])  # and it is brought back
    assert former.ask("3") == "2 3 conf-3", "its data is found, and its files are the release's"
    files = alongside.state / "services" / "former" / "files"
    assert former.sources() == {
        "/var/lib/db": tree / "pgdata",
        "/db.py": files / "db.py",
        "/conf": files / "conf",
        "/run/secrets/key": files / "key.txt",
    }
    assert held in alongside("gc", "former").stdout


# What `daemon uninstall --purge` does to the engine and to the state folder, without systemd.
PURGE = """
import os, sys
from pathlib import Path
from alongside.install.carry_out import carry_out
from alongside.install.look import remains
from alongside.install.machine import Machine
from alongside.install.plan_uninstall import plan_purge
from alongside.install.settings import Settings
from alongside.install.steps import Leave, Plan, RemoveFolder, RemoveObjects
state = Path(sys.argv[1])
settings = Settings(("x",), state_dir=state, environment={"DOCKER_HOST": os.environ["DOCKER_HOST"]})
machine = Machine(paths=frozenset({state}), made_folders=(state,))
found = remains(settings, engine=True)
plan = plan_purge(settings, machine, found, volumes="--volumes" in sys.argv)
steps = [one for one in plan.steps if isinstance(one, (Leave, RemoveFolder, RemoveObjects))]
short_of = carry_out(Plan(steps), settings.engine, print)
print(*plan.notes, sep="\\n")
print("short of", short_of)
"""


def test_a_purge_keeps_what_others_mount_and_what_containers_wrote(
    alongside: Installation,
) -> None:
    """The last one: it takes all that the others have left."""
    last, host = Shop(alongside, "last", 8004), alongside.host
    last.tagged("1")
    alongside("activate", "last@1")
    assert last.ask("1") == "1 1 conf-1"
    image, tree = "alongside-test/responder:latest", last.tree("1")
    host.docker(["create", "--name", "foreign", "-v", f"{tree}/conf:/x", image])
    alongside.stop()

    def purge(*options: str) -> str:
        command = [sys.executable, "-c", PURGE, str(alongside.state), *options]
        return host.run(command, env=alongside.environment).stdout

    data = alongside.state / "services" / "last" / "files" / "pgdata"
    said = purge()
    assert f"kept: {tree}/conf, which is mounted by the container foreign: " in said
    assert "since containers have written there: " in said
    assert str(data) in said
    assert said.endswith("short of 1\n")
    assert (data / "starts").read_text() == "started\n"
    assert [one.name for one in data.parent.iterdir()] == ["pgdata"]
    assert [one.name for one in tree.iterdir()] == ["conf"]
    assert {one.name for one in alongside.state.iterdir()} == {"trees", "services"}
    assert host.docker(["ps", "--all", "--format", "{{.Names}}"]).stdout == "foreign\n"

    assert purge("--volumes").endswith("short of 1\n")
    assert not data.exists()
    assert [one.name for one in tree.iterdir()] == ["conf"]
    host.docker(["rm", "foreign"])
    assert purge("--volumes").endswith("short of 0\n")
    assert not alongside.state.exists()
