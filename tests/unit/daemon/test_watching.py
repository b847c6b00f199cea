"""Waiting for another status: answered when something happens, and not before."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from alongside.cli.watching import follow
from alongside.client import Client
from alongside.daemon import watching
from alongside.domain.errors import InvalidInput, NotFound, Unavailable
from support.served import Served


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Served]:
    with Served(tmp_path) as served:
        for version in ("1.0.0", "1.1.0"):
            served.release("dns", version)
        served.change("activate", reference="dns@1.0.0")
        yield served


def status(daemon: Served, **query: Any) -> Any:
    return Client(str(daemon.socket)).get("/v1/status", **query)


def test_a_revision_stands_for_the_status(daemon: Served) -> None:
    first = status(daemon)
    assert status(daemon) == first
    daemon.change("up", reference="dns@1.1.0")
    second = status(daemon)
    assert second["revision"] != first["revision"]
    assert status(daemon, unlike=first["revision"], wait=60) == second


def test_who_waits_is_answered_by_a_change_long_before_the_time_is_up(
    daemon: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "TICK", 3600.0)
    known = status(daemon)["revision"]
    with ThreadPoolExecutor() as others:
        waiting = [others.submit(status, daemon, unlike=known, wait=60) for _ in range(3)]
        asyncio.run(asyncio.sleep(0.2))
        assert not any(one.done() for one in waiting)
        daemon.change("activate", reference="dns@1.1.0", message="why")
        for one in waiting:
            assert one.result(30)["revision"] != known
    while (found := status(daemon, unlike=known, wait=1))["services"][0]["doing"]:
        known = found["revision"]
    assert found["services"][0]["current"] == "1.1.0"


def test_what_tells_nothing_is_seen_a_little_later(daemon: Served) -> None:
    known = status(daemon)["revision"]
    daemon.context.problems["x"] = "Something is wrong."
    assert status(daemon, unlike=known, wait=60)["problems"] == ["Something is wrong."]


def test_after_its_time_it_is_answered_as_it_is(daemon: Served) -> None:
    known = status(daemon)
    began = time.monotonic()
    assert status(daemon, unlike=known["revision"], wait=1) == known
    assert time.monotonic() - began >= 1


def test_an_operation_that_runs_is_in_it(daemon: Served) -> None:
    daemon.change("up", reference="dns@1.1.0")
    steps = set()

    def look() -> None:
        known, doing = "", []
        while "switch" not in steps or doing:
            found = status(daemon, unlike=known, wait=2)
            known, doing = found["revision"], found["services"][0]["doing"]
            steps.update(one["step"] for one in doing)

    slow = daemon.context.router.apply

    async def held(*arguments: Any) -> Any:
        await asyncio.sleep(1)
        return await slow(*arguments)

    daemon.context.router.apply = held  # type: ignore[method-assign]
    looking = threading.Thread(target=look)
    looking.start()
    daemon.change("activate", reference="dns@1.1.0")
    looking.join(30)
    assert "switch" in steps


def test_what_cannot_be_meant_is_refused_at_once(daemon: Served) -> None:
    with pytest.raises(InvalidInput):
        status(daemon, wait=61)
    with pytest.raises(NotFound):
        status(daemon, service="dnz", unlike="x", wait=60)


def test_a_follower_hears_of_changes_and_once_that_the_daemon_is_away(tmp_path: Path) -> None:
    with Served(tmp_path) as daemon:
        heard = follow(Client(str(daemon.socket)), None)
        assert next(heard)["services"] == []  # type: ignore[index]
        daemon.release("dns", "1.0.0")
        assert next(heard)["services"][0]["name"] == "dns"  # type: ignore[index]
    assert any(isinstance(news, Unavailable) for news in heard)
    with Served(tmp_path):
        assert next(heard)["services"][0]["name"] == "dns"  # type: ignore[index]
        heard.close()  # type: ignore[attr-defined]


def test_the_daemon_stops_without_waiting_for_who_waits(tmp_path: Path) -> None:
    with Served(tmp_path) as daemon:
        known = status(daemon)["revision"]
        with ThreadPoolExecutor() as others:
            waiting = others.submit(status, daemon, unlike=known, wait=60)
            asyncio.run(asyncio.sleep(0.2))
            daemon.__exit__()
            # Left waiting it would be broken off, after two seconds.
            assert waiting.result(30)["revision"] == known
