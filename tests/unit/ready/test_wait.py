import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network, IPv6Network

import pytest

from alongside.domain.errors import NotReady, Unavailable
from alongside.domain.instance import Instance, Subnet
from alongside.domain.service import Ready, ReadyKind
from alongside.domain.version import Version
from alongside.engine.fake import FakeEngine, Script
from alongside.ready import wait, wait_ready

# The instance stands at 127.53.7.2, which every Linux host has on its loopback.
SUBNET = Subnet("al-test", IPv4Network("127.53.7.0/28"), IPv6Network("fd00::/64"))
INSTANCE = Instance("dns", Version("1.0.0"), SUBNET, ())
HOST = str(SUBNET.address4)
NAME = "dns-1.0.0"

HEALTH = Ready(ReadyKind.HEALTH, timeout=5, interval=0.05)


@pytest.fixture
async def engine() -> FakeEngine:
    engine = FakeEngine()
    engine.tag("base:1", "base")
    return engine


async def start(engine: FakeEngine, script: Script | None = None, *, health: bool = False) -> None:
    engine.scripts[NAME] = script or Script()
    engine.create(NAME, "base:1", has_health=health)
    await engine.start(NAME)


@asynccontextmanager
async def serve() -> AsyncIterator[Ready]:
    """A server at the instance's address, and how to ask it."""

    async def end(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async with await asyncio.start_server(end, HOST, 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield Ready(ReadyKind.TCP, port=port, timeout=5, interval=0.05)


async def failure(engine: FakeEngine, ready: Ready) -> NotReady:
    async with asyncio.timeout(5):
        with pytest.raises(NotReady) as caught:
            await wait_ready(ready, HOST, INSTANCE, engine)
    return caught.value


async def test_an_answer_is_enough(engine: FakeEngine) -> None:
    await start(engine)

    async with serve() as ready:
        await wait_ready(ready, HOST, INSTANCE, engine)


async def test_the_last_answer_is_said_when_time_is_over(engine: FakeEngine) -> None:
    await start(engine, Script(log=tuple(f"line {number}" for number in range(30))))
    async with serve() as ready:
        pass

    error = await failure(engine, replace(ready, timeout=0.2))

    assert error.message == (
        f"dns-1.0.0 did not become ready: within 0.2 s: TCP {HOST}:{ready.port}: "
        "connection refused."
    )
    assert error.log == tuple(f"line {number}" for number in range(10, 30))


async def test_one_that_ends_is_not_waited_for(engine: FakeEngine) -> None:
    await start(engine, Script(log=("no such file: zone",), exit_code=3))

    error = await failure(engine, Ready(ReadyKind.TCP, port=1, timeout=60))

    assert error.message == "dns-1.0.0 did not become ready: it ended with exit code 3."
    assert error.log == ("no such file: zone",)


async def test_one_that_ends_later_is_heard_at_once(engine: FakeEngine) -> None:
    await start(engine, health=True, script=Script(health="starting"))
    waiting = asyncio.create_task(failure(engine, replace(HEALTH, timeout=60, interval=60)))
    await asyncio.sleep(0)

    began = time.monotonic()
    engine.end(NAME, 1)

    assert "exit code 1" in (await waiting).message
    assert time.monotonic() - began < 1


async def test_one_restart_is_forgiven_and_a_loop_is_not(engine: FakeEngine) -> None:
    await start(engine, health=True, script=Script(health="starting"))
    waiting = asyncio.create_task(failure(engine, replace(HEALTH, timeout=60)))
    await asyncio.sleep(0.1)

    engine.crash(NAME, 2)
    await asyncio.sleep(0.1)
    assert not waiting.done()
    engine.crash(NAME, 2)
    engine.crash(NAME, 2)

    assert "it was restarted 3 times, and ended with exit code 2 again" in (await waiting).message


async def test_one_that_is_gone(engine: FakeEngine) -> None:
    error = await failure(engine, Ready(ReadyKind.TCP, port=1, timeout=60))

    assert error.message == "dns-1.0.0 did not become ready: its container is gone."
    assert "wrote nothing" in error.hint


async def test_health_is_heard_from_the_engine(engine: FakeEngine) -> None:
    await start(engine, health=True, script=Script(health="starting"))
    waiting = asyncio.create_task(wait_ready(HEALTH, HOST, INSTANCE, engine))
    await asyncio.sleep(0.1)
    engine.set_health(NAME, "unhealthy", "connection refused")
    await asyncio.sleep(0.1)
    assert not waiting.done()

    engine.set_health(NAME, "healthy")

    async with asyncio.timeout(5):
        await waiting


async def test_the_health_check_s_own_words(engine: FakeEngine) -> None:
    await start(engine, health=True, script=Script(health="unhealthy"))
    engine.set_health(NAME, "unhealthy", "trying\nconnection refused")

    error = await failure(engine, replace(HEALTH, timeout=0.1))

    assert "its health check says unhealthy: connection refused" in error.message


async def test_without_a_health_check_there_is_no_waiting_for_it(engine: FakeEngine) -> None:
    await start(engine)

    error = await failure(engine, replace(HEALTH, timeout=60))

    assert "no health check" in error.message


async def test_a_paused_one_is_not_ready_though_it_accepts_connections(engine: FakeEngine) -> None:
    await start(engine)
    await engine.pause(NAME)

    async with serve() as ready:
        error = await failure(engine, replace(ready, timeout=0.2))

    assert "its container is paused" in error.message


async def test_nothing_to_ask_means_running_for_a_while(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wait, "SETTLED", 0.3)
    await start(engine)
    began = time.monotonic()

    ready = Ready(ReadyKind.RUNNING, timeout=5, interval=0.05)
    await wait_ready(ready, HOST, INSTANCE, engine)

    assert 0.25 < time.monotonic() - began < 1


async def test_so_it_is_where_it_started_in_the_future(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock that was set back since."""
    monkeypatch.setattr(wait, "SETTLED", 0.3)
    await start(engine)
    entry = engine._containers[NAME]
    entry.shown = replace(entry.shown, started=datetime.now(UTC) + timedelta(hours=1))

    ready = Ready(ReadyKind.RUNNING, timeout=5, interval=0.05)
    await wait_ready(ready, HOST, INSTANCE, engine)


async def test_the_engine_may_go_away(engine: FakeEngine) -> None:
    await start(engine, health=True, script=Script(health="starting"))
    waiting = asyncio.create_task(wait_ready(HEALTH, HOST, INSTANCE, engine))
    await asyncio.sleep(0.1)

    engine.answers = False
    engine.set_health(NAME, "starting")  # an event, so that it looks

    async with asyncio.timeout(5):
        with pytest.raises(Unavailable):
            await waiting


async def test_cancelled_it_leaves_no_task_behind(engine: FakeEngine) -> None:
    await start(engine, health=True, script=Script(health="starting"))
    waiting = asyncio.create_task(wait_ready(HEALTH, HOST, INSTANCE, engine))
    await asyncio.sleep(0.1)

    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    assert asyncio.all_tasks() == {asyncio.current_task()}
