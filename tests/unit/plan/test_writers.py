from __future__ import annotations

from dataclasses import replace

import pytest

from alongside.domain.errors import Conflict
from alongside.plan.writers import Meeting, Place, Starting, Writer, meetings, refuse

DATA = Place("shop_dbdata")
DB = Starting("shop-shared", "db", (DATA,), "shop", stacks=frozenset({"shop"}))
THEIRS = Writer("shop-db-1", "shop", "db", (DATA,), "docker compose -p shop stop db")
OURS = Writer("x-db-1", "web-1-0-0-1234", "db", (DATA,), "docker stop x-db-1", "shop")


def met(starting: Starting, writer: Writer) -> list[Meeting]:
    return list(meetings([starting], [writer]))


@pytest.mark.parametrize(
    ("one", "two", "meet"),
    [
        (Place("a"), Place("a"), True),
        (Place("a"), Place("b"), False),
        (Place(path="/srv/a"), Place(path="/srv/a"), True),
        (Place(path="/srv/a"), Place(path="/srv/a/b/c"), True),
        (Place(path="/srv/a/b"), Place(path="/srv/a"), True),
        (Place(path="/srv/a"), Place(path="/srv/ab"), False),
        (Place(path="/"), Place(path="/srv/a"), False),
        (Place("a", inode=(1, 2)), Place(path="/srv/a", inode=(1, 2)), True),
        (Place("a"), Place(path="/srv/a"), False),
        (Place(), Place(), False),
    ],
)
def test_where_two_meet(one: Place, two: Place, *, meet: bool) -> None:
    assert one.meets(two) is two.meets(one) is meet


@pytest.mark.parametrize(
    ("writer", "destroys"),
    [
        (THEIRS, True),
        (replace(THEIRS, project="elsewhere"), True),  # another db: also one on the same data
        (replace(THEIRS, service="database"), True),  # of the same stack
        (replace(THEIRS, project="backups", service="restic"), False),
        (replace(THEIRS, project="", service=""), False),  # docker run
        (replace(OURS, repository="other"), True),
        (replace(OURS, repository="other", service="restic"), False),
        (OURS, True),
    ],
)
def test_a_server_of_the_same_kind_destroys_and_another_is_a_note(
    writer: Writer, *, destroys: bool
) -> None:
    (found,) = met(DB, writer)
    assert found.destroys is destroys
    if destroys:
        with pytest.raises(Conflict):
            refuse("web@1", [found])
    else:
        (note,) = refuse("web@1", [found, found])
        assert note.startswith("The container ")
        assert note.endswith("writes to the volume shop_dbdata, as db does.")


@pytest.mark.parametrize(
    ("starting", "writer"),
    [
        (DB, replace(OURS, project="shop-shared")),  # two services of one project
        (DB, replace(OURS, service="backup")),  # the compose file gives both the volume
        (DB, replace(OURS, service="web", released=True)),
        (replace(DB, service="web", built=True), replace(OURS, service="web", released=True)),
        (replace(DB, project="p2", said_shared=frozenset({"shop_dbdata"})), OURS),
    ],
)
def test_what_the_compose_file_shares_is_neither(starting: Starting, writer: Writer) -> None:
    assert met(starting, writer) == []


def test_what_is_said_to_be_shared_is_so_among_versions_and_not_with_others() -> None:
    starting = replace(DB, project="p2", said_shared=frozenset({"shop_dbdata"}))
    (found,) = met(starting, THEIRS)
    assert found.destroys


def test_the_refusal_says_what_was_asked_who_stands_in_the_way_and_what_to_do() -> None:
    with pytest.raises(Conflict) as refused:
        refuse("web@1.0.0", met(DB, THEIRS))
    assert refused.value.message == (
        "web@1.0.0 is not started: the container shop-db-1 of the Compose project shop writes to "
        "the volume shop_dbdata, as db would, and two servers on one data folder destroy it."
    )
    assert "docker compose -p shop stop db" in refused.value.hint
