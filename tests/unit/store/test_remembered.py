"""What a store remembers is what the file has, also after a transaction that was taken back."""

from __future__ import annotations

from pathlib import Path

import pytest

from alongside.domain.port import parse_port
from alongside.domain.route import Route, Split
from alongside.domain.version import Version
from alongside.store.database import Database
from alongside.store.routes import Routes


def route(port: str, service: str, version: str = "1") -> Route:
    return Route(parse_port(port), service, Split.all_to(Version(version)))


@pytest.fixture
def database(tmp_path: Path) -> Database:
    made = Database(tmp_path / "state.db")
    made.connection.execute("INSERT INTO services VALUES ('a', 'r', 's'), ('b', 'r', 's')")
    return made


def test_a_change_keeps_the_other_rows_the_objects_that_they_were(database: Database) -> None:
    routes = Routes(database)
    routes.replace("a", [route("80/tcp", "a")])
    routes.replace("b", [route("53/udp", "b")])
    (_, before) = routes.all()
    routes.replace("b", [route("53/udp", "b", "2"), route("443/tcp", "b")])
    assert routes.all() == Routes(database).all()
    assert before in routes.all()
    assert any(one is before for one in routes.all())


def test_a_transaction_that_is_taken_back_is_forgotten(database: Database) -> None:
    routes = Routes(database)
    routes.replace("a", [route("80/tcp", "a")])

    def fail() -> None:
        with database.transaction():
            routes.replace("a", [])
            assert routes.all() == []
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert routes.all() == [route("80/tcp", "a")] == Routes(database).all()


def test_what_is_given_out_may_be_changed_by_who_asked(database: Database) -> None:
    routes = Routes(database)
    routes.all().append(route("80/tcp", "a"))
    assert routes.all() == []
