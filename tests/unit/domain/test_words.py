from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from alongside.domain.words import clipped, one_line


def test_what_is_short_is_left_alone() -> None:
    assert clipped("404 Not Found", 13) == "404 Not Found"
    assert one_line(" exit code 1:\n  no zone\n") == "exit code 1: no zone"


def test_what_is_long_ends_in_an_ellipsis() -> None:
    assert clipped("abcdef", 4) == "abc…"
    assert len(one_line("x" * 122_036)) == 500


@given(st.text(), st.integers(min_value=1, max_value=40))
def test_it_is_one_line_of_that_length_at_most(text: str, limit: int) -> None:
    said = one_line(text, limit)
    assert len(said) <= limit
    assert len(said.splitlines()) <= 1
