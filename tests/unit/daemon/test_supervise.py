"""Parts of the daemon: one that fails is started again and hides no other, and one that hangs is
heard of."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from alongside.daemon import supervise, watchdog
from alongside.daemon.background import in_background
from alongside.daemon.notify import notify, watchdog_interval
from alongside.daemon.reconciler import Reconciler
from alongside.daemon.supervise import Part, Supervisor
from alongside.domain.backoff import Backoff
from alongside.domain.errors import StepFailed

from .conftest import Daemon


class Kept:
    """A supervisor, and what it shows."""

    def __init__(self) -> None:
        self.problems: dict[str, str] = {}
        self.told = 0
        self.supervisor = Supervisor(self.problems, self._tell)

    def _tell(self) -> None:
        self.told += 1


@pytest.fixture
async def kept(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Kept]:
    monkeypatch.setattr(supervise, "WELL", 0.05)
    monkeypatch.setattr(supervise, "Backoff", lambda: Backoff(first=0.02, longest=0.05))
    kept = Kept()
    running = asyncio.create_task(kept.supervisor.run([]))
    yield kept
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def until(holds: Callable[[], object], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - it is not told
            await asyncio.sleep(0.005)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(100, "Network is down"), "OSError: [Errno 100] Network is down"),
        (sqlite3.OperationalError("disk I/O error"), "OperationalError: disk I/O error"),
        (KeyError("name"), "KeyError: 'name'"),
        (AssertionError(), "AssertionError()"),
        (StepFailed("nft refused: no"), "nft refused: no"),
        (ExceptionGroup("two", [ValueError("a")]), "ExceptionGroup: two (1 sub-exception)"),
        (asyncio.CancelledError(), "CancelledError()"),
        (None, "it ended, which it never should"),
    ],
)
async def test_one_that_fails_is_said_and_starts_again_and_the_others_go_on(
    kept: Kept, error: BaseException | None, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    starts, turns, broken = [], [], True

    async def fails() -> None:
        starts.append(time.monotonic())
        while not broken:
            await supervise.sleep(0.01)
        if error is not None:
            raise error

    async def goes_on() -> None:
        while True:
            turns.append(1)
            await supervise.sleep(0.005)

    kept.supervisor.keep(Part("bad", "does this", fails, limit=60))
    kept.supervisor.keep(Part("good", "does that", goes_on, limit=60))
    await until(lambda: len(starts) >= 3)
    sentence = f"The part of the daemon that does this failed: {said}. It is started again after "
    assert set(kept.problems) == {"part bad"}
    assert kept.problems["part bad"].startswith(sentence)
    assert kept.supervisor.failing() == {"bad": kept.problems["part bad"]}
    assert kept.supervisor.look(), "in back-off is no missed beat"
    errors = [one for one in caplog.records if one.levelno == logging.ERROR]
    assert errors and all(bool(one.exc_info) is (error is not None) for one in errors)
    before = len(turns)
    await until(lambda: len(turns) > before + 3)
    broken = False
    await until(lambda: not kept.problems)
    assert not kept.supervisor.failing()
    assert kept.told >= 2


async def test_the_back_off_grows_and_begins_anew_after_it_ran_well(kept: Kept) -> None:
    broken, waits = True, []

    async def fails() -> None:
        while not broken:
            await supervise.sleep(0.01)
        raise ValueError("no")

    kept.supervisor.keep(Part("bad", "does this", fails))

    def said() -> str:
        found = kept.problems.get("part bad", "")
        return found.rpartition("after ")[2].removesuffix(" s.")

    for _ in range(2):
        for wanted in ("0.02", "0.04", "0.05"):
            await until(lambda wanted=wanted: said() == wanted)
            waits.append(said())
        broken = False
        await until(lambda: not kept.problems)
        broken = True


async def test_what_it_failed_at_may_be_what_it_is_at(kept: Kept) -> None:
    """A part that is busy is not well by the time that has passed."""
    starts = []

    async def slow() -> None:
        starts.append(1)
        if len(starts) > 1:
            await asyncio.sleep(0.3)  # well after WELL
        raise ValueError("no")

    kept.supervisor.keep(Part("bad", "does this", slow))
    await until(lambda: kept.problems)
    while len(starts) < 3:
        assert kept.problems
        await asyncio.sleep(0.01)


async def test_one_that_may_end_ends_and_one_may_be_kept_from_another(kept: Kept) -> None:
    async def first() -> None:
        kept.supervisor.keep(Part("second", "is second", second, limit=0.01, ends=True))
        await supervise.pause(asyncio.Event())

    done = asyncio.Event()

    async def second() -> None:
        with supervise.waiting():
            await done.wait()

    kept.supervisor.keep(Part("first", "is first", first, limit=0.01))
    await asyncio.sleep(0.05)
    assert kept.supervisor.look(), "both wait"
    kept.supervisor.keep(Part("second", "is another", second))
    done.set()
    await until(lambda: "part second" not in {one.get_name() for one in asyncio.all_tasks()})
    assert not kept.problems


async def test_one_that_hangs_is_heard_of(kept: Kept, caplog: pytest.LogCaptureFixture) -> None:
    lock, go = asyncio.Lock(), asyncio.Event()
    await lock.acquire()

    async def hangs() -> None:
        await go.wait()
        async with lock:
            pass
        await supervise.pause(asyncio.Event())

    kept.supervisor.keep(Part("stuck", "does this", hangs, limit=0.05))
    await asyncio.sleep(0.1)
    said = "The part of the daemon that does this hangs: it has not moved within 0.05 s."
    assert not kept.supervisor.look()
    assert kept.problems == {"part stuck": said}
    assert kept.supervisor.hanging() == {"stuck": said}
    assert not kept.supervisor.look()
    assert [one.message for one in caplog.records].count(said) == 1, "logged once"
    go.set()
    lock.release()
    await until(kept.supervisor.look)
    assert not kept.problems


async def test_a_beat_may_allow_for_what_takes_longer(kept: Kept) -> None:
    async def long() -> None:
        supervise.beat(allow=60)
        await asyncio.Event().wait()

    kept.supervisor.keep(Part("long", "does this", long, limit=0.01))
    await asyncio.sleep(0.05)
    assert kept.supervisor.look()


async def test_outside_of_a_part_a_beat_is_nothing() -> None:
    supervise.beat()
    with supervise.waiting():
        await supervise.sleep(0)


# -- systemd -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("usec", "pid", "seconds"),
    [
        ("60000000", "", 60.0),
        ("500000", "own", 0.5),
        ("60000000", "1", None),
        ("0", "", None),
        ("", "", None),
        ("-5", "", None),
        ("soon", "", None),
    ],
)
def test_what_systemd_asks_for(
    usec: str, pid: str, seconds: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", usec)
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()) if pid == "own" else pid)
    assert watchdog_interval() == seconds


@pytest.mark.parametrize("abstract", [False, True])
async def test_systemd_hears_from_it_until_a_part_hangs(
    kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, abstract: bool
) -> None:
    name = f"\0{tmp_path}"[-100:] if abstract else str(tmp_path / "notify")
    name = f"\0{name[1:]}" if abstract else name
    heard: list[bytes] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(name)
        systemd.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", name.replace("\0", "@"))
        monkeypatch.setenv("WATCHDOG_USEC", "100000")

        async def listen() -> None:
            while True:
                heard.append(await asyncio.get_running_loop().sock_recv(systemd, 100))

        tasks = [
            asyncio.create_task(listen()),
            asyncio.create_task(watchdog.watchdog(kept.supervisor)),
        ]
        notify("READY=1")
        await until(lambda: heard.count(b"WATCHDOG=1") >= 3)
        assert b"READY=1" in heard

        async def fails() -> None:
            raise OSError("no")

        kept.supervisor.keep(Part("bad", "does this", fails, limit=0.001))
        await until(lambda: kept.problems)
        before = len(heard)
        await until(lambda: len(heard) > before + 3)

        async def hangs() -> None:
            await asyncio.Event().wait()

        kept.supervisor.keep(Part("stuck", "does this", hangs, limit=0.001))
        await until(lambda: "part stuck" in kept.problems)
        before = len(heard)
        await asyncio.sleep(0.3)
        assert len(heard) <= before + 1  # one may have been on its way
        await kept.supervisor.end(["stuck"])
        await until(lambda: len(heard) > before + 2)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_systemd_that_is_gone_does_not_end_the_watchdog(
    kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "none"))
    monkeypatch.setenv("WATCHDOG_USEC", "20000")
    task = asyncio.create_task(watchdog.watchdog(kept.supervisor))
    await until(lambda: len(caplog.records) >= 3)
    assert not task.done()
    task.cancel()


# -- the daemon's own ----------------------------------------------------------------------------


async def test_each_part_of_the_reconciler_fails_alone(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The watch of the kernel raises, and what is read for one part cannot be: the engine is met
    and the table is looked at all the same, and all is well once the cause is gone."""
    monkeypatch.setattr(supervise, "WELL", 0.05)
    monkeypatch.setattr(supervise, "Backoff", lambda: Backoff(first=0.02, longest=0.05))
    context = daemon.context
    broken, watched, made = True, 0, 0

    async def changes() -> AsyncIterator[None]:
        nonlocal watched, made
        made += 1
        yield
        if broken:
            raise OSError(100, "Network is down")
        watched += 1
        await asyncio.Event().wait()

    def former() -> list[object]:
        if broken:
            raise sqlite3.OperationalError("database disk image is malformed")
        return []

    monkeypatch.setattr(context.former, "left", former)
    reconciler = Reconciler(context, changes)  # type: ignore[arg-type]
    assert {one.name for one in reconciler.parts()} == {
        *("kernel", "engine", "ways", "tick", "half-open", "retirement", "collector", "healing"),
        "disk",
    }
    running = asyncio.create_task(reconciler.run())
    await until(lambda: {"part kernel", "part retirement"} <= context.problems.keys())
    assert set(context.problems) == {"part kernel", "part retirement"}
    assert "Network is down" in context.problems["part kernel"]
    assert "malformed" in context.problems["part retirement"]
    await daemon.engine.stop(daemon.old.name)
    assert context.supervisor.look()
    await until(lambda: made > 1)  # a generator that raised is over, so it is made anew
    broken = False
    await until(lambda: watched and not context.problems)
    assert not running.done()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert not [one for one in asyncio.all_tasks() if one.get_name().startswith("part ")]


async def test_what_fails_in_the_background_is_said_until_it_goes_well(
    daemon: Daemon, caplog: pytest.LogCaptureFixture
) -> None:
    context = daemon.context

    async def fails() -> None:
        raise sqlite3.OperationalError("disk I/O error")

    async def refused() -> None:
        raise StepFailed("nft refused: no")

    async def well() -> None:
        pass

    await in_background(context, "this and that", fails)
    assert list(context.problems.values()) == [
        "This and that failed: OperationalError: disk I/O error."
    ]
    assert caplog.records[-1].exc_info
    await in_background(context, "this and that", refused)
    assert list(context.problems.values()) == ["This and that failed: nft refused: no"]
    await in_background(context, "this and that", well)
    assert not context.problems
    assert not context.background


async def test_a_trial_whose_end_cannot_be_written_is_said_and_nobody_waits_for_ever(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = await daemon.switch()
    verdict = daemon.context.watcher.open(daemon.release, 0.1, number, lambda _: None)

    def full(*_: object) -> None:
        raise sqlite3.DatabaseError("disk image is malformed")

    monkeypatch.setattr(daemon.context.trials, "close", full)
    found = await asyncio.wait_for(verdict, 30)
    assert "that could not be written down: " in found.reason
    await until(lambda: daemon.context.problems)
    ((about, said),) = daemon.context.problems.items()
    assert about == "background the trial of dns@1.1.0"
    assert said.startswith("The trial of dns@1.1.0 failed: ")
    assert "disk image is malformed" in said
