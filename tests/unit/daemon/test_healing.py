"""What is to run is brought back, whatever ended it; and what is not, is not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta

import pytest

from alongside.daemon import care as module
from alongside.daemon import healing
from alongside.daemon.healing import Healing
from alongside.daemon.reconciler import Reconciler
from alongside.daemon.retirement import itself
from alongside.daemon.verbs.change import Asked
from alongside.daemon.verbs.stop import stop
from alongside.domain.backoff import Backoff
from alongside.domain.deployment import Trial
from alongside.domain.errors import StepFailed
from alongside.domain.instance import Instance
from alongside.domain.service import Dependency, Sharing
from alongside.domain.version import Version
from alongside.engine.fake import FakeCompose, FakeEngine, Script
from alongside.engine.protocol import Project
from alongside.plan.activate import plan_activate
from alongside.plan.steps import Start, StartShared
from alongside.plan.up import plan_up

from .conftest import Daemon

COMPOSE = """\
services:
  dns:
    image: repo/dns:${tag:-latest}
    build: .
    ports: ["53/udp", "53/tcp"]
    depends_on: {DEPENDS}
  db:
    image: base:1
    depends_on:
      migrate: {condition: service_completed_successfully}
  cache: {image: base:1}
  migrate: {image: base:1}
"""
BACKOFF = Backoff(first=0.1, longest=0.8)


@pytest.fixture
def depends() -> tuple[Dependency, ...]:
    return (Dependency("db", Sharing.SHARED), Dependency("cache", Sharing.OWN))


@pytest.fixture
async def healed(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Daemon]:
    """dns@1.0.0 and dns@1.1.0 are to run, need a shared db and a cache of their own, and were
    brought up by this very thing: nothing of them was there."""
    monkeypatch.setattr(module, "BY_HAND", 0.1)
    monkeypatch.setattr(healing, "TOGETHER", 0.0)
    context, engine = daemon.context, daemon.engine
    for version in ("1.0.0", "1.1.0"):
        found = context.releases.get("dns", Version(version))
        assert found is not None
        path = context.paths.compose_file(found)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(COMPOSE.replace("{DEPENDS}", "[db, cache]"))
    engine.tag("base:1", "base")
    engine.scripts["app-shared-migrate-1"] = Script(exit_code=0)
    for one in (daemon.old, daemon.new):
        await engine.remove(one.name)
        engine.remove_network(one.network)
    context.healing = Healing(context, BACKOFF)
    tasks = follow(daemon)
    await settled(daemon)
    yield daemon
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def follow(daemon: Daemon) -> list[asyncio.Task[None]]:
    async def silent() -> AsyncIterator[None]:
        await asyncio.Event().wait()
        yield

    reconciler = Reconciler(daemon.context, silent())
    work = (reconciler._follow_engine(), daemon.context.healing.run())
    return [asyncio.create_task(one) for one in work]


async def until(question: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not question():  # noqa: ASYNC110 - of many things, of which few tell
            await asyncio.sleep(0.01)


def runs(daemon: Daemon, name: str) -> bool:
    return any(one.name == name and one.running for one in daemon.engine.every())


def well(daemon: Daemon, one: Instance) -> bool:
    found = next((each for each in daemon.engine.every() if each.name == one.name), None)
    return (
        found is not None
        and found.running
        and found.ipv4.get(one.network) == one.subnet.address4
        and not daemon.context.problems
    )


async def settled(daemon: Daemon) -> None:
    await until(lambda: well(daemon, daemon.old) and well(daemon, daemon.new))
    await until(lambda: runs(daemon, "app-shared-db-1") and runs(daemon, own(daemon)))


def own(daemon: Daemon) -> str:
    return f"{daemon.old.project}-cache-1"


def starts(daemon: Daemon, name: str) -> int:
    events = [(one.name, one.action) for one in daemon.engine._events]
    return events.count((name, "start"))


async def a_while(seconds: float = 0.3) -> None:
    """Long enough for what would happen at once to have happened."""
    await asyncio.sleep(seconds)


async def lose_network(daemon: Daemon) -> None:
    one = daemon.old
    daemon.engine.disconnect(one.network, one.name)
    await daemon.engine.remove(own(daemon))
    daemon.engine.remove_network(one.network)


async def prune(daemon: Daemon) -> None:
    """Within one breath: nobody has started it between."""
    one = daemon.old
    daemon.engine.end(own(daemon), 0)
    daemon.engine.end(one.name, 0)
    daemon.engine.remove_network(one.network)


FAULTS = {
    "crashed": lambda d: d.engine.end(d.old.name, 3),
    "out of memory": lambda d: d.engine.oom(d.old.name),
    "stopped": lambda d: d.engine.stop(d.old.name),
    "removed": lambda d: d.engine.remove(d.old.name),
    "paused": lambda d: d.engine.pause(d.old.name),
    "network removed": lose_network,
    "stopped and pruned": prune,
    "disconnected": lambda d: d.engine.disconnect(d.old.network, d.old.name),
    "own dependency ended": lambda d: d.engine.end(own(d), 1),
    "own dependency removed": lambda d: d.engine.remove(own(d)),
    "shared dependency ended": lambda d: d.engine.end("app-shared-db-1", 1),
    "shared dependency paused": lambda d: d.engine.pause("app-shared-db-1"),
    "shared dependency removed": lambda d: d.engine.remove("app-shared-db-1"),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_it_is_brought_back(healed: Daemon, fault: str) -> None:
    done = FAULTS[fault](healed)
    if done is not None:
        await done
    async with asyncio.timeout(5):  # of nothing but the work itself
        await settled(healed)
    assert healed.has_ports() == "1.0.0"


async def test_what_is_to_be_stopped_stays_down(healed: Daemon) -> None:
    context, new = healed.context, healed.new
    async with context.locks["dns@1.1.0"]:
        context.instances.want(new, "stopped")
        await healed.engine.stop(new.name)
    await a_while()
    assert not runs(healed, new.name)
    assert not context.problems


async def test_stop_is_also_for_one_that_has_just_ended(healed: Daemon) -> None:
    context, new = healed.context, healed.new
    healed.engine.scripts[new.name] = Script(exit_code=7)
    healed.engine.end(new.name, 7)
    await until(lambda: "(try 4)" in context.problems.get(f"start {new.name}", ""))
    await stop(context, "dns@1.1.0", Asked(itself()), lambda _: None)
    await until(lambda: not context.problems)
    before = starts(healed, new.name)
    await a_while(1.0)
    assert starts(healed, new.name) == before


async def test_whoever_holds_the_lock_is_waited_for_and_what_is_wanted_is_read_again(
    healed: Daemon,
) -> None:
    context, new = healed.context, healed.new
    async with context.locks["dns@1.1.0"]:
        healed.engine.end(new.name, 1)
        await a_while()
        assert not runs(healed, new.name)
        assert not context.problems, "an operation is at it"
        context.instances.want(new, "stopped")
    await a_while()
    assert not runs(healed, new.name)


async def test_one_that_ends_again_and_again_is_started_at_growing_intervals(
    healed: Daemon,
) -> None:
    context, engine, new = healed.context, healed.engine, healed.new
    before = starts(healed, new.name)
    engine.scripts[new.name] = Script(exit_code=7)
    engine.end(new.name, 7)
    await until(lambda: starts(healed, new.name) >= before + 4)
    # Tried at once, then after 0.1, 0.2, 0.4 and 0.8 s: not more often, whatever is heard.
    await a_while(0.6)
    assert starts(healed, new.name) <= before + 5
    said = context.problems[f"start {new.name}"]
    assert said.startswith("dns-1.1.0, which should be running, has exited with code 7.")
    assert "It is started again in 1 s (try " in said
    assert well_known(healed, healed.old), "and it hides no other"
    # When it holds, it is said until it has held for a while.
    engine.scripts[new.name] = Script()
    await until(lambda: runs(healed, new.name))
    await until(lambda: not context.problems)
    engine.end(new.name, 7)
    async with asyncio.timeout(0.7):
        await until(lambda: runs(healed, new.name))


def well_known(daemon: Daemon, one: Instance) -> bool:
    return runs(daemon, one.name)


async def test_one_that_a_person_removes_is_started_at_once(healed: Daemon) -> None:
    """However often it had ended before: it may be well by now."""
    context, engine, new = healed.context, healed.engine, healed.new
    context.healing._backoff = Backoff(first=0.1, longest=600.0)
    context.healing._cares.clear()
    engine.scripts[new.name] = Script(exit_code=7)
    engine.end(new.name, 7)
    await until(lambda: "(try 5)" in context.problems.get(f"start {new.name}", ""))
    engine.scripts[new.name] = Script()
    await engine.remove(new.name)
    async with asyncio.timeout(0.7):
        await until(lambda: well(healed, new))


async def test_one_that_cannot_be_started_is_said_and_tried_again(
    healed: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, old = healed.context, healed.old
    tries = []

    async def no(_: object, project: Project, services: list[str]) -> None:
        tries.append(project.name)
        raise StepFailed("Compose could not start dns: no.")

    with monkeypatch.context() as patch:
        patch.setattr(FakeCompose, "up", no)
        await healed.engine.remove(old.name)
        await until(lambda: len(tries) > 2)
        said = context.problems[f"start {old.name}"]
        assert said.startswith("dns-1.0.0 could not be started: Compose could not start dns: no.")
        assert "It is " in said.removeprefix("dns-1.0.0")  # being started, or started in a second
    await settled(healed)


async def test_a_slow_one_holds_up_no_other(
    healed: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new, up = healed.old, healed.new, FakeCompose.up
    hung = asyncio.Event()

    async def slow(self: FakeCompose, project: Project, services: list[str]) -> None:
        if project.name == old.project:
            hung.set()
            await asyncio.Event().wait()
        await up(self, project, services)

    monkeypatch.setattr(FakeCompose, "up", slow)
    await healed.engine.remove(old.name)
    await hung.wait()
    await healed.engine.remove(new.name)
    await until(lambda: runs(healed, new.name))
    assert not runs(healed, old.name)


async def test_one_on_trial_is_left_to_its_trial_but_not_what_it_needs(healed: Daemon) -> None:
    context, new = healed.context, healed.new
    now = datetime.now(UTC)
    number = await healed.switch()
    context.trials.open(Trial("dns", new.version, number, now, now + timedelta(seconds=60)))
    healed.engine.end(new.name, 1)
    healed.engine.end("app-shared-db-1", 1)
    await until(lambda: runs(healed, "app-shared-db-1"))
    await a_while()
    assert not runs(healed, new.name)
    # An engine that was away has ended it, and that is no fault of the version's.
    healed.engine.go_down()
    await until(lambda: "engine" in context.problems)
    healed.engine.come_up()
    await until(lambda: runs(healed, new.name))


async def test_one_that_is_bad_and_has_lost_the_ports_is_not_brought_back(healed: Daemon) -> None:
    """What a trial has come to is not undone while the version is being retired."""
    from alongside.domain.deployment import Former, Mark

    context, new = healed.context, healed.new
    context.releases.mark("dns", new.version, Mark.BAD, "ended with exit code 1")
    context.former.replace("dns", [Former("dns", new.version, datetime.now(UTC), None)])
    healed.engine.end(new.name, 1)
    await a_while()
    assert not runs(healed, new.name)


async def test_a_paused_standby_is_kept_paused(healed: Daemon) -> None:
    context, engine, new = healed.context, healed.engine, healed.new

    def paused() -> bool:
        found = [one for one in engine.every() if one.name == new.name]
        return found[0].state == "paused" and not context.problems

    async with context.locks["dns@1.1.0"]:
        context.instances.want(new, "paused")
        await engine.pause(new.name)
    await a_while()
    assert paused(), "it is as it should be"
    await engine.start(new.name)
    await until(paused)
    engine.end(new.name, 137)
    await until(paused)


async def test_the_engine_restarts_what_it_is_to_restart(healed: Daemon) -> None:
    context, engine, new = healed.context, healed.engine, healed.new
    before = starts(healed, new.name)
    for _ in range(3):
        engine.crash(new.name, 1)
        await asyncio.sleep(0.02)
    await until(lambda: f"start {new.name}" in context.problems)
    assert "is restarted again and again by the engine" in context.problems[f"start {new.name}"]
    assert starts(healed, new.name) == before + 3, "each of them its own"
    await until(lambda: not context.problems)


async def test_a_stranger_at_its_address_is_never_reached(healed: Daemon) -> None:
    context, engine, old = healed.context, healed.engine, healed.old
    engine.create("stranger", "base:1")
    await engine.start("stranger")
    async with context.locks["dns@1.0.0"]:  # or it would be back before anybody is there
        engine.end(old.name, 1)
        engine.connect(old.network, "stranger", old.subnet.address4)
        await until(lambda: bool(context.astray))
    await until(lambda: "stranger" in context.problems.get(f"start {old.name}", ""))
    assert f"docker network disconnect {old.network} stranger" in str(context.problems)
    assert healed.router.kernel.table is not None
    assert f"dnat ip to {old.subnet.address4}" not in str(healed.router.kernel.table.listing())
    engine.disconnect(old.network, "stranger")
    await settled(healed)
    assert healed.has_ports() == "1.0.0"
    assert not context.astray


async def test_a_job_that_is_done_is_not_done_again(healed: Daemon) -> None:
    """migrate has exited with code 0, as what depends on it says it should; of the cache nothing
    says so, and it has ended by itself, well, and soon."""
    before = starts(healed, "app-shared-migrate-1")
    healed.engine.end(own(healed), 0)
    await a_while()
    assert starts(healed, "app-shared-migrate-1") == before
    assert not runs(healed, own(healed))
    assert not healed.context.problems
    healed.engine.end("app-shared-db-1", 0)  # it too has just been started
    await a_while()
    assert not healed.context.problems
    await healed.engine.remove("app-shared-db-1")
    await until(lambda: runs(healed, "app-shared-db-1"))


async def test_who_needs_what_is_down_is_said(healed: Daemon) -> None:
    healed.engine.scripts["app-shared-db-1"] = Script(exit_code=1)
    healed.engine.end("app-shared-db-1", 1)
    about = "start app-shared/db"
    await until(lambda: "started again in" in healed.context.problems.get(about, ""))
    said = healed.context.problems[about]
    assert said.startswith(
        "db, which dns@1.0.0 and dns@1.1.0 need, has exited with code 1. It is started again in "
    )


async def test_the_engine_is_no_problem_any_more_as_soon_as_it_answers(
    healed: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = healed.context
    healed.engine.go_down()
    await until(lambda: "engine" in context.problems)

    async def hang(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(FakeEngine, "start", hang)
    healed.engine.come_up()
    await until(lambda: "engine" not in context.problems)
    assert not runs(healed, healed.old.name)


async def test_a_plan_looks_before_it_says_already(healed: Daemon) -> None:
    context, engine, old = healed.context, healed.engine, healed.old
    release = context.releases.get("dns", old.version)
    assert release is not None

    async def steps() -> list[type]:
        plan = plan_activate("dns", old.version, await context.observe("dns", [release]))
        up = plan_up("dns", old.version, await context.observe("dns", [release]))
        assert [type(one) for one in plan.steps][: len(up.steps)] == [
            type(one) for one in up.steps
        ] or not plan.steps
        return [type(one) for one in plan.steps]

    assert await steps() == []
    async with context.locks["dns@1.0.0"]:
        engine.disconnect(old.network, old.name)
        assert Start in await steps()
    await settled(healed)
    async with context.locks["project app-shared"]:
        engine.end("app-shared-db-1", 1)
        assert StartShared in await steps()
    await settled(healed)
    assert await steps() == []
