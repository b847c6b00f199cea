from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from rulesets import EXAMPLES, HOST, routed, ruleset, rulesets

from alongside.domain.errors import StepFailed
from alongside.domain.port import Protocol
from alongside.router.fake import FakeRouter
from alongside.router.flows import Flow
from alongside.router.protocol import Connections, FarEnd, Router, Ruleset
from alongside.router.tracer import Delivered, Packet, Untouched

PACKET = Packet(ip_address("198.51.100.2"), ip_address("198.51.100.1"), Protocol.UDP, 53, "eth0")


@pytest.fixture
def router() -> FakeRouter:
    return FakeRouter(HOST)


@given(rulesets(), rulesets())
async def test_what_is_planned_is_what_is_applied_and_once(first: Ruleset, then: Ruleset) -> None:
    router: Router = FakeRouter(HOST)
    for wanted in (first, then):
        planned = await router.plan(wanted)
        assert await router.apply(wanted) == planned
        assert (await router.plan(wanted)).text == ""
        assert (await router.apply(wanted)).text == ""
        assert await router.intact()


async def test_packets_follow_the_switch(router: FakeRouter) -> None:
    assert router.trace(PACKET) == Untouched()
    for number in (0, 1, 0):
        await router.apply(ruleset(routed("53/udp", (number, 1))))
        landing = router.trace(PACKET)
        assert isinstance(landing, Delivered)
        assert landing.by == f"dns@1.{number}.0 53/udp"
    assert len(router.transactions) == 3
    await router.remove()
    assert router.trace(PACKET) == Untouched()
    assert not await router.intact()


async def test_a_failure_changes_nothing(router: FakeRouter) -> None:
    await router.apply(EXAMPLES["any-address"])
    before = router.kernel.table
    router.fails = StepFailed("nft refused: No space left on device")
    with pytest.raises(StepFailed, match="No space"):
        await router.apply(EXAMPLES["nothing"])
    assert router.kernel.table is before
    assert await router.intact()


async def test_a_hand_in_the_table_is_seen_and_put_right(router: FakeRouter) -> None:
    wanted = EXAMPLES["any-address"]
    await router.apply(wanted)
    whole = router.kernel.table
    assert whole is not None
    chains = {**whole.chains, "dispatch": replace(whole.chains["dispatch"], rules=())}
    router.kernel.table = replace(whole, chains=chains)
    assert not await router.intact()
    await router.apply(wanted)
    assert router.kernel.table == whole


async def test_stale_flows_are_taken_out(router: FakeRouter) -> None:
    client, host, old = (
        ip_address(one).packed for one in ("198.51.100.2", "198.51.100.1", "10.213.0.2")
    )
    router.flows = [Flow(client, 4000, host, 53, old, 53, client, 4000)]
    assert await router.clean_udp(ruleset(routed("53/udp", (0, 1)))) == 0
    assert await router.clean_udp(ruleset(routed("53/udp", (1, 1)))) == 1
    assert router.flows == []


async def test_connections_are_those_that_were_set(router: FakeRouter) -> None:
    there = (IPv4Address("10.213.0.2"), IPv6Address("fd00::2"))
    tcp, udp = (FarEnd(protocol, 53, there) for protocol in Protocol)
    router.live = {tcp: 3, udp: 5}

    asked = {"old": [tcp, udp], "new": [FarEnd(Protocol.TCP, 54, there)], "none": []}
    assert await router.connections(asked) == {
        "old": Connections(tcp=3, udp=5),
        "new": Connections(),
        "none": Connections(),
    }
