"""Which releases go, and that what is needed never does."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from alongside.domain.policy import Retention
from alongside.domain.version import Version
from alongside.plan.gc import plan_remove, sort_out
from support.examples import world

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
