"""The state file is lost, damaged or put back: what the kernel routes stays routed, nothing that
there is of releases is removed, and a person decides."""

from __future__ import annotations

import re
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from alongside.domain.errors import AlongsideError
from support import ask
from support.host import Host
from support.installation import Installation, load_images, web_files
from support.load import Load

pytestmark = pytest.mark.host


@pytest.fixture(scope="module")
def alongside() -> Iterator[Installation]:
    """web@2 has the ports, web@1 had them, web@3 is released; `before/` is a copy of its state."""
    with Host() as host:
        load_images(host, "responder")
        alongside = Installation(host)
        alongside.start()
        repository = alongside.repository("site", web_files())
        for version in ("1", "2", "3"):
            repository.release(version, {"version": version})
        alongside("activate", "web@1")
        alongside("activate", "web@2")
        alongside.stop()
        yield alongside


@pytest.fixture
def stopped(alongside: Installation, tmp_path: Path) -> Iterator[Installation]:
    """Not running; as it was again afterwards."""
    kept = tmp_path / "state.db"
    shutil.copy(whole(alongside), kept)
    yield alongside
    assert alongside.process is not None
    if alongside.process.poll() is None:
        alongside.stop()
    # What a test has started, and the state that is put back knows nothing of.
    docker = alongside.host.docker
    docker(["rm", "--force", "web-3"], check=False)
    for name in docker(["network", "ls", "--format", "{{.Name}}"]).stdout.split():
        if name.startswith("0-web-3"):
            docker(["network", "rm", name])
    for one in alongside.state.glob("state.db*"):
        one.unlink()
    shutil.rmtree(alongside.state / "backups", ignore_errors=True)
    shutil.copy(kept, alongside.state / "state.db")


def whole(alongside: Installation) -> Path:
    """The state file, with what is in its log."""
    path = alongside.state / "state.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


def remains(alongside: Installation) -> dict[str, Any]:
    """All that a daemon that tidied up would remove."""
    host, state = alongside.host, alongside.state
    # The sets of late replies empty by themselves.
    listed = host.run(["nft", "-s", "list", "table", "inet", "alongside"]).stdout
    return {
        "trees": sorted(str(one) for one in state.glob("trees/*/*")),
        "images": sorted(
            host.docker(["images", "--format", "{{.Repository}}:{{.Tag}}"]).stdout.split()
        ),
        "containers": sorted(
            host.docker(["ps", "--all", "--format", "{{.Names}} {{.State}}"]).stdout.split("\n")
        ),
        "table": re.sub(r"\tset retired\d \{.*?\n\t\}\n", "", listed, flags=re.DOTALL),
    }


def reaches(alongside: Installation, version: str) -> None:
    host = alongside.host
    for address in (host.address4, host.address6):
        assert ask.http_get(host.client, address).body.split()[0] == version
    assert ask.datagram(host.client, host.address4, 7).split()[0] == version


def eventually(question: Callable[[], bool], timeout: float = 60) -> None:
    deadline = time.monotonic() + timeout
    while not question():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.05)


def missing(path: Path) -> None:
    path.unlink()


def empty(path: Path) -> None:
    path.write_bytes(b"")


def garbage(path: Path) -> None:
    path.write_bytes(b"\xa5" * path.stat().st_size)


def blank(path: Path) -> None:
    """As an earlier release made one in place of a lost one."""
    with closing(sqlite3.connect(path)) as connection:
        tables = [
            row[0]
            for row in connection.execute(
                "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
            )
        ]
        for table in tables:
            connection.execute(f"DELETE FROM {table}")
        connection.commit()


# Each is told apart in tests/unit/store/test_condition.py.
SOAK = pytest.mark.soak


@pytest.mark.parametrize(
    "lose",
    [missing, *(pytest.param(one, marks=SOAK) for one in (empty, garbage, blank))],
    ids=lambda one: one.__name__,
)
def test_a_daemon_that_has_lost_its_state_touches_nothing_and_says_so(
    stopped: Installation, lose: Callable[[Path], None]
) -> None:
    before = remains(stopped)
    lose(whole(stopped))
    stopped.start()
    said = stopped("status").stderr
    assert "state.db" in said
    assert "Nothing is touched" in said
    assert "3 release trees" in said
    assert "kernel routes for" in said
    for remedy in ("alongside state restore", "alongside state rebuild"):
        assert remedy in said
    assert "Nothing is released yet" not in stopped("status").stdout
    for words in (["activate", "web@1"], ["gc"], ["port", "assign", "8080:50080/tcp"]):
        refused = stopped.refused(*words)
        assert "state.db" in refused
        assert "alongside state rebuild" in refused
    found = stopped("doctor", check=False)
    assert "alongside state rebuild" in found.stdout.replace("\n  ", " ")
    reaches(stopped, "2")
    stopped.stop()
    stopped.start()
    assert remains(stopped) == before


def deleted(path: Path) -> None:
    path.unlink()


def truncated(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def overwritten(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"\xa5" * path.stat().st_size)


@pytest.mark.parametrize("harm", [deleted, truncated, overwritten])
def test_harm_while_it_runs_is_noticed_and_the_routes_stay(
    stopped: Installation, harm: Callable[[Path], None]
) -> None:
    stopped.start()
    before = remains(stopped)
    pid = stopped.api("/v1/info")["pid"]
    stopped("mark", "good", "web@2")  # in the log alone
    harm(stopped.state / "state.db")

    def said() -> str:
        try:
            return " ".join(stopped.api("/v1/status")["problems"])
        except AlongsideError as error:
            return error.message  # a page that was read before it was noticed

    eventually(lambda: "alongside state restore" in said())
    assert "state.db" in stopped.refused("activate", "web@1")
    assert remains(stopped) == before
    reaches(stopped, "2")
    if harm is deleted:
        eventually(lambda: "Its last content was saved to" in said())
        assert stopped.json("status")["services"][0]["current"] == "2"
        stopped("state", "restore")
        (web,) = stopped.json("status")["services"]
        marks = {one["version"]: one["mark"] for one in web["versions"]}
        assert marks["2"] == "good", "nothing is lost of what the open file held"
    else:
        stopped("state", "rebuild")
    eventually(lambda: stopped.api("/v1/status")["problems"] == [])
    assert stopped.api("/v1/info")["pid"] == pid, "it goes on"
    assert remains(stopped) == before
    reaches(stopped, "2")
    stopped("activate", "web@1")
    reaches(stopped, "1")
    stopped("activate", "web@2")


def test_a_lost_state_is_rebuilt_from_what_there_is(stopped: Installation) -> None:
    before, host = remains(stopped), stopped.host
    stopped.start()

    def facts() -> dict[str, Any]:
        found = {verb: stopped.json(verb) for verb in ("ps", "releases", "ports")}
        for one in found["releases"]["releases"]:
            one.pop("created")  # the image's, to the second
        return found

    known = facts()
    stopped.stop()
    whole(stopped).unlink()
    stopped.start()
    tried = stopped("state", "rebuild", "--dry-run").stdout
    assert "release web@3" in tried
    assert "# nft: the table stays as it is" in tried
    assert remains(stopped) == before
    with Load(host.client, "tcp", host.address4, 80, dialect="http") as load:
        load.wait_for(20)
        said = stopped("state", "rebuild", "-m", "it was lost").stdout
        load.wait_for(50)
        report = load.stop()
    assert not report.failures
    assert "Releases made again: web@1, web@2, web@3." in said
    assert "the history begins anew" in said
    assert facts() == known
    assert stopped.json("status")["problems"] == []
    assert remains(stopped) == before
    said = stopped.json("history")["history"]
    assert {one["verb"] for one in said} == {"state rebuild"}
    assert said[0]["message"] == "it was lost"
    # It is a state like any other, and a rollback knows what had the ports.
    stopped("activate", "web@3")
    reaches(stopped, "3")
    stopped("rollback", "web")
    reaches(stopped, "2")
    stopped.stop()
    stopped.start()
    reaches(stopped, "2")
    assert "is there and whole" in stopped.refused("state", "rebuild")


def test_a_backup_is_restored_and_brought_up_to_what_there_is(
    stopped: Installation, tmp_path: Path
) -> None:
    """It is of before web@3 had the ports and web@1 was removed."""
    stopped.start()
    eventually(lambda: any((stopped.state / "backups").glob("state-*.db")))
    copy = tmp_path / "copy.db"
    assert str(copy) in stopped("state", "backup", str(copy)).stdout
    assert "already" in stopped.refused("state", "backup", str(copy))
    stopped("activate", "web@3")
    stopped("rm", "--force", "web@1")
    before = remains(stopped)
    stopped.kill()
    for one in stopped.state.glob("state.db*"):
        one.unlink()
    stopped.start()
    newest = max((stopped.state / "backups").glob("state-*.db"))
    assert str(newest) in stopped("status").stderr
    assert "web@3" in stopped("state", "restore", str(copy), "--dry-run").stdout
    stopped("state", "restore", str(copy))
    reaches(stopped, "3")
    assert remains(stopped) == before
    assert stopped.json("status")["problems"] == []
    assert {one["name"] for one in stopped.json("ps")["instances"]} == {"web-2", "web-3"}
    assert stopped.json("status")["services"][0]["rollback_to"] == "2"
    stopped("rollback", "web")
    reaches(stopped, "2")
    verbs = [one["verb"] for one in stopped.json("history")["history"]]
    assert "state restore" in verbs
    assert "activate" in verbs, "the history that the backup has goes on"
