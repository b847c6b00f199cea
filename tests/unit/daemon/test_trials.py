"""Trials: what ends them and what does not, and deploys that are given up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from alongside.daemon import observer, watcher
from alongside.daemon.executor import to_its_end
from alongside.daemon.retirement import itself
from alongside.daemon.verbs.change import Asked
from alongside.daemon.verbs.deploy import deploy
from alongside.daemon.watcher import Verdict
from alongside.domain.deployment import Former, Mark, Trial
from alongside.domain.errors import StepFailed, TrialFailed
from alongside.domain.history import Actor, Outcome
from alongside.domain.version import Version
from support.examples import routes

from .conftest import Daemon

OLD, NEW = Version("1.0.0"), Version("1.1.0")
Json = dict[str, object]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("RETRY", 0.05), ("AGAIN", 0.02), ("SHUTDOWN", 0.3)):
        monkeypatch.setattr(observer, name, seconds)
    monkeypatch.setattr(watcher, "RETRY", 0.05)


class Trying:
    """A trial of the new version, and what was emitted."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self.events: list[Json] = []
        self.news = asyncio.Event()

    def emit(self, event: Json) -> None:
        self.events.append(event)
        self.news.set()

    async def begin(self, seconds: float = 30) -> asyncio.Future[Verdict]:
        number = await self.daemon.switch()
        self.verdict = self.daemon.context.watcher.open(
            self.daemon.release, seconds, number, self.emit
        )
        return self.verdict

    async def asked(self, times: int = 1) -> None:
        """It is asked so many times from here on."""
        wanted = len(self.events) + times
        async with asyncio.timeout(10):
            while len(self.events) < wanted:
                self.news.clear()
                await self.news.wait()


async def ended(future: asyncio.Future[Verdict]) -> Verdict:
    return await asyncio.wait_for(asyncio.shield(future), 20)


def marked(daemon: Daemon) -> Mark | None:
    found = daemon.context.releases.marks("dns").get(NEW)
    return found.mark if found else None


async def test_one_that_comes_through_is_good(daemon: Daemon) -> None:
    verdict = await ended(await Trying(daemon).begin(0.2))
    assert (verdict.reason, verdict.now, marked(daemon)) == ("", NEW, Mark.GOOD)
    assert daemon.last("deploy").outcome is Outcome.DONE
    assert daemon.context.trials.get("dns") is None


END: list[tuple[str, Callable[[Daemon], object], str]] = [
    ("sick", lambda d: d.sick("no route"), "failed 2 probes in a row"),
    ("unhealthy", lambda d: d.engine.set_health(d.new.name, "unhealthy", "a\nno db"), "(no db)"),
    ("restarted", lambda d: d.engine.crash(d.new.name, 3), "ended with exit code 3"),
    ("killed", lambda d: d.engine.oom(d.new.name), "was killed for want of memory"),
    ("ended", lambda d: d.engine.end(d.new.name, 4), "ended with exit code 4"),
    ("gone", lambda d: asyncio.create_task(d.engine.remove(d.new.name)), "lost its container"),
    ("paused", lambda d: asyncio.create_task(d.engine.pause(d.new.name)), "was paused"),
    (
        "two at once",
        lambda d: (
            d.sick(),
            d.engine.set_health(d.new.name, "unhealthy"),
            d.engine.end(d.new.name, 5),
        ),
        "ended with exit code 5",
    ),
]


@pytest.mark.parametrize(("what", "reason"), [one[1:] for one in END], ids=[one[0] for one in END])
async def test_one_that_fails_loses_the_ports_once(
    daemon: Daemon, what: Callable[[Daemon], object], reason: str
) -> None:
    trying = Trying(daemon)
    verdict = await trying.begin()
    await trying.asked()
    daemon.engine.write(daemon.new.name, "last words")
    _ = what(daemon)
    found = await ended(verdict)
    assert reason in found.reason
    assert (found.now, daemon.has_ports(), marked(daemon)) == (OLD, "1.0.0", Mark.BAD)
    if await daemon.engine.container(daemon.new.name):
        assert found.log == ("last words",)
    verbs = [one.verb for one in daemon.context.journal.entries("dns")]
    assert verbs.count("rollback") == 1
    assert daemon.last("deploy").outcome is Outcome.FAILED
    assert reason in daemon.last("rollback").message


async def test_an_engine_that_goes_away_and_comes_back_is_no_fault_of_the_version(
    daemon: Daemon,
) -> None:
    trying = Trying(daemon)
    verdict = await trying.begin(1.0)
    await trying.asked()
    for one in (daemon.old, daemon.new):  # it ends them, and then itself
        daemon.engine._emit("container", "kill", one.name)
        daemon.engine.end(one.name, 137)
    await asyncio.sleep(0.1)
    daemon.engine.go_down()
    await asyncio.sleep(0.5)
    assert not verdict.done()
    daemon.engine.come_up()
    await asyncio.sleep(0.3)
    assert not verdict.done(), "its container is yet to be started"
    await daemon.engine.start(daemon.new.name)
    await daemon.engine.start(daemon.old.name)
    await trying.asked(2)
    assert (await ended(verdict)).reason == ""
    assert (daemon.has_ports(), marked(daemon)) == ("1.1.0", Mark.GOOD)


async def test_an_engine_that_is_away_until_the_end_makes_no_version_good(daemon: Daemon) -> None:
    trying = Trying(daemon)
    verdict = await trying.begin(0.3)
    await trying.asked()
    daemon.engine.answers = False
    await daemon.engine.close()
    await asyncio.sleep(0.6)
    assert not verdict.done(), "nobody has looked"
    daemon.sick()
    daemon.engine.come_up()
    assert "did not come back with the engine" in (await ended(verdict)).reason
    assert daemon.has_ports() == "1.0.0"


async def test_one_that_somebody_ends_by_hand_is_judged_although_the_engine_stays(
    daemon: Daemon,
) -> None:
    trying = Trying(daemon)
    verdict = await trying.begin()
    await trying.asked()
    daemon.engine._emit("container", "kill", daemon.new.name)
    daemon.engine.end(daemon.new.name, 143)
    assert "ended with exit code 143" in (await ended(verdict)).reason


async def test_one_that_fails_when_its_time_is_over_is_looked_at_until_it_is_clear(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observer, "AGAIN", 0.5)
    trying = Trying(daemon)
    verdict = await trying.begin(0.3)
    await trying.asked()
    daemon.sick()
    assert "failed 2 probes in a row" in (await ended(verdict)).reason
    assert daemon.has_ports() == "1.0.0"


async def resumed(daemon: Daemon, until: timedelta) -> None:
    """The daemon was away; the trial had begun a minute ago."""
    number = await daemon.switch()
    now = datetime.now(UTC)
    trial = Trial("dns", NEW, number, now - timedelta(minutes=1), now + until)
    daemon.context.trials.open(trial)


async def over(daemon: Daemon) -> None:
    async with asyncio.timeout(20):
        while daemon.context.trials.get("dns") is not None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_restart_while_the_daemon_was_down_is_found(daemon: Daemon) -> None:
    daemon.engine.crash(daemon.new.name, 3)
    await resumed(daemon, timedelta(minutes=1))
    daemon.context.watcher.resume()
    await over(daemon)
    assert (daemon.has_ports(), marked(daemon)) == ("1.0.0", Mark.BAD)
    # It runs again, and the engine says 0 of what runs.
    assert "ended and was started again by the engine" in daemon.last("deploy").detail


async def test_a_trial_that_ended_while_the_daemon_was_down_is_no_pass(daemon: Daemon) -> None:
    daemon.engine.execs[daemon.new.name] = None  # it hangs
    await resumed(daemon, -timedelta(seconds=30))
    daemon.context.watcher.resume()
    await over(daemon)
    assert (daemon.has_ports(), marked(daemon)) == ("1.0.0", Mark.BAD)


async def test_one_whose_ports_somebody_took_meanwhile_is_over(daemon: Daemon) -> None:
    await resumed(daemon, timedelta(minutes=1))
    daemon.context.routes.replace("dns", routes("dns", "1.0.0"))
    daemon.context.watcher.resume()
    await over(daemon)
    assert marked(daemon) is None
    assert daemon.last("deploy").outcome is Outcome.FAILED
    assert daemon.last("deploy").detail == "lost the ports meanwhile"


async def test_it_goes_back_as_soon_as_the_engine_answers_again(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def gone(_: observer.Observer) -> tuple[str, ...]:
        daemon.engine.answers = False  # the very moment after it was found to be bad
        return ()

    monkeypatch.setattr(observer.Observer, "_log", gone)
    trying = Trying(daemon)
    verdict = await trying.begin()
    await trying.asked()
    daemon.sick()
    await asyncio.sleep(0.5)
    assert not verdict.done()
    assert daemon.has_ports() == "1.1.0"
    daemon.engine.come_up()
    assert (await ended(verdict)).now == OLD
    assert daemon.has_ports() == "1.0.0"


async def test_with_nothing_to_go_back_to_it_keeps_the_ports_and_says_so(daemon: Daemon) -> None:
    daemon.context.releases.mark("dns", OLD, Mark.BAD, "worse")
    trying = Trying(daemon)
    verdict = await trying.begin()
    await trying.asked()
    daemon.sick()
    found = await ended(verdict)
    assert "It keeps the ports: There is no version of dns to go back to" in found.reason
    assert (found.now, daemon.has_ports()) == (NEW, "1.1.0")


async def test_a_second_trial_of_it_ends_the_first(daemon: Daemon) -> None:
    first = await Trying(daemon).begin()
    second = await Trying(daemon).begin(0.2)
    assert (await ended(first)).reason == "was deployed anew"
    assert (await ended(second)).reason == ""
    assert not daemon.context.journal.pending()


# -- deploys -------------------------------------------------------------------------------


class Deploying:
    def __init__(self, daemon: Daemon, version: str = "1.1.0", watch: float = 30) -> None:
        self.abort: asyncio.Future[Actor] = asyncio.get_running_loop().create_future()
        self.events: list[Json] = []
        asked = Asked(itself(), abort=self.abort)
        self.task = asyncio.create_task(
            deploy(daemon.context, f"dns@{version}", asked, self.hear, watch=watch)
        )
        self.give_up_at = ("", "")

    def hear(self, event: Json) -> None:
        self.events.append(event)
        name = str(event.get("name", event["event"]))
        if (name, event.get("state", "")) == self.give_up_at and not self.abort.done():
            self.abort.set_result(Actor(0, "ann"))


@pytest.mark.parametrize(
    "moment",
    [
        (name, state)
        for name in ("await-ready", "record-routes", "switch", "clean-udp", "open-trial")
        for state in ("started", "done")
    ]
    + [("probe", "")],
)
async def test_given_up_at_any_moment_the_old_one_has_the_ports(
    daemon: Daemon, moment: tuple[str, str]
) -> None:
    deploying = Deploying(daemon)
    deploying.give_up_at = moment
    with pytest.raises(TrialFailed, match=r"given up by ann\.$"):
        await asyncio.wait_for(deploying.task, 20)
    assert daemon.has_ports() == "1.0.0"
    assert daemon.last("deploy").outcome is Outcome.FAILED
    assert not daemon.context.journal.pending()
    assert daemon.context.trials.get("dns") is None
    assert marked(daemon) is None
    former = {one.version for one in daemon.context.former.all("dns")}
    assert OLD not in former
    assert not daemon.context.switching_now


async def test_given_up_while_the_kernel_takes_it_the_kernel_has_the_old_one(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply = daemon.router.apply
    deploying = Deploying(daemon)

    async def slowly(wanted: object) -> object:
        done = await apply(wanted)  # type: ignore[arg-type]
        if not deploying.abort.done():
            deploying.abort.set_result(Actor(0, "ann"))
            await asyncio.sleep(0.1)
        return done

    monkeypatch.setattr(daemon.router, "apply", slowly)
    with pytest.raises(TrialFailed, match="given up by ann"):
        await asyncio.wait_for(deploying.task, 20)
    assert daemon.has_ports() == "1.0.0"


async def test_what_the_kernel_is_told_is_told_to_its_end() -> None:
    """An nft that goes on while what was written down is taken back would have the last word."""
    told: list[str] = []

    async def tell() -> None:
        await asyncio.sleep(0.05)
        told.append("all")

    task = asyncio.create_task(to_its_end(tell()))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert told == ["all"]


async def test_where_the_switch_fails_who_had_the_ports_is_as_before(daemon: Daemon) -> None:
    context = daemon.context
    since = datetime.now(UTC)
    there = Former("dns", NEW, since, None, drained=True)
    context.former.replace("dns", [there])
    daemon.router.fails = StepFailed("no")
    with pytest.raises(StepFailed):
        await Deploying(daemon).task
    assert context.former.all("dns") == [there]
    assert daemon.has_ports() == "1.0.0"
    assert not [one for one in context.journal.routed("dns") if one.verb == "deploy"]


async def test_nobody_is_stopped_between_the_switch_and_the_trial(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While UDP flows are moved, which takes a while."""
    context = daemon.context
    looked = asyncio.create_task(context.retirement.run())
    clean = daemon.router.clean_udp

    async def slowly(wanted: object) -> int:
        for _ in range(10):
            context.retirement.wake()
            await asyncio.sleep(0.02)
        return await clean(wanted)  # type: ignore[arg-type]

    monkeypatch.setattr(daemon.router, "clean_udp", slowly)
    deploying = Deploying(daemon, watch=0.2)
    spec = replace(daemon.release.spec, standby=replace(daemon.release.spec.standby, keep=0))
    monkeypatch.setattr(
        type(context), "in_force", lambda self, service: replace(daemon.release, spec=spec)
    )
    states: list[str] = []
    while not deploying.task.done():
        found = await daemon.engine.container(daemon.old.name)
        states.append(found.state if found else "gone")
        await asyncio.sleep(0.01)
    assert set(states) <= {"running"}
    async with asyncio.timeout(10):
        while states[-1] == "running":
            found = await daemon.engine.container(daemon.old.name)
            states.append(found.state if found else "gone")
            await asyncio.sleep(0.01)
    looked.cancel()


async def test_the_one_that_has_the_ports_already_and_is_given_up_keeps_them(
    daemon: Daemon,
) -> None:
    """Somebody had paused it, and a deploy of it wakes it: to give that up is no rollback."""
    await daemon.switch()
    daemon.context.journal.end(daemon.last("deploy").id, Outcome.DONE)
    await daemon.engine.pause(daemon.new.name)
    daemon.sick()
    deploying = Deploying(daemon)
    deploying.give_up_at = ("await-ready", "started")
    with pytest.raises(TrialFailed, match="given up by ann"):
        await asyncio.wait_for(deploying.task, 20)
    assert daemon.has_ports() == "1.1.0"
    found = await daemon.engine.container(daemon.new.name)
    assert found is not None
    assert found.running, "who has ports is not stopped"
