"""npm's semver package is the oracle of ranges: its fixture tables, and its answers."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alongside.domain.errors import InvalidInput
from alongside.domain.follow import why_not
from alongside.domain.range import parse_range
from alongside.domain.version import Version
from support.npm import Npm, npm, table


def is_in(text: str, version: str) -> bool:
    try:
        return parse_range(text)(version)
    except InvalidInput:
        return False


def follows(text: str, version: str) -> bool:
    return not why_not(text, Version(version))


def test_what_its_tables_say_is_in_a_range_is() -> None:
    rows = table("range tests")
    assert [row for row in rows if not is_in(row[0], row[1] or "")] == []
    assert [row for row in rows if not follows(row[0], row[1] or "")] == []


def test_what_its_tables_say_is_in_no_range_is_not() -> None:
    rows = table("negative range tests")
    assert [row for row in rows if is_in(row[0], row[1] or "")] == []
    assert [row for row in rows if follows(row[0], row[1] or "")] == []


def test_what_its_tables_say_can_be_read_can_be_read() -> None:
    for text, canonical in table("valid range test"):
        if canonical is None:
            with pytest.raises(InvalidInput):
                parse_range(text)
        else:
            parse_range(text)


@pytest.fixture(scope="module")
def oracle() -> Iterator[Npm]:
    node = shutil.which("node") or shutil.which("nodejs")
    if node is None:
        # Where a left-out host test is a failure, so is a left-out oracle.
        leave_out = (
            pytest.fail if os.environ.get("ALONGSIDE_HOST_TESTS") == "required" else pytest.skip
        )
        leave_out("there is no node; scripts/setup --for test installs it")
    with npm(node) as process:
        yield process


# Numbers and words that are near each other, so that bounds are hit.
numbers = st.sampled_from(["0", "0", "1", "1", "2", "3", "10"])
pre = st.sampled_from(["", "", "-0", "-1", "-2", "-alpha", "-beta", "-beta.2", "-beta.11", "-rc-1"])
versions = st.builds("{}.{}.{}{}".format, numbers, numbers, numbers, pre)
places = st.one_of(numbers, numbers, st.sampled_from(["x", "X", "*"]))
partials = st.one_of(
    places,
    st.builds("{}.{}".format, places, places),
    st.builds("{}.{}.{}{}".format, places, places, places, pre),
    versions,
    st.builds("{}+build.{}".format, versions, numbers),
)
signs = st.sampled_from(
    ["", "", "^", "~", ">", ">=", "<", "<=", "=", "v", "~>", "^ ", "~ ", "> ", "<= ", "=v", "^v"]
)
words = st.builds("{}{}".format, signs, partials)
odd = st.text(alphabet="0123.xX*^~<>=|- v+ab", max_size=8)
alternatives = st.one_of(
    st.lists(words, min_size=1, max_size=3).map(" ".join),
    st.builds("{} - {}".format, partials, partials),
    st.builds("{}{}".format, words, odd),
    odd,
)
ranges = st.lists(alternatives, min_size=1, max_size=2).map(" || ".join)


@settings(max_examples=300, deadline=None)
@given(text=ranges, asked=st.lists(versions, min_size=8, max_size=24))
def test_it_answers_as_npm_does(oracle: Npm, text: str, asked: list[str]) -> None:
    expected = oracle.ask(text, asked)
    if expected is None:
        with pytest.raises(InvalidInput):
            parse_range(text)
    else:
        assert [parse_range(text)(one) for one in asked] == expected
        if text != "latest":
            assert [follows(text, one) for one in asked] == expected


ODD = """\
^1 <=2.0.0-beta, ~1 <=2.0.0-beta, 1.x <2.0.0-rc.1, >=0.0.0 <=0.0.0-beta, *1.2.3, 1.x.2, 1 - 2.x.3,
^9007199254740991, 9007199254740992.0.0, <9007199254740991, 1.2.3 || *, * || 2.0.0-alpha"""


@pytest.mark.parametrize("text", [one.strip() for one in ODD.split(",")])
def test_the_odd_ones(oracle: Npm, text: str) -> None:
    asked = ["2.0.0-alpha", "2.0.0-0", "0.0.0-alpha", "0.0.0-0", "1.2.3", "1.9.9", "2.1.0"]
    expected = oracle.ask(text, asked)
    found = None
    try:
        found = [parse_range(text)(one) for one in asked]
    except InvalidInput:
        assert expected is None
    assert found == expected
