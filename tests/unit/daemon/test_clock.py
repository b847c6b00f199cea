"""The clock of the host is set back, or forward, while something lasts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo

import pytest

from alongside.daemon import countdown, observer, watcher
from alongside.daemon.countdown import Countdown, Drains
from alongside.domain.deployment import Former, Mark, Trial
from alongside.domain.version import Version

from .conftest import Daemon

Shift = Callable[[timedelta], None]
HOUR = timedelta(hours=1)


@pytest.fixture
def shift(monkeypatch: pytest.MonkeyPatch) -> Shift:
    """Sets the time of day that the daemon reads."""
    moved = timedelta()

    class Shifted(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + moved

    for module in (countdown, observer, watcher):
        monkeypatch.setattr(module, "datetime", Shifted)

    def by(delta: timedelta) -> None:
        nonlocal moved
        moved += delta

    return by


@pytest.mark.parametrize("delta", [-HOUR, HOUR])
def test_what_is_looked_at_lasts_as_long_as_it_lasts(shift: Shift, delta: timedelta) -> None:
    now = datetime.now(UTC)
    of = Countdown(now - timedelta(seconds=10), now + timedelta(seconds=20))
    shift(delta)
    assert 19 < of.left <= 20
    assert 10 <= of.age < 11


def test_after_a_restart_it_lasts_no_longer_than_its_length(shift: Shift) -> None:
    now = datetime.now(UTC)
    since, until = now - timedelta(seconds=10), now + timedelta(seconds=20)
    shift(-HOUR)
    back = Countdown(since, until)
    assert 29 < back.left <= 30
    assert 0 <= back.age < 1
    shift(2 * HOUR)
    over = Countdown(since, until)
    assert over.left == 0
    assert over.age > 3600


def test_a_drain_ends_when_it_would_have(shift: Shift) -> None:
    now = datetime.now(UTC)
    former = Former("dns", Version("1"), now, now + timedelta(seconds=20))
    drains = Drains()
    assert drains.of(Former("dns", Version("2"), now, None)) is None
    first = drains.of(former)
    assert first is not None
    shift(HOUR)
    again = drains.of(former)
    assert again is not None
    assert 19 < again.left <= 20
    later = Former("dns", Version("1"), now + HOUR, now + HOUR + timedelta(seconds=20))
    anew = drains.of(later)
    assert anew is not None
    assert anew is not first


@pytest.mark.parametrize("delta", [-HOUR, HOUR])
async def test_a_version_that_runs_comes_through_its_trial(
    daemon: Daemon, shift: Shift, delta: timedelta
) -> None:
    asked = asyncio.Event()
    number = await daemon.switch()
    began = time.monotonic()
    verdict = daemon.context.watcher.open(daemon.release, 1.0, number, lambda _: asked.set())
    await asyncio.wait_for(asked.wait(), 20)
    shift(delta)
    found = await asyncio.wait_for(verdict, 20)
    assert found.reason == ""
    assert time.monotonic() - began >= 1.0


async def test_one_that_fails_is_told_with_its_true_age(daemon: Daemon, shift: Shift) -> None:
    asked = asyncio.Event()
    number = await daemon.switch()
    verdict = daemon.context.watcher.open(daemon.release, 30, number, lambda _: asked.set())
    await asyncio.wait_for(asked.wait(), 20)
    shift(-HOUR)
    daemon.sick()
    reason = (await asyncio.wait_for(verdict, 20)).reason
    assert 0 <= float(reason.rpartition(", ")[2].partition(" s after")[0]) < 20


async def test_a_restart_of_before_the_clock_was_set_back_is_not_held_against_it(
    daemon: Daemon, shift: Shift
) -> None:
    """It started an hour from now, and was restarted before its trial."""
    daemon.engine.crash(daemon.new.name, 3)
    shift(-HOUR)
    number = await daemon.switch()
    now = datetime.now(UTC) - HOUR
    trial = Trial("dns", Version("1.1.0"), number, now, now + timedelta(seconds=0.3))
    daemon.context.trials.open(trial)
    daemon.context.watcher.resume()
    async with asyncio.timeout(30):
        while daemon.context.trials.get("dns") is not None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert daemon.context.releases.marks("dns")[Version("1.1.0")].mark is Mark.GOOD
