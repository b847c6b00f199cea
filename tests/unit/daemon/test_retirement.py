"""Who had the ports: no drain waits for another, nor for what is kept or stopped."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from alongside.daemon import executor, retirement, supervise
from alongside.daemon.left import Left
from alongside.domain.backoff import Backoff
from alongside.domain.deployment import Former
from alongside.domain.errors import StepFailed, Unavailable
from alongside.domain.history import Outcome
from alongside.domain.instance import Instance
from alongside.domain.policy import Standby, StandbyAs
from alongside.domain.port import Protocol
from alongside.domain.service import Ready, ReadyKind
from alongside.domain.version import Version
from alongside.engine.protocol import LABEL_ORDINAL, LABEL_SERVICE, LABEL_VERSION, Container
from alongside.plan.addresses import allocate
from alongside.router.protocol import Connections, FarEnd
from support.examples import release, routes, service

from .conftest import Daemon

PIDS = {"a-1.0.0": 1_000_000_001, "b-1.0.0": 1_000_000_002}  # the fake's have none
OLD, NEW = Version("1.0.0"), Version("1.1.0")


@dataclass
class Host:
    """Services of two versions each, of which the second has the ports; `left` says how many
    connections the first one has, by service."""

    daemon: Daemon
    left: dict[str, int]
    olds: dict[str, Instance]
    cuts: list[tuple[str, float]]  # which instance, and how late

    def leave(self, name: str, seconds: float | None, *, drained: bool = False) -> None:
        """The first version has left the ports, and drains for so long."""
        now = datetime.now(UTC)
        deadline = None if seconds is None else now + timedelta(seconds=seconds)
        self.daemon.context.former.replace(name, [Former(name, OLD, now, deadline, drained)])
        self.daemon.context.retirement.wake()

    def drained(self, name: str) -> bool:
        found = self.daemon.context.former.get(name, OLD)
        return found is None or found.drained

    async def state(self, name: str) -> str:
        found = await self.daemon.engine.container(self.olds[name].name)
        return found.state if found else "none"


@pytest.fixture
async def host(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Host]:
    monkeypatch.setattr(supervise, "WELL", 0.05)
    monkeypatch.setattr(supervise, "Backoff", lambda: Backoff(first=0.02, longest=0.05))
    context, engine = daemon.context, daemon.engine
    host = Host(daemon, {}, {}, [])
    common = replace(
        service(),
        ready=Ready(ReadyKind.EXEC, command=("ask",), timeout=30.0, interval=0.02),
        standby=Standby(keep=1, kept_as=StandbyAs.PAUSED),
    )
    for name, port in (("a", "1001/tcp"), ("b", "1002/tcp")):
        spec = replace(common, name=name, ports=service(name, (port,)).ports)
        for day, version in enumerate((OLD, NEW)):
            labels = {LABEL_SERVICE: name, LABEL_VERSION: str(version), LABEL_ORDINAL: "1"}
            image = engine.tag(f"repo/{name}:{version}", f"{name}{version}", labels)
            one = release(f"{name}@{version}", day=day, spec=spec)
            one = replace(one, image_id=image.id)
            context.releases.add(one)
            instance = allocate(one, await context.observe(name, [one]))
            context.instances.add(instance)
            context.instances.want(instance, "running")
            engine.create(instance.name, image.id, labels=labels)
            await engine.start(instance.name)
            if version == OLD:
                host.olds[name] = instance
            journal = context.journal
            number = journal.begin(
                "activate", name, retirement.itself(), before="", after=str(version), message=""
            )
            context.routes.replace(name, routes(name, str(version), (port,)))
            journal.mark_routed(number, True)
            journal.end(number, Outcome.DONE)

    async def connections(
        far_ends: dict[object, list[FarEnd]],
    ) -> dict[object, Connections]:
        await asyncio.sleep(0)
        found: dict[object, Connections] = {}
        for key, ends in far_ends.items():
            addresses = {address for end in ends for address in end.addresses}
            count = sum(
                host.left.get(name, 0)
                for name, instance in host.olds.items()
                if instance.subnet.address4 in addresses
            )
            found[key] = Connections(count, 0)
        return found

    container = engine.container

    async def with_pid(name: str) -> Container | None:
        found = await container(name)
        return found and replace(found, pid=PIDS.get(name, 0))

    async def cut(pid: int, ports: set[tuple[Protocol, int]]) -> int:
        name = next(one for one in host.olds if PIDS[host.olds[one].name] == pid)
        former = context.former.get(name, OLD)
        assert former is not None and former.deadline is not None
        host.cuts.append((name, (datetime.now(UTC) - former.deadline).total_seconds()))
        cut_off, host.left[name] = host.left.get(name, 0), 0
        return cut_off

    monkeypatch.setattr(daemon.router, "connections", connections)
    monkeypatch.setattr(retirement, "cut", cut)
    monkeypatch.setattr(engine, "container", with_pid)
    monkeypatch.setattr(executor, "settled6", usable)
    monkeypatch.setattr(executor, "PUT_BACK", 0.1)
    running = asyncio.create_task(context.supervisor.run([]))
    await asyncio.sleep(0)
    looking = asyncio.create_task(context.retirement.run())
    yield host
    for task in (looking, running):
        task.cancel()
    await asyncio.gather(looking, running, return_exceptions=True)


async def usable(_: int) -> bool:
    return True


async def until(holds: Callable[[], object], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - it is not told
            await asyncio.sleep(0.005)


async def paused(host: Host, name: str) -> None:
    async with asyncio.timeout(30):
        while await host.state(name) != "paused":  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_it_drains_and_is_kept(host: Host) -> None:
    host.left["a"] = 2
    host.leave("a", None)
    await asyncio.sleep(0.1)
    assert not host.drained("a")
    assert await host.state("a") == "running"
    host.left["a"] = 0
    host.daemon.context.retirement.wake()
    await until(lambda: host.drained("a"))
    await paused(host, "a")
    assert not host.cuts
    assert not host.daemon.context.problems


async def hang(*_: object, **__: object) -> None:
    await asyncio.Event().wait()


async def test_a_deadline_is_kept_while_others_hang(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The standby of b is not ready for a long while, one drain of it waits for the engine."""
    engine = host.daemon.engine
    engine.execs[host.olds["b"].name] = (1, "not yet")
    host.leave("b", None)
    await until(lambda: host.drained("b"))
    running = host.daemon.context.journal.running
    await until(lambda: [one for one in running() if (one.service, one.verb) == ("b", "standby")])
    container = engine.container

    async def of_others(name: str) -> object:
        if name == host.olds["b"].name:
            await hang()
        return await container(name)

    monkeypatch.setattr(engine, "container", of_others)
    host.left.update(a=3, b=1)
    started = time.monotonic()
    host.leave("a", 0.5)
    await until(lambda: host.drained("a"), seconds=30)
    assert [name for name, _ in host.cuts] == ["a"]
    assert host.cuts[0][1] < 1.0
    assert time.monotonic() - started >= 0.5
    (entry,) = [one for one in host.daemon.context.journal.entries("a") if one.verb == "drain"]
    assert "3 connections were left" in entry.detail


@pytest.mark.parametrize("error", [Unavailable("The engine is away."), ValueError("a bug")])
async def test_an_error_of_one_service_is_its_own(
    host: Host, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Of its drain and of its standby: each is said, and tried again."""
    context, engine = host.daemon.context, host.daemon.engine
    container, broken = engine.container, True

    async def of_others(name: str) -> object:
        if broken and name == host.olds["b"].name:
            raise error
        return await container(name)

    monkeypatch.setattr(engine, "container", of_others)
    monkeypatch.setattr(retirement, "LOOK", 0.05)
    host.left.update(a=1, b=1)
    host.leave("b", 0.0)
    host.leave("a", 0.2)
    await until(lambda: host.drained("a"))
    kind = "part " if isinstance(error, ValueError) else ""
    await until(lambda: f"{kind}drain b@1.0.0" in context.problems)
    assert str(error) in context.problems[f"{kind}drain b@1.0.0"]
    await paused(host, "a")
    assert not host.drained("b")
    # And its standby: that of a is kept meanwhile.
    host.leave("b", None, drained=True)
    await until(lambda: f"{kind}standby b" in context.problems)
    broken = False
    context.retirement.wake()
    await until(lambda: not context.problems)
    await paused(host, "b")


async def test_a_row_that_cannot_be_read_hides_no_other(host: Host) -> None:
    context = host.daemon.context
    host.left.update(a=1, b=1)
    host.leave("b", 60)
    with context.database.transaction() as connection:
        connection.execute("UPDATE former SET deadline = 'soon' WHERE service = 'b'")
    host.leave("a", 0.2)
    await until(lambda: host.drained("a"))
    await until(lambda: "part drain b@1.0.0" in context.problems)
    assert "soon" in context.problems["part drain b@1.0.0"]


async def test_drains_look_at_the_same_moment(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retirement, "LOOK", 0.2)
    connections, asked = host.daemon.router.connections, []

    async def counted(far_ends: Any) -> Any:
        asked.append(len(far_ends))
        return await connections(far_ends)

    monkeypatch.setattr(host.daemon.router, "connections", counted)
    host.left.update(a=1, b=1)
    host.leave("a", None)
    await asyncio.sleep(0.07)
    host.leave("b", None)
    await asyncio.sleep(0.15)
    asked.clear()
    await until(lambda: asked.count(2) >= 3)
    assert len(asked) < 12  # on a busy machine one may be late


async def test_one_that_has_the_ports_again_is_not_cut(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person goes back while the engine is asked where its connections are."""
    context, engine = host.daemon.context, host.daemon.engine
    container = engine.container

    async def slowly(name: str) -> object:
        context.former.replace("a", [])
        return await container(name)

    host.left["a"] = 1
    monkeypatch.setattr(engine, "container", slowly)
    host.leave("a", 0.0)
    await until(lambda: "part drain a@1.0.0" not in _names())
    await asyncio.sleep(0.1)
    assert not host.cuts
    assert host.left["a"] == 1


async def test_a_drain_that_is_over_begins_anew_when_it_leaves_again(host: Host) -> None:
    for _ in range(3):
        host.left["a"] = 1
        host.leave("a", 0.0)
        await until(lambda: host.drained("a"))
    assert [name for name, _ in host.cuts] == ["a"] * 3


async def test_a_new_deadline_holds_at_once(host: Host) -> None:
    host.left["a"] = 1
    host.leave("a", None)
    await until(lambda: "part drain a@1.0.0" in _names())
    host.leave("a", 0.1)
    await until(lambda: host.drained("a"))
    assert host.cuts[0][1] < 1.0


def _names() -> set[str]:
    return {one.get_name() for one in asyncio.all_tasks()}


async def test_many_ask_the_kernel_once(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    go = asyncio.Event()

    async def connections(far_ends: dict[int, list[FarEnd]]) -> dict[int, Connections]:
        asked.append(len(far_ends))
        await go.wait()
        if len(asked) == 3:
            raise StepFailed("no")
        return {key: Connections(ends[0].port, 0) for key, ends in far_ends.items()}

    monkeypatch.setattr(daemon.router, "connections", connections)
    left = Left(daemon.router)

    def ask(number: int) -> asyncio.Task[Connections]:
        return asyncio.create_task(left.on([FarEnd(Protocol.TCP, number, ())]))

    first = ask(1)
    await asyncio.sleep(0.01)
    others = [ask(number) for number in range(2, 12)]
    given_up = ask(99)
    await asyncio.sleep(0.01)
    given_up.cancel()
    go.set()
    assert (await first).tcp == 1
    assert [(await one).tcp for one in others] == list(range(2, 12))
    assert asked == [1, 11]
    with pytest.raises(StepFailed):
        await ask(1)
    assert (await ask(5)).tcp == 5
