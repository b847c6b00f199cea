"""Events of an engine whose host's clock was set back."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import aclosing
from pathlib import Path

from aiohttp import web

from alongside.engine.docker import DockerEngine


def line(name: str, when: float) -> bytes:
    found = {
        "Type": "container",
        "Action": "die",
        "Actor": {"ID": name, "Attributes": {"name": name}},
        "time": int(when),
        "timeNano": int(when * 1e9),
    }
    return json.dumps(found).encode() + b"\n"


async def test_events_of_the_future_are_of_the_past(tmp_path: Path) -> None:
    """An engine sends what it has in mind from `since` on, by the time of day that it was then."""
    asked: dict[str, float] = {}

    async def ping(_: web.Request) -> web.Response:
        return web.Response(headers={"Api-Version": "1.41"})

    async def events(request: web.Request) -> web.StreamResponse:
        asked["since"] = float(request.query["since"])
        answer = web.StreamResponse()
        await answer.prepare(request)
        await answer.write(line("of before", time.time() + 3600))
        await answer.write(line("meanwhile", time.time()))
        await answer.write(line("live", time.time()))
        return answer

    application = web.Application()
    application.router.add_get("/_ping", ping)
    application.router.add_get("/v1.41/events", events)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.UnixSite(runner, str(tmp_path / "s")).start()
    engine = DockerEngine(f"unix://{tmp_path}/s")
    called = time.time()
    heard = engine.events()
    await asyncio.sleep(0.3)
    async with aclosing(heard):
        names = [event.name async for event in heard]
    await engine.close()
    await runner.cleanup()
    assert names == ["meanwhile", "live"]
    assert abs(asked["since"] - called) < 0.2, "since the call, and not since the first was read"
