"""What a ruleset says can be read back out of the table that it is compiled to."""

from __future__ import annotations

import pytest
from rulesets import EXAMPLES

from alongside.domain.route import Assign
from alongside.router.compile import compile_table
from alongside.router.protocol import AddressTarget, HostTarget, Ruleset
from alongside.router.reading import read_table


@pytest.mark.parametrize("name", EXAMPLES)
def test_ports_names_and_subnets_are_read_back(name: str) -> None:
    ruleset: Ruleset = EXAMPLES[name]
    told = read_table(compile_table(ruleset).listing())
    found = {led.port: led for led in told.ports}
    # Without the proxy no rule leads to one on ::1 alone, so none names it.
    ports = [
        one for one in ruleset.ports if ruleset.proxied or str(one.port.address or "") != "::1"
    ]
    assert set(found) == {routed.port for routed in ports}
    for routed in ports:
        led = found[routed.port]
        assert led.shares == tuple(
            (one.target.name, one.weight if len(routed.choices) > 1 else 1)
            for one in routed.choices
        )
        if len(routed.choices) > 1:
            assert led.assign is routed.assign
        else:
            assert led.assign is Assign.RANDOM
        for one in routed.choices:
            if isinstance(one.target, HostTarget):
                assert (led.number, led.address) == (one.target.port, None)
            if isinstance(one.target, AddressTarget):
                assert (led.number, led.address) == (one.target.port, one.target.address)
    assert set((told.subnets4 or {}).values()) == {one.ipv4 for one in ruleset.subnets}
    assert set((told.subnets6 or {}).values()) == {one.ipv6 for one in ruleset.subnets}
    assert told.bridges == ruleset.container_bridges | {one.bridge for one in ruleset.subnets}
    assert told.proxied is ruleset.proxied
