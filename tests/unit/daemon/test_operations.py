from __future__ import annotations

import asyncio

import pytest

from alongside.daemon.operations import Emit, Event, Operation, Operations
from alongside.domain.errors import Conflict, NotFound


async def read(operation: Operation) -> list[Event]:
    return [event async for event in operation.follow()]


async def test_everyone_who_follows_sees_every_event_whenever_they_come() -> None:
    go = asyncio.Event()

    async def work(emit: Emit) -> Event:
        emit({"event": "operation", "id": 1})
        await go.wait()
        emit({"event": "log", "text": "halfway"})
        return {"changed": True}

    operations = Operations()
    operation = operations.start(work)
    early = asyncio.create_task(read(operation))
    await asyncio.sleep(0)
    go.set()
    seen = await early
    assert [event["event"] for event in seen] == ["operation", "log", "result"]
    assert await read(operations.get(1)) == seen


async def test_who_stops_following_stops_nothing() -> None:
    go, done = asyncio.Event(), asyncio.Event()

    async def work(emit: Emit) -> Event:
        emit({"event": "operation", "id": 1})
        await go.wait()
        done.set()
        return {}

    operation = Operations().start(work)
    follower = asyncio.create_task(read(operation))
    await asyncio.sleep(0)
    follower.cancel()
    go.set()
    await asyncio.wait_for(done.wait(), 5)


async def test_a_refusal_is_the_last_event() -> None:
    async def work(_: Emit) -> Event:
        raise Conflict("no", hint="try this")

    (event,) = await read(Operations().start(work))
    assert event["event"] == "error"
    assert (event["problem"]["detail"], event["problem"]["hint"]) == ("no", "try this")


async def test_a_bug_is_said_to_be_one_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def work(_: Emit) -> Event:
        raise ZeroDivisionError

    (event,) = await read(Operations().start(work))
    assert event["problem"]["title"] == "bug"
    assert "ZeroDivisionError" in caplog.text


async def test_stopping_the_daemon_ends_what_runs_and_says_so() -> None:
    async def work(_: Emit) -> Event:
        await asyncio.Event().wait()
        return {}

    operations = Operations()
    operation = operations.start(work)
    await asyncio.sleep(0)
    await operations.cancel()
    (event,) = await read(operation)
    assert "stopped" in event["problem"]["detail"]


def test_an_unknown_operation_is_not_found() -> None:
    with pytest.raises(NotFound, match="Operation 7"):
        Operations().get(7)
