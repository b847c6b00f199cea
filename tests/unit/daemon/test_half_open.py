"""Half-open connections are looked for after whatever changes where ports lead."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Set
from dataclasses import replace
from ipaddress import ip_address

import pytest

from alongside.daemon import context as context_module
from alongside.daemon import half_open
from alongside.daemon.reconciler import Reconciler
from alongside.daemon.retirement import itself
from alongside.daemon.verbs import assign as assign_module
from alongside.daemon.verbs.activate import activate, deactivate, rollback
from alongside.daemon.verbs.assign import assign, unassign
from alongside.daemon.verbs.change import Asked
from alongside.domain.errors import StepFailed
from alongside.router.fake import FakeRouter
from alongside.router.flows import Flow
from alongside.router.protocol import Ruleset

from .conftest import Daemon

ASKED = Asked(itself())
HOST = ip_address("198.51.100.1")


def quiet(_: dict[str, object]) -> None:
    pass


def connecting(daemon: Daemon, far: object, number: int = 53) -> Flow:
    """A client that asked the port, and was sent there."""
    client, there = ip_address("198.51.100.2").packed, ip_address(str(far)).packed
    flow = Flow(client, 40000, HOST.packed, number, there, 53, client, 40000)
    daemon.router.half_open.append(flow)
    return flow


async def none_listens(*_: object, **__: object) -> list[object]:
    return []


@pytest.fixture(autouse=True)
async def looking(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    monkeypatch.setattr(half_open, "ANSWERED", 0.01)
    monkeypatch.setattr(half_open, "RETRY", 0.01)
    monkeypatch.setattr(context_module, "listeners", none_listens)
    monkeypatch.setattr(context_module, "local_addresses", none_listens)
    monkeypatch.setattr(assign_module, "local_addresses", none_listens)
    daemon.router.host = frozenset({HOST})
    looks = asyncio.create_task(daemon.context.half_open.run())
    yield
    looks.cancel()


async def gone(daemon: Daemon, flow: Flow) -> None:
    async with asyncio.timeout(10):
        while flow in daemon.router.half_open:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def activated(daemon: Daemon) -> Flow:
    flow = connecting(daemon, daemon.old.subnet.address4)
    await activate(daemon.context, "dns@1.1.0", ASKED, quiet, take=False)
    return flow


async def deactivated(daemon: Daemon) -> Flow:
    flow = connecting(daemon, daemon.old.subnet.address4)
    await deactivate(daemon.context, "dns", ASKED, quiet)
    return flow


async def rolled_back(daemon: Daemon) -> Flow:
    await activate(daemon.context, "dns@1.1.0", ASKED, quiet, take=False)
    flow = connecting(daemon, daemon.new.subnet.address4)
    await rollback(daemon.context, "dns", ASKED, quiet)
    return flow


async def failed_on_trial(daemon: Daemon) -> Flow:
    number = await daemon.switch()
    flow = connecting(daemon, daemon.new.subnet.address4)
    daemon.sick()
    verdict = await daemon.context.watcher.open(daemon.release, 30, number, quiet)
    assert str(verdict.now) == "1.0.0"
    return flow


async def unassigned(daemon: Daemon) -> Flow:
    await assign(daemon.context, ["80:10.9.9.9:53/tcp"], ASKED, quiet, take=False)
    flow = connecting(daemon, "10.9.9.9", 80)
    await unassign(daemon.context, ["80/tcp"], ASKED, quiet)
    return flow


async def put_back(daemon: Daemon) -> Flow:
    """Somebody flushed the table, and while it was away Docker's rules had the port."""
    flow = connecting(daemon, "172.17.0.2")
    daemon.router.kernel.table = None
    await Reconciler(daemon.context, changes())._check_table()
    return flow


async def started(daemon: Daemon) -> Flow:
    """The daemon before it was killed between the switch and its looks: the table is as wanted."""
    flow = connecting(daemon, daemon.new.subnet.address4)
    changed = len(daemon.router.transactions)
    await Reconciler(daemon.context, changes()).restore()
    assert len(daemon.router.transactions) == changed
    return flow


async def changes() -> AsyncIterator[None]:
    yield


@pytest.mark.parametrize(
    "change",
    [activated, deactivated, rolled_back, failed_on_trial, unassigned, put_back, started],
    ids=lambda one: one.__name__,
)
async def test_they_are_decided_anew_after(
    daemon: Daemon, change: Callable[[Daemon], Awaitable[Flow]]
) -> None:
    other = connecting(daemon, "172.17.0.9", 8080)  # of a port that no route ever had
    await gone(daemon, await change(daemon))
    assert daemon.router.half_open == [other]


async def test_an_answer_is_waited_for(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    """While switches follow one upon the other, too: what a look finds for the first time stays."""
    router = FakeRouter([HOST])
    looks = half_open.HalfOpen(router, lambda: replace(daemon.context.wanted(), ports=()), {})
    first, second = (connecting(daemon, one.subnet.address4) for one in (daemon.old, daemon.new))
    router.half_open = [first]
    left: list[list[Flow]] = []
    clean = router.clean_half_open

    async def counted(wanted: Ruleset, seen: Set[bytes]) -> frozenset[bytes]:
        found = await clean(wanted, seen)
        left.append(list(router.half_open))
        if len(left) == 1:
            router.half_open.append(second)
            looks.look()
        return found

    monkeypatch.setattr(router, "clean_half_open", counted)
    looks.look()
    looking = asyncio.create_task(looks.run())
    async with asyncio.timeout(10):
        while router.half_open:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    looking.cancel()
    assert left == [[first], [second], []]


async def test_what_the_kernel_refuses_is_a_problem_until_it_does_not(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    clean = daemon.router.clean_half_open
    told: list[str] = []

    async def refused(*arguments: object) -> frozenset[bytes]:
        if len(told) < 2:
            told.append(daemon.context.problems.get(half_open.PROBLEM, ""))
            raise StepFailed("no", hint="what to do.")
        return await clean(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(daemon.router, "clean_half_open", refused)
    await gone(daemon, await activated(daemon))
    assert told == ["", "no what to do."]
    async with asyncio.timeout(10):
        while half_open.PROBLEM in daemon.context.problems:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
