from __future__ import annotations

from alongside.domain.backoff import Backoff


def test_it_waits_twice_as_long_each_time_and_never_longer_than_the_longest() -> None:
    backoff = Backoff(first=1, longest=10)
    waits = []
    for _ in range(6):
        backoff = backoff.failed()
        waits.append(backoff.wait)
    assert waits == [1, 2, 4, 8, 10, 10]


def test_it_begins_anew_once_it_went_well() -> None:
    tried = Backoff(first=0.5).failed().failed()
    assert tried.wait == 1
    assert tried.went_well().wait == 0
    assert tried.went_well().failed().wait == 0.5


def test_a_very_long_row_of_failures_is_still_a_number() -> None:
    assert Backoff(longest=30, failures=5000).wait == 30
