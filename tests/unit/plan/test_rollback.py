from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alongside.domain.errors import Conflict
from alongside.domain.history import Actor, Entry, Outcome, known_good, trail, way_back
from alongside.domain.version import Version
from alongside.plan.rollback import plan_rollback, rollback_target
from support.examples import world


def entry(
    number: int,
    verb: str,
    after: str,
    *,
    routed: bool = True,
    outcome: Outcome = Outcome.DONE,
) -> Entry:
    return Entry(
        id=number,
        verb=verb,
        service="dns",
        at=datetime(2026, 1, 1, tzinfo=UTC),
        actor=Actor(0, "root"),
        before="",
        after=after,
        message="",
        outcome=outcome,
        detail="",
        routed=routed,
    )


def walked(*steps: str) -> list[str]:
    """`a 1.0` is an activation, `r 1.0` a rollback to it, `d` a deactivation."""
    verbs = {"a": "activate", "r": "rollback", "d": "deactivate"}
    entries = [
        entry(number, verbs[step[0]], step[2:]) for number, step in enumerate(steps, start=1)
    ]
    return [str(version) for version in trail(entries)]


def test_a_rollback_goes_to_the_version_before() -> None:
    observed = world(
        "dns@1.0.0", "dns@1.1.0", running=("dns@1.0.0", "dns@1.1.0"), routed="dns@1.1.0"
    )
    observed = replace(observed, trail=[Version("1.0.0"), Version("1.1.0")])
    target = rollback_target("dns", observed)
    plan = plan_rollback("dns", target, observed)
    assert (plan.verb, plan.before, plan.after) == ("rollback", "1.1.0", "1.0.0")


def test_a_second_rollback_goes_one_further_back() -> None:
    assert walked("a 1", "a 2", "a 3", "r 2") == ["1", "2"]
    assert walked("a 1", "a 2", "a 3", "r 2", "r 1") == ["1"]


def test_what_was_rolled_back_from_is_not_gone_back_to() -> None:
    steps = walked("a 1", "a 2", "r 1", "a 3")
    assert steps == ["1", "3"]
    assert known_good([Version(one) for one in steps], Version("3"), set()) == Version("1")


def test_a_bad_version_is_passed_over() -> None:
    versions = [Version("1"), Version("2"), Version("3")]
    assert known_good(versions, Version("3"), {Version("2")}) == Version("1")


def test_after_a_deactivation_the_last_one_gets_the_ports_back() -> None:
    versions = [Version(one) for one in walked("a 1", "a 2", "d ")]
    assert known_good(versions, None, set()) == Version("2")


def test_nothing_to_go_back_to_is_said() -> None:
    observed = world("dns@1.0.0", running=("dns@1.0.0",), routed="dns@1.0.0")
    with pytest.raises(Conflict, match=r"dns@1\.0\.0 is the first that had its ports"):
        rollback_target("dns", replace(observed, trail=[Version("1.0.0")]))


def test_a_failed_activation_leaves_no_trace_in_the_trail() -> None:
    assert trail([entry(1, "activate", "1"), entry(2, "activate", "2", routed=False)]) == [
        Version("1")
    ]


@pytest.mark.parametrize("outcome", [Outcome.PENDING, Outcome.FAILED, Outcome.INTERRUPTED])
def test_a_deploy_counts_once_its_trial_is_over_and_it_came_through(outcome: Outcome) -> None:
    entries = [entry(1, "activate", "1"), entry(2, "deploy", "2"), entry(3, "deploy", "3")]
    assert [str(one) for one in trail(entries)] == ["1", "2", "3"]
    entries[2] = entry(3, "deploy", "3", outcome=outcome)
    assert [str(one) for one in trail(entries)] == ["1", "2"]
    assert [str(one) for one in trail(entries, {Version("3")})] == ["1", "2", "3"]


@given(st.lists(st.sampled_from("123456"), min_size=1, max_size=12))
def test_rollbacks_walk_back_to_the_first_and_then_stop(activations: list[str]) -> None:
    entries = [entry(n, "activate", version) for n, version in enumerate(activations)]
    for _ in range(len(activations)):
        steps = trail(entries)
        target = known_good(steps, steps[-1], set())
        if target is None:
            break
        entries.append(entry(len(entries), "rollback", str(target)))
        assert len(trail(entries)) < len(steps), "a rollback never goes in circles"
    assert trail(entries) == [Version(activations[0])]


def test_a_rollback_never_goes_forward() -> None:
    """1.0 had the ports again by hand between two times of 1.1."""
    steps = ["a 0.9", "a 1.0", "a 1.1", "a 1.0", "a 1.1"]
    went = []
    while went[-1:] != ["r 0.9"]:
        versions = [Version(one) for one in walked(*steps, *went)]
        target = known_good(versions, Version(went[-1][2:] if went else "1.1"), set())
        assert target is not None
        went.append(f"r {target}")
    assert went == ["r 1.0", "r 0.9"]


STEPS = st.lists(st.tuples(st.booleans(), st.sampled_from("12345")), min_size=1, max_size=20)


@given(STEPS, st.sets(st.sampled_from("12345"), max_size=2))
def test_each_rollback_goes_to_what_first_had_the_ports_before(
    steps: list[tuple[bool, str]], marked: set[str]
) -> None:
    """However activations and rollbacks have mixed until then."""
    bad = {Version(one) for one in marked}
    entries: list[Entry] = []
    current: Version | None = None

    def back() -> Version | None:
        target = known_good(trail(entries), current, bad)
        if target is not None:
            entries.append(entry(len(entries), "rollback", str(target)))
        return target

    for forward, version in steps:
        if forward:
            entries.append(entry(len(entries), "activate", version))
            current = Version(version)
        else:
            current = back() or current
    first = {version: place for place, version in reversed(list(enumerate(trail(entries))))}
    foreseen = way_back(trail(entries), current, bad)
    went: list[Version] = []
    while (target := back()) is not None:
        went.append(target)
        current = target
    assert went == foreseen
    assert len(set(went)) == len(went)
    places = [first[version] for version in went]
    assert places == sorted(places, reverse=True)
    assert not bad & set(went)
