from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from rulesets import routed, ruleset, rulesets, subnet

from alongside.domain.errors import InvalidInput
from alongside.domain.route import Assign
from alongside.router.compile import chain_name, compile_table
from alongside.router.protocol import Choice, InstanceTarget, RoutedPort, Ruleset
from alongside.router.rules import (
    COMMENT_MAX,
    ClientHash,
    Dnat,
    Draw,
    Lookup,
    Redirect,
    Reject,
    Rule,
)


@given(rulesets())
def test_rules_that_are_replaced_hold_no_set_of_their_own(wanted: Ruleset) -> None:
    for chain in compile_table(wanted).chains.values():
        for rule in chain.rules:
            assert "{" not in str(rule)
            if chain.name.startswith("port-"):
                assert isinstance(rule.verdict, Dnat | Redirect | Reject)


@given(rulesets())
def test_each_target_gets_its_weight_of_every_kind_of_packet(wanted: Ruleset) -> None:
    table = compile_table(wanted)
    instances = [one for one in wanted.ports if _is_split(one)]
    for port in instances:
        total = sum(choice.weight for choice in port.choices)
        kinds: dict[tuple[str, ...], list[Rule]] = {}
        for rule in table.chains[chain_name(port.port)].rules:
            parts = (Draw, ClientHash)
            kind = [str(match) for match in rule.matches if not isinstance(match, parts)]
            family = "redirect" if isinstance(rule.verdict, Redirect) else str(rule.verdict)[:9]
            kinds.setdefault((family, *(one for one in kind if "nfproto" not in one)), []).append(
                rule
            )
        for rules in kinds.values():
            assert len(rules) == len(port.choices)
            left, passed = Fraction(1), Fraction(0)
            for rule, choice in zip(rules, port.choices, strict=True):
                part = rule.matches[-1]
                match part:
                    case Draw(of, below):
                        share = left * Fraction(below, of)
                    case ClientHash(_, of, below):
                        share = Fraction(below, of) - passed
                    case _:
                        share = left
                assert share == Fraction(choice.weight, total)
                left, passed = left - share, passed + share
            assert left == 0


def _is_split(port: RoutedPort) -> bool:
    """What is no instance has a port to itself, and packets to an address have fewer ways."""
    return bool(port.choices) and isinstance(port.choices[0].target, InstanceTarget)


def test_1000_services_are_one_look_up() -> None:
    ports = tuple(routed(f"{number}/tcp", (0, 1)) for number in range(1, 1001))
    one, many = compile_table(ruleset(ports[0])), compile_table(ruleset(*ports))
    for chain in one.chains:
        assert len(many.chains[chain].rules) == len(one.chains[chain].rules)
    look_ups = [rule for rule in many.chains["dispatch"].rules if isinstance(rule.verdict, Lookup)]
    assert len(look_ups) == 3


def test_comments_name_the_release_and_the_port() -> None:
    table = compile_table(ruleset(routed("53/udp", (0, 30), (1, 70))))
    comments = {rule.comment for rule in table.chains["port-53-udp"].rules}
    assert comments == {"dns@1.0.0 53/udp 30/100", "dns@1.1.0 53/udp 70/100"}


def test_a_long_name_is_cut_and_the_port_is_kept() -> None:
    port = routed("[2001:db8::1]:53/udp", (0, 1))
    named = replace(port.choices[0].target, name="dns@" + "1" * 128)
    table = compile_table(ruleset(replace(port, choices=(Choice(named, 1),))))
    (comment,) = {rule.comment for rule in table.chains[chain_name(port.port)].rules}
    assert len(comment) == COMMENT_MAX
    assert comment.endswith("1 [2001:db8::1]:53/udp")


@pytest.mark.parametrize("name", ['x" drop; #', "dns@1\n", "ü"])
def test_a_name_cannot_leave_its_comment(name: str) -> None:
    port = routed("53/udp", (0, 1))
    named = replace(port.choices[0].target, name=name)
    with pytest.raises(InvalidInput):
        compile_table(ruleset(replace(port, choices=(Choice(named, 1),))))


@pytest.mark.parametrize("name", ["", 'a"b', "a b", "abc*", "a/b", "0123456789abcdef"])
def test_a_bridge_must_have_an_interface_s_name(name: str) -> None:
    with pytest.raises(InvalidInput):
        compile_table(Ruleset(container_bridges=frozenset({name})))
    with pytest.raises(InvalidInput):
        compile_table(Ruleset(subnets=(replace(subnet(0), bridge=name),)))


def test_a_port_is_routed_once() -> None:
    with pytest.raises(InvalidInput):
        compile_table(ruleset(routed("53/udp", (0, 1)), routed("53/udp", (1, 1))))


def test_a_target_needs_a_local_port() -> None:
    port = routed("53/udp", (0, 1))
    without = replace(port.choices[0].target, local_port=0)
    with pytest.raises(InvalidInput):
        compile_table(ruleset(RoutedPort(port.port, (Choice(without, 1),), Assign.RANDOM)))
