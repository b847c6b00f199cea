"""What is remembered of deploying outlives the daemon."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from alongside.domain.deployment import Former, Mark, Marked, Trial
from alongside.domain.history import Actor, Outcome
from alongside.domain.version import Version
from alongside.store.database import Database
from alongside.store.former import Formers
from alongside.store.holds import Holds
from alongside.store.instances import Instances
from alongside.store.journal import DETAIL, OUTPUT, Journal
from alongside.store.releases import Releases
from alongside.store.trials import Trials

from .test_store import INSTANCE, RELEASE

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_all_of_it_is_read_again(tmp_path: Path) -> None:
    database = Database(tmp_path / "state.db")
    releases = Releases(database)
    releases.add(RELEASE)
    operation = Journal(database).begin(
        "deploy", "dns", Actor(0, "root"), before="", after="1.0.0", message=""
    )
    trial = Trial("dns", Version("1.0.0"), operation, NOW, NOW + timedelta(seconds=30))
    former = [
        Former("dns", Version("0.9.0"), NOW, NOW + timedelta(seconds=5)),
        Former("dns", Version("0.8.0"), NOW, None, drained=True),
    ]
    Trials(database).open(trial)
    Formers(database).replace("dns", former)
    Holds(database).hold("dns", "ann", "a fair")
    Holds(database).hold("dns", "ben", "the first word stands")
    releases.mark("dns", Version("1.0.0"), Mark.BAD, "slow")
    releases.prepare("dns", Version("1.0.0"))
    Instances(database).add(INSTANCE)
    Instances(database).want(INSTANCE, "paused")
    database.close()

    again = Database(tmp_path / "state.db")
    assert Trials(again).get("dns") == trial
    assert Formers(again).all("dns") == former
    hold = Holds(again).get("dns")
    assert hold is not None
    assert (hold.actor, hold.message) == ("ann", "a fair")
    assert Releases(again).marks("dns") == {Version("1.0.0"): Marked(Mark.BAD, "slow")}
    assert Releases(again).prepared("dns", Version("1.0.0"))
    assert Instances(again).wanted(INSTANCE) == "paused"
    Trials(again).close(trial)
    Holds(again).resume("dns")
    assert Trials(again).all() == []
    assert Holds(again).get("dns") is None
    again.close()


def test_the_name_of_a_removed_release_stays_its_commit_s(tmp_path: Path) -> None:
    database = Database(tmp_path / "state.db")
    releases = Releases(database)
    releases.add(RELEASE)
    assert releases.removed("dns", RELEASE.version) is None
    releases.remove(RELEASE)
    assert releases.all() == []
    assert releases.get("dns", RELEASE.version) is None
    assert releases.removed("dns", RELEASE.version) == RELEASE.commit
    releases.add(RELEASE)
    assert releases.all() == [RELEASE]
    database.close()


def test_of_what_was_written_the_end_is_kept(tmp_path: Path) -> None:
    database = Database(tmp_path / "state.db")
    journal = Journal(database)
    operation = journal.begin("build", "dns", Actor(0, "root"), before="", after="", message="")
    assert journal.output(operation) == []
    journal.write(operation, ["x" * OUTPUT, "the end"])
    journal.write(operation, ["and more"])
    assert journal.output(operation)[1:] == ["the end", "and more"]
    assert len(journal.output(operation)[0]) < OUTPUT
    journal.write(operation, ["y" * OUTPUT])
    assert len("\n".join(journal.output(operation))) <= OUTPUT
    journal.end(operation, Outcome.FAILED, "z" * 122_036)
    entry = journal.get(operation)
    assert entry is not None
    assert len(entry.detail) == DETAIL
    database.close()
