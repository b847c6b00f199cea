"""What cannot be written is written once there is room; what is not known is not removed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from alongside.daemon import guard, removals, strays
from alongside.daemon.images import remove_release
from alongside.daemon.reconciler import Reconciler
from alongside.daemon.retirement import itself
from alongside.domain.deployment import Trial
from alongside.domain.errors import Conflict, StateUnwritable
from alongside.domain.history import Outcome
from alongside.domain.version import Version

from .conftest import Daemon


async def never() -> AsyncIterator[None]:
    await asyncio.Event().wait()
    yield


async def eventually(question: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not question():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)


def writable(daemon: Daemon, yes: bool) -> None:
    """Else every write fails as on a disk that is read-only."""
    daemon.context.database.connection.execute(f"PRAGMA query_only = {'OFF' if yes else 'ON'}")


def begun(daemon: Daemon, verb: str = "up") -> int:
    return daemon.context.journal.begin(verb, "dns", itself(), before="", after="1.1.0", message="")


async def test_an_end_that_cannot_be_written_is_written_later(daemon: Daemon) -> None:
    journal = daemon.context.journal
    number = begun(daemon)
    writable(daemon, False)
    journal.end(number, Outcome.DONE, "well")
    assert journal.running() == journal.pending() == [], "it has ended, whatever is written"
    with pytest.raises(StateUnwritable):
        journal.catch_up()
    writable(daemon, True)
    journal.catch_up()
    assert (daemon.last("up").outcome, daemon.last("up").detail) == (Outcome.DONE, "well")


async def test_what_nothing_carries_on_is_settled_as_at_a_start(daemon: Daemon) -> None:
    context, reconciler = daemon.context, Reconciler(daemon.context, never())
    lives = begun(daemon, "stop")
    left = begun(daemon)
    switched = await daemon.switch()
    for number in (left, switched):
        context.journal.leave(number)
    await reconciler._settle_abandoned()
    assert daemon.last("up").outcome is Outcome.FAILED
    assert "nothing was switched" in daemon.last("up").detail
    trial = context.trials.get("dns")
    assert trial is not None
    assert trial.operation == switched, "a deploy that has switched is watched"
    assert [one.id for one in context.journal.running()] == [lives, switched]


async def test_a_start_on_a_full_disk_is_a_start(daemon: Daemon) -> None:
    number = begun(daemon)
    await daemon.switch()
    writable(daemon, False)
    Reconciler(daemon.context, never()).settle()
    writable(daemon, True)
    daemon.context.journal.catch_up()
    assert daemon.last("up").id == number
    assert daemon.last("up").outcome is Outcome.INTERRUPTED


async def test_a_verdict_waits_for_the_disk(daemon: Daemon) -> None:
    context = daemon.context
    number = await daemon.switch()
    now = datetime.now(UTC)
    trial = Trial("dns", Version("1.1.0"), number, now, now + timedelta(seconds=30))
    context.trials.open(trial)
    daemon.sick()
    writable(daemon, False)
    context.watcher.resume()
    await eventually(lambda: context.database.failures > 0)
    assert daemon.has_ports() == "1.1.0"
    writable(daemon, True)
    await eventually(lambda: context.trials.get("dns") is None)
    assert daemon.has_ports() == "1.0.0"
    assert Version("1.1.0") in context.bad("dns")
    assert daemon.last("deploy").outcome is Outcome.FAILED


def tree(daemon: Daemon, name: str) -> Path:
    folder = daemon.context.paths.tree("site", name)
    folder.mkdir(parents=True)
    (folder / "compose.yaml").write_text("services: {}\n")
    (folder / "compose.yaml").chmod(0o444)
    folder.chmod(0o555)
    return folder


async def test_only_trees_that_are_known_to_be_left_over_are_removed(daemon: Daemon) -> None:
    context = daemon.context
    release = daemon.release
    has = context.paths.tree(release.repository, release.tree)
    has.mkdir(parents=True)
    unknown, ours = tree(daemon, "e" * 40), tree(daemon, "d" * 40)
    strays.expect(context, ours)
    with context.database.transaction() as connection:
        connection.execute("UPDATE releases SET spec = '{'")  # as of a release to come
    context.releases._remembered._rows = None
    assert context.releases.all() == []
    await strays.discard_strays(context)
    assert has.is_dir(), "its release cannot be read, and is there"
    assert unknown.is_dir()
    assert f"trees/site/{'e' * 40}" in context.problems[strays.STRAYS]
    assert not ours.exists()


async def test_the_tree_of_a_removed_release_goes_with_the_last_that_came_of_it(
    daemon: Daemon,
) -> None:
    context, release = daemon.context, daemon.release
    has = context.paths.tree(release.repository, release.tree)
    has.mkdir(parents=True)
    context.instances.forget(daemon.new)
    await daemon.engine.remove(daemon.new.name)
    shared = len({(one.repository, one.tree) for one in context.releases.all()}) == 1
    await remove_release(context, release)
    assert has.exists() is shared
    assert strays.expected(context) == set()
    assert context.database.marked("removing") == []


async def test_what_is_lost_waits_for_another_file_and_not_for_the_one_that_is_there(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A blank one is whole, and would be opened again and again."""
    monkeypatch.setattr(guard, "LOOK", 0.02)
    context = daemon.context
    context.lost = "It is blank."
    waiting = asyncio.create_task(guard.Waiting(context).run())
    await asyncio.sleep(0.5)
    assert not context.reopening.asked.is_set()
    copy = context.paths.root / "copy.db"
    copy.write_bytes(context.database.connection.serialize())
    copy.rename(context.paths.database)
    await eventually(context.reopening.asked.is_set)
    await waiting


async def test_a_removal_that_cannot_be_finished_is_said_and_keeps_nothing_else_back(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container mounts its files by now: the engine is there all the same."""
    context, release = daemon.context, daemon.release
    removals.begin(context, release)

    async def gone(_: str) -> None:
        return None

    async def needed(*_: object, **__: object) -> None:
        raise Conflict("its files are mounted by the container backup.")

    monkeypatch.setattr(daemon.engine, "image", gone)
    monkeypatch.setattr("alongside.daemon.images.remove_release", needed)
    await removals.finish(context)
    assert "backup" in context.problems[f"remove {release.reference}"]
    assert context.database.marked("removing") == [release.reference], "it is tried again"
