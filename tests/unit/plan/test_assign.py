"""Raw ports: what is given to what, and what stands in the way."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from alongside.domain.assignment import parse_assignments
from alongside.domain.errors import Conflict, PortTaken
from alongside.domain.port import parse_port, parse_ports
from alongside.domain.version import Version
from alongside.plan.activate import plan_activate
from alongside.plan.assign import plan_assign, plan_unassign
from alongside.plan.observed import Holder
from alongside.plan.steps import CleanUdp, Plan
from support.examples import world

DNS = world("dns@1.0.0", running=("dns@1.0.0",), routed="dns@1.0.0")


def names(plan: Plan) -> list[str]:
    return [step.name for step in plan.steps]


def test_tcp_has_no_flows_to_move_and_udp_has() -> None:
    tcp = plan_assign(parse_assignments("80:50080"), world())
    udp = plan_assign(parse_assignments("80:50080/udp"), world())
    assert names(tcp) == ["record-assignments", "switch"]
    assert names(udp) == ["record-assignments", "switch", "clean-udp"]
    assert (udp.service, udp.after) == ("80/udp", "50080")


def test_the_same_again_changes_nothing() -> None:
    given = parse_assignments("80:50080/tcp")
    plan = plan_assign(given, replace(world(), assignments=given))
    assert not plan.steps
    assert plan.reason == "80/tcp goes to 50080 already."


def test_a_services_port_is_not_given_away_not_even_on_one_address() -> None:
    for text in ("53:5353/udp", "192.0.2.7:53:5353/udp"):
        with pytest.raises(Conflict, match="belongs to the service dns"):
            plan_assign(parse_assignments(text), DNS)
    assert plan_assign(parse_assignments("54:5353/udp"), DNS).steps


def test_nor_does_a_service_get_what_is_assigned() -> None:
    given = parse_assignments("53:5353/udp")
    observed = replace(world("dns@1.0.0"), assignments=given)
    with pytest.raises(Conflict, match="53/udp is assigned to 5353"):
        plan_activate("dns", Version("1.0.0"), observed)


def test_a_holder_is_named_unless_it_is_passed_by() -> None:
    port = parse_port("80/tcp")
    observed = replace(world(), holders=[Holder(port, "nginx (pid 8)", port)])
    with pytest.raises(PortTaken, match=r"80/tcp is held by nginx \(pid 8\)"):
        plan_assign(parse_assignments("80:50080"), observed)
    assert plan_assign(parse_assignments("80:50080"), observed, take=True).steps
    moved = replace(observed, assignments=parse_assignments("80:50080"))
    assert plan_assign(parse_assignments("80:50081"), moved).steps, "it is ours already"


@pytest.mark.parametrize(
    ("text", "heard", "note"),
    [
        ("80:50080", {}, "Nothing listens on 50080/tcp on this host now."),
        ("80:50080", "loopback", "loopback alone"),
        ("80:50080", "everywhere", ""),
        ("80:192.0.2.9:50080", {}, ""),  # another network, which is not looked into
    ],
)
def test_what_does_not_listen_is_said(text: str, heard: str, note: str) -> None:
    (wanted,) = parse_assignments(text)
    listening = {(wanted.port.protocol, 50080): heard} if heard else {}
    plan = plan_assign([wanted], replace(world(), listening=listening))  # type: ignore[arg-type]
    assert note in " ".join(plan.notes)
    assert bool(note) == bool(plan.notes)


def test_taken_back_is_what_was_said_and_no_more() -> None:
    given = [*parse_assignments("80:50080"), *parse_assignments("8080:50080")]
    observed = replace(DNS, assignments=given)
    plan = plan_unassign(parse_ports("80/tcp"), observed)
    assert plan.before == "50080"
    assert names(plan) == ["record-assignments", "switch"]
    assert "is not assigned" in plan_unassign(parse_ports("81/tcp"), observed).reason
    with pytest.raises(Conflict, match="the service dns has it"):
        plan_unassign(parse_ports("53/tcp"), observed)


def test_flows_of_a_port_that_is_taken_back_are_ended() -> None:
    given = parse_assignments("[2001:db8::1]:53:[2001:db8::9]:5353/udp")
    assert given[0].address == ip_address("2001:db8::9")
    plan = plan_unassign([given[0].port], replace(world(), assignments=given))
    assert plan.steps[-1] == CleanUdp((given[0].port,))
