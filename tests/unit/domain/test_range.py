"""Ranges choose what npm would choose."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alongside.domain.errors import InvalidInput
from alongside.domain.range import is_range, select
from alongside.domain.version import Dated, Version

from .test_version import START, dated, semvers

NPM = json.loads(Path(__file__).with_name("npm_ranges.json").read_text())


def chosen(text: str, *texts: str) -> str | None:
    version = select(text, dated(*texts))
    return None if version is None else str(version)


@pytest.mark.parametrize("text", NPM["ranges"])
def test_a_range_matches_what_it_matches_in_npm(text: str) -> None:
    versions = NPM["versions"]
    matching = [one for one in versions if chosen(text, one)]
    assert matching == [versions[place] for place in NPM["ranges"][text]]


@pytest.mark.parametrize("text", NPM["unreadable"])
@pytest.mark.parametrize("versions", [(), ("1.0.0",), ("blue",)])
def test_what_npm_cannot_read_is_refused(text: str, versions: tuple[str, ...]) -> None:
    with pytest.raises(InvalidInput, match="not a range") as refused:
        chosen(text, *versions)
    assert "^1.2" in refused.value.hint


RELEASED = ("1.0.0", "1.2.0", "1.10.0", "2.0.0-rc.1", "0.9.0")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("^1", "1.10.0"),  # the highest, not the last made, and not as text sorts
        ("~1.2", "1.2.0"),
        ("1.x", "1.10.0"),
        (">=1 <1.5", "1.2.0"),
        ("1.0 - 1.2", "1.2.0"),
        ("^2", None),  # a pre-release is not 2
        ("^2.0.0-rc.0", "2.0.0-rc.1"),
        ("^3", None),
        ("latest", "1.10.0"),
    ],
)
def test_the_highest_that_matches_is_chosen(text: str, expected: str | None) -> None:
    assert chosen(text, *RELEASED) == expected


def test_a_leading_v_is_no_obstacle_and_the_later_made_wins() -> None:
    assert chosen("^1", "v1.0.0", "0.1.0") == "v1.0.0"
    assert chosen("^1", "1.0.0", "v1.0.0") == "v1.0.0"
    assert chosen("^1", "v1.0.0", "1.0.0") == "1.0.0"


def test_latest_is_a_prerelease_only_where_there_is_nothing_else() -> None:
    assert chosen("latest", "1.0.0", "1.1.0-rc.1") == "1.0.0"
    assert chosen("latest", "1.1.0-rc.1", "1.1.0-rc.2") == "1.1.0-rc.2"
    assert chosen("latest") is None


def test_latest_of_words_is_the_last_made() -> None:
    assert chosen("latest", "blue", "amber") == "amber"
    assert chosen("latest", "1.0.0", "blue", "0.5.0") == "0.5.0"


def test_words_are_never_in_a_range() -> None:
    assert chosen("*", "blue", "42", "2026.01.15") is None
    assert chosen("*", "blue", "1.0.0") == "1.0.0"


@pytest.mark.parametrize("text", ["latest", "1", "1.2", "v1", "^1.0.0", "1.x", "x", "*", "1 - 2"])
def test_these_may_be_ranges(text: str) -> None:
    assert is_range(text)


@pytest.mark.parametrize("text", ["1.2.3", "v1.2.3", "blue", "1.2.3-rc.x1", "box", "1-2-0", "x86"])
def test_these_can_only_be_names(text: str) -> None:
    assert not is_range(text)


@given(st.lists(semvers, unique=True, max_size=8), st.sampled_from(list(NPM["ranges"])))
def test_what_is_chosen_is_one_of_them_and_none_that_matches_is_higher(
    texts: list[str], text: str
) -> None:
    candidates = [Dated(Version(one), START) for one in texts]
    version = select(text, candidates)
    alone = [one.version for one in candidates if select(text, [one]) is not None]
    assert (version in alone) if alone else version is None
    for other in alone:
        assert version is not None
        assert version.semver is not None
        assert other.semver is not None
        assert version.semver >= other.semver
