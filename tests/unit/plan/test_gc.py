"""Which releases go, and that what is needed never does."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from alongside.domain.deployment import Mark
from alongside.domain.history import Actor, Entry, Outcome, trail
from alongside.domain.policy import Retention
from alongside.domain.version import Version
from alongside.plan.gc import Tried, plan_remove, sort_out, what_was_tried
from support.examples import routes, world

NAMES = tuple(f"1.{minor}.0" for minor in range(8))
OBSERVED = replace(
    world(*(f"dns@{one}" for one in NAMES), running=("dns@1.6.0",), routed="dns@1.6.0"),
    trail=[Version("1.1.0"), Version("1.2.0"), Version("1.6.0")],
)
END = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=10)  # the last was made three days ago


def gone(
    retention: Retention, *, former: tuple[str, ...] = (), alive: tuple[str, ...] = ()
) -> list[str]:
    found = sort_out(
        "dns",
        retention,
        OBSERVED,
        former={Version(one) for one in former},
        alive={Version(one) for one in alive},
        now=END,
    )
    assert {one.version for one in found.gone} | {one.version for one, _ in found.kept} == {
        Version(one) for one in NAMES
    }
    return [str(one.version) for one in found.gone]


def test_the_newest_stay_and_the_oldest_goes_first() -> None:
    assert gone(Retention(keep=4)) == ["1.0.0", "1.1.0", "1.3.0"]  # 1.2.0 is gone back to


def test_the_young_stay() -> None:
    assert gone(Retention(keep_for=5 * 86400)) == ["1.0.0", "1.1.0", "1.3.0", "1.4.0", "1.5.0"]


def test_of_both_one_is_enough_to_stay() -> None:
    assert gone(Retention(keep=1, keep_for=5 * 86400)) == [
        "1.0.0",
        "1.1.0",
        "1.3.0",
        "1.4.0",
        "1.5.0",
    ]
    assert gone(Retention(keep=6, keep_for=1)) == ["1.0.0", "1.1.0"]


def test_nothing_said_nothing_goes() -> None:
    assert gone(Retention()) == []


def test_what_is_on_standby_and_what_runs_stays() -> None:
    assert gone(Retention(keep=1), former=("1.0.0",), alive=("1.4.0",)) == [
        "1.1.0",
        "1.3.0",
        "1.5.0",
    ]


@given(
    st.integers(0, 9),
    st.sets(st.sampled_from(NAMES)),
    st.sets(st.sampled_from(NAMES)),
)
def test_what_is_needed_stays_whatever_is_said(
    keep: int, former: set[str], alive: set[str]
) -> None:
    left = gone(Retention(keep=keep), former=tuple(former), alive=tuple(alive))
    assert not {"1.6.0", "1.2.0", "1.7.0", *former, *alive} & set(left)


def test_all_that_there_is_of_it_goes_and_the_release_last() -> None:
    steps = plan_remove(OBSERVED.releases[6], OBSERVED, volumes=False).steps
    assert [one.name for one in steps] == ["remove", "forget", "switch", "remove-release"]
    (step,) = plan_remove(OBSERVED.releases[0], OBSERVED, volumes=False).steps
    assert step.name == "remove-release"


# -- which take the places that `keep` gives ---------------------------------------------------


def tried_gone(
    keep: int, through: Collection[str] = (), failed: Collection[str] = (), routed: str = ""
) -> list[str]:
    observed = world(*(f"dns@{one}" for one in NAMES))
    if routed:
        observed = replace(observed, routes=routes("dns", routed))
    found = sort_out(
        "dns",
        Retention(keep=keep),
        observed,
        former=(),
        alive=(),
        now=END,
        tried=Tried({Version(one) for one in through}, {Version(one) for one in failed}),
    )
    return [str(one.version) for one in found.gone]


def test_those_that_failed_take_no_place_of_one_that_is_good() -> None:
    gone = tried_gone(4, through=["1.0.0", "1.1.0"], failed=["1.2.0", "1.3.0", "1.4.0"])
    assert gone == ["1.2.0", "1.3.0", "1.4.0"]


def test_one_that_was_not_tried_waits_while_it_is_newer_than_the_good() -> None:
    assert tried_gone(3, through=["1.2.0", "1.4.0"]) == ["1.0.0", "1.1.0", "1.3.0"]
    assert tried_gone(2, through=["1.2.0", "1.4.0"])[-1] == "1.5.0", "two wait, and not three"
    assert tried_gone(0, through=["1.2.0"], routed="1.2.0")[-1] == "1.6.0", "0 keeps none waiting"


def test_a_fix_of_an_older_line_that_was_built_last_waits_as_well() -> None:
    order = ("1.1.0", "2.0.0", "1.0.0")  # in the order in which they were made
    found = sort_out(
        "dns",
        Retention(keep=1),
        world(*(f"dns@{one}" for one in order)),
        former=(),
        alive=(),
        now=END,
        tried=Tried({Version("2.0.0")}),
    )
    assert [str(one.version) for one in found.gone] == ["1.1.0"]


def test_where_none_came_through_the_newest_stay() -> None:
    assert tried_gone(3, failed=["1.6.0"]) == ["1.0.0", "1.1.0", "1.2.0", "1.3.0", "1.6.0"]


@given(
    st.integers(1, 9),
    st.sets(st.sampled_from(NAMES)),
    st.sets(st.sampled_from(NAMES)),
)
def test_the_newest_that_came_through_stay_whatever_failed(
    keep: int, through: set[str], failed: set[str]
) -> None:
    failed -= through
    gone = tried_gone(keep, through, failed)
    assert not set(sorted(through)[-keep:]) & set(gone)
    assert set(sorted(through)[:-keep]) - {NAMES[-1]} <= set(gone)
    assert failed - {NAMES[-1]} <= set(gone)
    untried = set(NAMES) - through - failed
    waiting = {one for one in untried if not through or one > max(through)}
    assert not set(sorted(waiting)[-keep:]) & set(gone)
    assert untried - set(sorted(waiting)[-keep:]) - {NAMES[-1]} <= set(gone)


def entry(number: int, verb: str, version: str, outcome: Outcome) -> Entry:
    return Entry(number, verb, "dns", END, Actor(0, "a"), "", version, "", outcome, "", routed=True)


def test_what_was_tried_is_read_from_the_history_and_the_marks() -> None:
    entries = [
        entry(1, "deploy", "1", Outcome.DONE),
        entry(2, "deploy", "2", Outcome.FAILED),
        entry(3, "deploy", "3", Outcome.FAILED),
        entry(4, "deploy", "3", Outcome.DONE),
        entry(5, "deploy", "4", Outcome.FAILED),  # and a person says that it is good
        entry(6, "deploy", "5", Outcome.INTERRUPTED),  # it is not its fault
        entry(7, "activate", "6", Outcome.DONE),
        entry(8, "deploy", "7", Outcome.PENDING),
    ]
    marks = {Version("4"): Mark.GOOD, Version("6"): Mark.BAD}
    tried = what_was_tried(entries, trail(entries, {Version("4")}), marks)
    assert set(tried.through) == {Version("1"), Version("3"), Version("4")}
    assert set(tried.failed) == {Version("2"), Version("6")}
