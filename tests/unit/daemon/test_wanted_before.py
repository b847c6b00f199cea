"""After any operation that failed, at any step, what is wanted is what was wanted before: at once,
and after a restart of the daemon. So are the routes, and what runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from alongside.daemon.context import Context
from alongside.daemon.executor import Executor
from alongside.daemon.images import save_image
from alongside.daemon.operations import Emit
from alongside.daemon.parts import attach
from alongside.daemon.paths import StatePaths
from alongside.daemon.reconciler import Reconciler
from alongside.daemon.retirement import itself
from alongside.daemon.verbs.activate import activate, deactivate, rollback
from alongside.daemon.verbs.assign import assign
from alongside.daemon.verbs.change import Asked
from alongside.daemon.verbs.deploy import deploy
from alongside.daemon.verbs.follow import follow
from alongside.daemon.verbs.stop import rm, stop
from alongside.daemon.verbs.up import up
from alongside.domain.errors import AlongsideError, StepFailed, Unavailable
from alongside.domain.history import Outcome
from alongside.domain.image_names import held_name
from alongside.domain.policy import StandbyAs, Watch
from alongside.domain.port import parse_port
from alongside.domain.route import Follows, Route, Split
from alongside.domain.service import Dependency, Ready, ReadyKind, Sharing, Workload
from alongside.domain.version import Version
from alongside.engine.fake import FakeCompose, FakeEngine
from alongside.engine.protocol import LABEL_SERVICE, LABEL_VERSION
from alongside.plan.gc import plan_remove
from alongside.plan.standby import plan_keep
from alongside.plan.steps import Plan
from alongside.router.fake import FakeRouter
from alongside.store.database import Database
from support.examples import POOL, release, service

COMPOSE = """\
services:
  dns:
    image: repo/dns:${tag:-latest}
    build: .
    ports: ["53/udp", "53/tcp"]
    depends_on: [cache]
  cache:
    image: cache
"""
OLD, OTHER, NEW = "dns@1.0.0", "dns@1.1.0", "dns@1.2.0"


@dataclass
class World:
    """1.0.0 has the ports, 1.1.0 had them before, 1.2.0 was never started."""

    context: Context
    engine: FakeEngine

    def wanted(self) -> dict[str, str]:
        instances = self.context.instances
        found = {str(one.version): instances.wanted(one) for one in instances.all()}
        return {version: how for version, how in found.items() if how != "stopped"}

    def routed(self) -> object:
        context = self.context
        return (context.routes.all(), context.assignments.all(), context.former.all())

    def alive(self) -> dict[str, str]:
        """What runs or is paused, by version."""
        return {
            one.labels[LABEL_VERSION]: one.state
            for one in self.engine.every()
            if one.state in ("running", "paused") and LABEL_VERSION in one.labels
        }

    async def restart(self) -> None:
        old = self.context
        for task in list(old.background):
            task.cancel()
        old.database.close()
        self.context = context = _context(old.paths, old.engine, old.compose, old.router)

        async def none() -> AsyncIterator[None]:
            return
            yield

        reconciler = Reconciler(context, none())
        reconciler.settle()
        await reconciler.restore()
        await reconciler._meet_engine()
        healing = context.healing
        for _ in range(5):  # what is needed first, and then what needs it
            await healing._look()
            tasks = [care.task for care in healing._cares.values() if care.task is not None]
            if all(task.done() for task in tasks):
                break
            await asyncio.gather(*tasks, return_exceptions=True)


def _context(paths: StatePaths, engine: object, compose: object, router: object) -> Context:
    return attach(
        Context(
            paths=paths,
            pool=POOL,
            database=Database(paths.database),
            engine=engine,  # type: ignore[arg-type]
            compose=compose,  # type: ignore[arg-type]
            router=router,  # type: ignore[arg-type]
            ipv6=False,
        )
    )


async def _world(tmp_path: Path, workload: Workload) -> World:
    paths = StatePaths(tmp_path)
    paths.make()
    engine = FakeEngine()
    compose = FakeCompose(engine)
    context = _context(paths, engine, compose, FakeRouter())
    engine.tag("cache", "cache")
    spec = replace(
        service(),
        workload=workload,
        ready=Ready(ReadyKind.EXEC, command=("ask",), timeout=0.3, interval=0.02),
        watch=Watch(length=30, every=0.02, failures=2, within=0.5),
        before=("migrate",),
        depends=(Dependency("cache", Sharing.SHARED),),
    )
    for day, reference in enumerate((OLD, OTHER, NEW)):
        version = reference.partition("@")[2]
        labels = {LABEL_SERVICE: "dns", LABEL_VERSION: version}
        image = engine.tag(f"repo/dns:{version}", version, labels)
        await engine.tag_image(image.id, held_name("dns", Version(version)))
        one = replace(release(reference, day=day, spec=spec), image_id=image.id)
        context.releases.add(one)
        file = context.paths.compose_file(one)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(COMPOSE)
    world = World(context, engine)
    for reference in (OTHER, OLD):
        await activate(context, reference, ASKED, silent, take=True)
    new = context.releases.get("dns", Version("1.2.0"))
    assert new is not None
    await save_image(context, new)
    await engine.remove_image(new.image_id)
    return world


def silent(_: object) -> None:
    pass


ASKED = Asked(itself())


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = await _world(tmp_path, Workload.SWITCHED)
    yield world
    await _close(world)


@pytest.fixture
async def job(tmp_path: Path) -> AsyncIterator[World]:
    world = await _world(tmp_path, Workload.SINGLETON)
    yield world
    await _close(world)


async def _close(world: World) -> None:
    await world.context.operations.cancel()
    await world.context.watcher.close()
    for task in list(world.context.background):
        task.cancel()
    world.context.database.close()


# -- how 1.1.0 is before the operation ---------------------------------------------------------


async def is_up(world: World) -> None:
    """It was left running by its switch."""
    assert world.wanted()["1.1.0"] == "running"


async def is_stopped(world: World) -> None:
    await stop(world.context, OTHER, ASKED, silent)


async def is_paused(world: World) -> None:
    instance = world.context.instances.get("dns", Version("1.1.0"))
    assert instance is not None
    world.context.instances.want(instance, "paused")
    await world.engine.pause(instance.name)


async def has_crashed(world: World) -> None:
    world.engine.end("dns-1.1.0", 3)


async def follows(world: World) -> None:
    """A port of 1.0.0's follows a range that 1.2.0 matches best."""
    routes = world.context.routes
    range_ = Follows("^1", 53)
    further = Route(parse_port("5353/udp"), "dns", Split.all_to(Version("1.0.0")), range_)
    routes.replace("dns", [*routes.all(), further])
    await world.context.commit()


# -- the verbs ---------------------------------------------------------------------------------

Verb = Callable[[Context], Awaitable[object]]


def _run(plan: Callable[[Context], Awaitable[Plan]]) -> Verb:
    async def run(context: Context) -> None:
        await Executor(context).run(await plan(context), itself(), "", silent)

    return run


async def _kept(context: Context, how: StandbyAs | None) -> Plan:
    one = context.releases.get("dns", Version("1.1.0"))
    assert one is not None
    return plan_keep(one, how, await context.observe("dns", [one]))


async def _gone(context: Context) -> Plan:
    one = context.releases.get("dns", Version("1.1.0"))
    assert one is not None
    return plan_remove(one, await context.observe("dns", [one]), volumes=False)


async def _follow(context: Context) -> None:
    """It tells what failed, and raises nothing."""
    said = await follow(context, "dns", silent)
    raise StepFailed(" ".join(said))


VERBS: dict[str, Verb] = {
    "up new": lambda c: up(c, NEW, ASKED, silent),
    "up": lambda c: up(c, OTHER, ASKED, silent),
    "activate new": lambda c: activate(c, NEW, ASKED, silent, take=True),
    "activate": lambda c: activate(c, OTHER, ASKED, silent, take=True),
    "deploy new": lambda c: deploy(c, NEW, ASKED, silent, take=True),
    "deploy": lambda c: deploy(c, OTHER, ASKED, silent, take=True),
    "rollback": lambda c: rollback(c, "dns", ASKED, silent),
    "deactivate": lambda c: deactivate(c, "dns", ASKED, silent),
    "stop": lambda c: stop(c, OTHER, ASKED, silent),
    "rm": lambda c: rm(c, OTHER, ASKED, silent, force=True, volumes=False),
    "rm new": lambda c: rm(c, NEW, ASKED, silent, force=True, volumes=False),
    "gc": _run(_gone),
    "follow": _follow,
    "assign": lambda c: assign(c, ["80:50080/tcp"], ASKED, silent, take=True),
    "paused": _run(lambda c: _kept(c, StandbyAs.PAUSED)),
    "running": _run(lambda c: _kept(c, StandbyAs.RUNNING)),
    "not kept": _run(lambda c: _kept(c, None)),
}
NEW_ONE = ("allocate", "load-image", "start-shared", "start", "await-ready")
FOR_PORTS = ("allocate", "load-image", "start-shared", "run-before", "start", "await-ready")
SWITCH = ("record-routes", "switch")
CASES: list[tuple[Callable[[World], Awaitable[None]], str, Iterable[str]]] = [
    (is_up, "up new", NEW_ONE),
    (is_up, "activate new", (*FOR_PORTS, *SWITCH)),
    (is_up, "deploy new", (*FOR_PORTS, *SWITCH)),
    (is_up, "activate", ("await-ready", *SWITCH)),
    (is_up, "deactivate", SWITCH),
    (is_up, "stop", ("stop",)),
    (is_up, "rm", ("remove", "forget", "switch")),
    (is_up, "paused", ("await-ready", "pause")),
    (is_up, "not kept", ("stop",)),
    (is_up, "assign", ("record-assignments", "switch")),
    (is_stopped, "up", ("start-shared", "start", "await-ready")),
    (is_stopped, "activate", ("start-shared", "start", "await-ready", *SWITCH)),
    (is_stopped, "deploy", ("start-shared", "start", "await-ready", *SWITCH)),
    (is_stopped, "rollback", ("start-shared", "start", "await-ready", *SWITCH)),
    (is_stopped, "rm", ("remove", "forget", "switch")),
    (is_stopped, "gc", ("remove", "forget", "switch")),
    (is_paused, "up", ("wake", "await-ready")),
    (is_paused, "rollback", ("wake", "await-ready", *SWITCH)),
    (is_paused, "running", ("wake", "await-ready")),
    (is_paused, "stop", ("stop",)),
    (is_paused, "not kept", ("stop",)),
    (has_crashed, "up", ("start-shared", "start", "await-ready")),
    (has_crashed, "activate", ("start-shared", "start", "await-ready", *SWITCH)),
    (follows, "follow", (*FOR_PORTS, *SWITCH)),
]


class Fails:
    """A step fails, before what it does or after it."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, name: str, moment: str, error: Exception
    ) -> None:
        self.fired = False
        step = Executor._step

        async def failing(
            executor: Executor, operation: int, plan: Plan, position: int, emit: Emit
        ) -> None:
            this = plan.steps[position - 1].name == name and not self.fired
            self.fired |= this
            if this and moment == "before":
                raise error
            await step(executor, operation, plan, position, emit)
            if this:
                raise error

        monkeypatch.setattr(Executor, "_step", failing)


def moments(steps: Iterable[str]) -> list[tuple[str, str, Exception]]:
    """Each step fails before what it does and after it, as was foreseen and as was not."""
    return [
        one
        for step in steps
        for one in (
            (step, "before", StepFailed("no such luck")),
            (step, "after", RuntimeError("no such luck")),
        )
    ]


@pytest.mark.parametrize(
    ("before", "verb", "steps"), CASES, ids=[f"{one[0].__name__}-{one[1]}" for one in CASES]
)
async def test_what_is_wanted_is_what_was_wanted_before(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    before: Callable[[World], Awaitable[None]],
    verb: str,
    steps: Iterable[str],
) -> None:
    """Everything is as it was, so one step after the other can fail in the same world."""
    await before(world)
    wanted, routed = world.wanted(), world.routed()
    for step, moment, error in moments(steps):
        if (step, moment) == ("switch", "after"):
            continue  # that is the new state
        where, alive = f"{step}:{moment}", world.alive()
        with monkeypatch.context() as patch:
            fails = Fails(patch, step, moment, error)
            with pytest.raises(type(error), match="no such luck"):
                await VERBS[verb](world.context)
        assert fails.fired, where
        assert (world.wanted(), world.routed()) == (wanted, routed), where
        if verb != "rm" and before is not has_crashed:
            assert world.alive() == alive, where
        failed = world.context.journal.entries()[-1]
        assert failed.outcome is Outcome.FAILED, where
        assert "no such luck" in failed.detail
        assert not world.context.wanted_before.all()
        assert not world.context.switching_now
        if verb == "follow":
            continue  # a daemon that starts tries it again by itself
        await world.restart()
        assert (world.wanted(), world.routed()) == (wanted, routed), where
        assert world.alive() == wanted, f"{where}: what is wanted runs, and nothing else"
        if before is has_crashed:
            await has_crashed(world)


@pytest.mark.parametrize(
    ("verb", "steps"),
    [
        (
            "activate new",
            (
                *("allocate", "run-before", "prepare-singleton", "record-singleton"),
                *("switch", "replace-singleton", "await-ready"),
            ),
        ),
        ("deactivate", ("record-singleton", "switch", "replace-singleton")),
    ],
)
async def test_so_it_is_with_a_singleton(
    job: World, monkeypatch: pytest.MonkeyPatch, verb: str, steps: Iterable[str]
) -> None:
    wanted, routed = job.wanted(), job.routed()
    assert job.alive() == wanted == {"1.0.0": "running"}
    for step, moment, error in moments(steps)[:-1]:  # what comes after that is the new state
        with monkeypatch.context() as patch:
            fails = Fails(patch, step, moment, error)
            with pytest.raises(type(error), match="no such luck"):
                await VERBS[verb](job.context)
        assert fails.fired, (step, moment)
        for _ in range(2):
            assert (job.wanted(), job.routed(), job.alive()) == (wanted, routed, wanted)
            await job.restart()


@pytest.mark.parametrize("step", ["start", "await-ready", "record-routes"])
async def test_so_it_is_where_the_operation_is_cancelled(
    world: World, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """As when the daemon stops, or a deploy is given up."""
    wanted, routed, alive = world.wanted(), world.routed(), world.alive()
    Fails(monkeypatch, step, "after", asyncio.CancelledError("enough"))  # type: ignore[arg-type]
    with pytest.raises(asyncio.CancelledError):
        await VERBS["activate new"](world.context)
    assert (world.wanted(), world.routed(), world.alive()) == (wanted, routed, alive)
    await world.restart()
    assert (world.wanted(), world.routed(), world.alive()) == (wanted, routed, alive)


async def test_a_replacement_that_was_cut_off_and_cannot_be_finished_is_taken_back(
    job: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new one cannot be started, so the old one is wanted and runs again."""
    wanted, routed = job.wanted(), job.routed()
    await _killed(job, monkeypatch, "activate new", "replace-singleton", "before")
    start = job.engine.start

    async def refuse(name: str) -> None:
        found = await job.engine.container(name)
        if found is not None and found.labels[LABEL_VERSION] == "1.2.0":
            raise StepFailed("The engine did not start it.")
        await start(name)

    monkeypatch.setattr(job.engine, "start", refuse)
    await job.restart()
    assert (job.wanted(), job.routed(), job.alive()) == (wanted, routed, wanted)
    failed = job.context.journal.entries()[-1]
    assert failed.outcome is Outcome.FAILED
    assert "did not start it" in failed.detail


# -- the engine goes away as well --------------------------------------------------------------


async def test_what_could_not_be_stopped_is_stopped_when_the_engine_is_met(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error tells both, the first one first."""
    engine, alive = world.engine, world.alive()
    real = engine.stop

    async def away(name: str, timeout: int = 10) -> None:
        raise Unavailable("The engine is away.")

    monkeypatch.setattr(engine, "stop", away)
    engine.execs["dns-1.2.0"] = (1, "no zone")
    with pytest.raises(AlongsideError, match=r"did not become ready.*The engine is away") as failed:
        await VERBS["up new"](world.context)
    assert failed.value.code == "not-ready"
    assert "The engine is away" in world.context.journal.entries()[-1].detail
    assert world.alive() == {**alive, "1.2.0": "running"}
    assert "1.2.0" not in world.wanted()
    monkeypatch.setattr(engine, "stop", real)
    await world.restart()
    assert world.alive() == alive
    assert not world.context.wanted_before.all()


async def test_a_later_operation_has_the_last_word(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a failed one has left to be stopped is started by the next."""
    engine = world.engine
    with monkeypatch.context() as patch:

        async def away(name: str, timeout: int = 10) -> None:
            raise Unavailable("The engine is away.")

        patch.setattr(engine, "stop", away)
        engine.execs["dns-1.2.0"] = (1, "no zone")
        with pytest.raises(AlongsideError):
            await VERBS["up new"](world.context)
    del engine.execs["dns-1.2.0"]
    await stop(world.context, NEW, ASKED, silent)
    await up(world.context, NEW, ASKED, silent)
    await world.restart()
    assert world.alive()["1.2.0"] == world.wanted()["1.2.0"] == "running"


async def test_the_first_error_is_told_though_nothing_can_be_taken_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = world.context
    replace_routes = context.routes.replace

    def fail_back(name: str, routes: Iterable[Route]) -> None:
        routes = list(routes)
        if routes and routes[0].split.versions == (Version("1.0.0"),):
            context.router.fails = StepFailed("The third.")  # type: ignore[attr-defined]
            raise StepFailed("The second.")
        replace_routes(name, routes)

    monkeypatch.setattr(context.routes, "replace", fail_back)
    Fails(monkeypatch, "record-routes", "after", StepFailed("The first."))
    with pytest.raises(StepFailed, match=r"^The first\. The second\. The third\.$") as failed:
        await VERBS["activate"](context)
    assert "the ports are as it says" in failed.value.hint
    assert context.journal.entries()[-1].detail == "The first. The second. The third."


# -- the daemon dies ---------------------------------------------------------------------------


class Dies(BaseException):
    """Nothing after it is carried out, as after SIGKILL."""


@pytest.mark.parametrize(
    ("before", "verb", "steps"),
    [
        (is_up, "activate new", FOR_PORTS),
        (is_up, "deploy new", FOR_PORTS),
        (is_paused, "rollback", ("wake", "await-ready")),
        (is_stopped, "rollback", ("start", "await-ready")),
    ],
)
async def test_killed_on_the_way_to_the_ports_it_is_as_it_was(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    before: Callable[[World], Awaitable[None]],
    verb: str,
    steps: Iterable[str],
) -> None:
    await before(world)
    wanted, routed, alive = world.wanted(), world.routed(), world.alive()
    for step, moment, _ in moments(steps):
        await _killed(world, monkeypatch, verb, step, moment)
        await world.restart()
        now = (world.wanted(), world.routed(), world.alive())
        assert now == (wanted, routed, alive), (step, moment)
        assert world.context.journal.entries()[-1].outcome is Outcome.INTERRUPTED
        assert not world.context.wanted_before.all()


@pytest.mark.parametrize(
    ("before", "verb", "steps", "after"),
    [
        (is_up, "up new", ("allocate", "start-shared", "start", "await-ready"), "rm new"),
        (is_stopped, "up", ("start", "await-ready"), "stop"),
        (is_up, "stop", ("stop",), "up"),
        (is_up, "rm", ("remove", "forget", "switch"), "up"),
        (is_up, "paused", ("await-ready", "pause"), "up"),
    ],
)
async def test_killed_while_it_changes_what_runs_it_is_as_it_was_or_as_was_asked_for(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    before: Callable[[World], Awaitable[None]],
    verb: str,
    steps: Iterable[str],
    after: str,
) -> None:
    await before(world)
    old = world.wanted()
    new = {
        "up new": old | {"1.2.0": "running"},
        "up": old | {"1.1.0": "running"},
        "paused": old | {"1.1.0": "paused"},
    }.get(verb, {version: how for version, how in old.items() if version != "1.1.0"})
    for step, moment, _ in moments(steps):
        if (step, moment) == ("switch", "after"):
            continue  # it is done, but for the word of it
        await _killed(world, monkeypatch, verb, step, moment)
        await world.restart()
        assert world.wanted() in (old, new), (step, moment)
        assert world.alive() == world.wanted(), f"{step}:{moment}: and nothing between"
        assert not world.context.wanted_before.all()
        await VERBS[after](world.context)
        assert world.wanted() == old


async def _killed(
    world: World, monkeypatch: pytest.MonkeyPatch, verb: str, step: str, moment: str
) -> None:
    async def nothing(*_: object) -> None:
        raise Dies

    with monkeypatch.context() as patch:
        fails = Fails(patch, step, moment, Dies())  # type: ignore[arg-type]
        patch.setattr(Executor, "_take_all_back", nothing)
        with pytest.raises(Dies):
            await VERBS[verb](world.context)
        assert fails.fired
    assert world.context.journal.pending()
