"""The state cannot be written: before anything, and half-way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from alongside.domain.errors import StepFailed
from alongside.store import database
from support.served import Served

FULL = StepFailed(
    "The state could not be written: database or disk is full.",
    hint="Nothing has changed. Look at the free space of the state folder.",
)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Served]:
    """dns@1.0.0 has the ports, dns@1.1.0 is up."""
    with Served(tmp_path) as daemon:
        for version in ("1.0.0", "1.1.0"):
            daemon.release("dns", version)
            daemon.change("up", reference=f"dns@{version}")
        daemon.change("activate", reference="dns@1.0.0")
        yield daemon


def reached(daemon: Served) -> set[str]:
    """Of the routes that are written, of the kernel's rules, and of the status."""
    (service,) = daemon.client.get("/v1/status", service="dns")["services"]
    table = daemon.context.router.kernel.table  # type: ignore[attr-defined]
    rules = {
        rule.comment.split()[0].removeprefix("dns@")
        for name, chain in table.chains.items()
        if name.startswith("port-53")
        for rule in chain.rules
    }
    return {service["current"], *rules}


def test_nothing_is_begun_where_there_is_no_room(
    daemon: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "MARGIN", 1 << 62)
    before = daemon.client.get("/v1/history")
    with pytest.raises(StepFailed, match="The state could not be written: less than"):
        daemon.change("activate", reference="dns@1.1.0")
    assert reached(daemon) == {"1.0.0"}
    assert daemon.client.get("/v1/history") == before


def failing(daemon: Served, monkeypatch: pytest.MonkeyPatch, *, undo: bool) -> None:
    """The disk is full from the moment that the intent is written; `undo`: but for that."""
    step, replace = daemon.context.journal.step, daemon.context.routes.replace
    seen = []

    def fail(operation: int, position: int, name: str, state: str) -> None:
        if (name, state) == ("record-routes", "done"):
            seen.append(name)
            raise FULL
        step(operation, position, name, state)

    def replace_once(*arguments: Any) -> None:
        if seen and not undo:
            raise FULL
        replace(*arguments)

    monkeypatch.setattr(daemon.context.journal, "step", fail)
    monkeypatch.setattr(daemon.context.routes, "replace", replace_once)


def test_what_was_written_is_taken_back(daemon: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(daemon, monkeypatch, undo=True)
    with pytest.raises(StepFailed, match="could not be written") as refused:
        daemon.change("activate", reference="dns@1.1.0")
    assert "Nothing has changed." in refused.value.hint
    assert reached(daemon) == {"1.0.0"}


def test_where_it_cannot_be_taken_back_the_kernel_follows_it(
    daemon: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(daemon, monkeypatch, undo=False)
    with pytest.raises(StepFailed, match="could not be written") as refused:
        daemon.change("activate", reference="dns@1.1.0")
    assert "the ports are as it says" in refused.value.hint
    assert "Nothing has changed" not in refused.value.hint
    assert reached(daemon) == {"1.1.0"}, "written and routed alike"


def test_what_the_kernel_has_stays_though_that_cannot_be_written(
    daemon: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = daemon.context.journal.step

    def fail(operation: int, position: int, name: str, state: str) -> None:
        if (name, state) == ("switch", "done"):
            raise FULL
        step(operation, position, name, state)

    monkeypatch.setattr(daemon.context.journal, "step", fail)
    with pytest.raises(StepFailed, match="could not be written") as refused:
        daemon.change("activate", reference="dns@1.1.0")
    assert "What was asked for had been done by then." in refused.value.hint
    assert reached(daemon) == {"1.1.0"}, "written and routed alike"
