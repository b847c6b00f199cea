from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

import pytest

from alongside.domain.errors import Conflict, Unavailable
from alongside.domain.history import Actor, Outcome
from alongside.domain.instance import Instance, LocalPort, Subnet
from alongside.domain.port import Protocol, Publish, parse_port
from alongside.domain.release import Release
from alongside.domain.route import Assign, Route, Share, Split
from alongside.domain.service import Ready, ReadyKind, Service
from alongside.domain.version import Version
from alongside.store.database import Database
from alongside.store.instances import Instances
from alongside.store.journal import Journal
from alongside.store.releases import Releases
from alongside.store.routes import Routes

SPEC = Service(
    name="dns",
    image="repo/dns",
    ports=(Publish(parse_port("192.0.2.7:53/udp"), 5353), Publish(parse_port("53/tcp"), 53)),
    ready=Ready(ReadyKind.DNS, port=53, name="example.test"),
    tags=("dns/*", "v*"),
    linked=(".env",),
)
RELEASE = Release(
    service="dns",
    version=Version("1.0.0"),
    repository="app",
    source="/srv/app",
    commit="a" * 40,
    tree="b" * 40,
    image="repo/dns:1.0.0",
    image_id="sha256:1",
    compose_file="compose.yaml",
    created=datetime(2026, 1, 1, tzinfo=UTC),
    spec=SPEC,
)
INSTANCE = Instance(
    "dns",
    Version("1.0.0"),
    Subnet("al-0123456789", IPv4Network("10.213.0.0/28"), IPv6Network("fd00::/64")),
    (LocalPort(Protocol.TCP, 53, 20000), LocalPort(Protocol.UDP, 53, 20000)),
)


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(tmp_path / "state.db")


def test_what_is_written_is_read_again_from_another_connection(
    database: Database, tmp_path: Path
) -> None:
    Releases(database).add(RELEASE)
    Instances(database).add(INSTANCE)
    split = Split((Share(Version("1.0.0"), 9), Share(Version("1.1.0"), 1)), Assign.CLIENT)
    routes = [
        Route(parse_port("192.0.2.7:53/udp"), "dns", split),
        Route(parse_port("53"), "dns", split),
    ]
    Routes(database).replace("dns", routes)
    database.close()

    again = Database(tmp_path / "state.db")
    assert Releases(again).all() == [RELEASE]
    assert Instances(again).all() == [INSTANCE]
    assert sorted(map(repr, Routes(again).all())) == sorted(map(repr, routes))
    again.close()


def test_a_release_is_added_once(database: Database) -> None:
    Releases(database).add(RELEASE)
    with pytest.raises(Conflict, match=r"dns@1\.0\.0 is released already"):
        Releases(database).add(RELEASE)
    database.close()


def test_one_unreadable_row_hides_no_other(database: Database) -> None:
    releases = Releases(database)
    releases.add(RELEASE)
    database.connection.execute(
        "INSERT INTO releases SELECT service, '9', repository, source, commit_id, tree_id, image, "
        "image_id, compose_file, created, '{broken', mark, mark_reason, prepared FROM releases"
    )
    assert releases.all() == [RELEASE]
    database.close()


def test_an_address_is_given_out_once(database: Database) -> None:
    Releases(database).add(RELEASE)
    instances = Instances(database)
    instances.add(INSTANCE)
    instances.add(INSTANCE)  # the same again is no news
    other = Instance("dns", Version("1.0.0"), INSTANCE.subnet, (), ordinal=2)
    with pytest.raises(Conflict):
        instances.add(other)
    assert instances.all() == [INSTANCE]
    database.close()


def test_forgetting_gives_the_local_ports_back(database: Database) -> None:
    Releases(database).add(RELEASE)
    instances = Instances(database)
    instances.add(INSTANCE)
    instances.forget(INSTANCE)
    assert instances.all() == []
    assert database.connection.execute("SELECT * FROM local_ports").fetchall() == []
    database.close()


def test_a_transaction_that_fails_leaves_nothing(database: Database) -> None:
    routes = Routes(database)
    Releases(database).add(RELEASE)
    routes.replace("dns", [Route(parse_port("53"), "dns", Split.all_to(Version("1.0.0")))])
    before = routes.all()
    with pytest.raises(ZeroDivisionError), database.transaction():
        routes.replace("dns", [])
        raise ZeroDivisionError
    assert routes.all() == before
    database.close()


def test_the_journal_knows_what_was_left_half_way(database: Database) -> None:
    journal = Journal(database)
    first = journal.begin("activate", "dns", Actor(0, "root"), before="", after="1", message="why")
    second = journal.begin("up", "dns", Actor(7, "eve"), before="", after="2", message="")
    journal.step(first, 1, "start", "started")
    journal.step(first, 1, "start", "done")
    journal.end(second, Outcome.FAILED, "no")
    assert [entry.id for entry in journal.pending()] == [first]
    assert journal.steps(first) == [("start", "done")]
    assert [entry.message for entry in journal.entries("dns", 10)] == ["why", ""]
    database.close()


def test_a_file_from_a_newer_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(Unavailable, match="schema 99"):
        Database(path)
