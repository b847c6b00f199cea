"""Two servers never get one data folder: a stack that runs without alongside keeps its database
to itself."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from support import ask
from support.host import Host
from support.installation import Installation, Repository, load_images, web_files

pytestmark = pytest.mark.host

# It says in its data folder each time that it starts.
DB = """\
  db:
    image: alongside-test/responder:latest
    command: [sh, -c, "echo started >>/data/starts; exec sleep 600"]
    init: true
    volumes: ["dbdata:/data"]
"""
RELEASED = (
    web_files()["compose.yaml"]
    + """\
    volumes: ["SOCKET:/run/there.sock", "/dev/null:/run/null"]
    depends_on: [db]
"""
    + DB
    + """\
    x-alongside: {shared: true}
volumes: {dbdata: {external: true, name: shop_dbdata}}
"""
)
# What the person ran before: the same volume, and another `web` with the same socket.
STACK = (
    "services:\n"
    + DB
    + """\
  web:
    image: alongside-test/responder:latest
    volumes: ["SOCKET:/run/there.sock", "/dev/null:/run/null"]
  report:
    image: alongside-test/responder:latest
    volumes: ["dbdata:/data:ro"]
volumes: {dbdata: {}}
"""
)
BACKUP = """\
services:
  copy:
    image: alongside-test/responder:latest
    volumes: ["dbdata:/data"]
volumes: {dbdata: {external: true, name: shop_dbdata}}
"""


@pytest.fixture(scope="module")
def shop() -> Iterator[Repository]:
    """web@1 is released, and the person's own stack runs."""
    with Host() as host, closing(socket.socket(socket.AF_UNIX)) as server:
        path = host.engine.state / "there.sock"
        server.bind(str(path))
        load_images(host, "responder")
        alongside = Installation(host)
        alongside.start()
        files = web_files() | {"compose.yaml": RELEASED.replace("SOCKET", str(path))}
        repository = alongside.repository("site", files)
        repository.release("1", {})
        folder = host.folder / "before"
        folder.mkdir()
        (folder / "shop.yaml").write_text(STACK.replace("SOCKET", str(path)))
        (folder / "tools.yaml").write_text(BACKUP)
        for project in ("shop", "tools"):
            compose(host, project, "up", "--detach", "--quiet-pull")
        yield repository


def compose(host: Host, project: str, *arguments: str) -> None:
    file = host.folder / "before" / f"{project}.yaml"
    host.docker(["compose", "-p", project, "-f", str(file), *arguments])


def starts(host: Host) -> int:
    found = host.docker(["volume", "inspect", "--format", "{{.Mountpoint}}", "shop_dbdata"])
    return len(Path(found.stdout.strip(), "starts").read_text().splitlines())


def picture(alongside: Installation) -> object:
    said = alongside.host.docker(["ps", "--all", "--format", "{{.ID}} {{.Names}} {{.State}}"])
    state = [alongside.api(f"/v1/{name}") for name in ("status", "ports", "history")]
    return sorted(said.stdout.splitlines()), state


def test_a_second_database_on_a_volume_is_refused_until_the_first_has_ended(
    shop: Repository,
) -> None:
    alongside, host = shop.alongside, shop.alongside.host
    before = picture(alongside)
    for verb in (("activate",), ("up",), ("deploy",), ("activate", "--dry-run")):
        said = alongside.refused(*verb, "web@1")
        assert "the container shop-db-1 of the Compose project shop writes to the" in said
        assert "volume shop_dbdata" in said
        assert "docker compose -p shop stop db" in said
        assert "shop-web-1" not in said, "a socket and a device are no data"
        assert "report" not in said, "it only reads"
    assert (picture(alongside), starts(host)) == (before, 1)

    compose(host, "shop", "stop", "--timeout", "1", "db")
    done = alongside("activate", "web@1")
    note = "The container tools-copy-1 of the Compose project tools writes to the volume"
    assert note in done.stdout
    assert "shop-" not in done.stdout.replace("shop_dbdata", "")
    assert ask.http_get(host.client, host.address4).body.startswith("1 ")
    assert starts(host) == 2
