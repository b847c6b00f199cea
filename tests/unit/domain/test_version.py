"""Versions: which names are versions, and in what order they stand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alongside.domain.errors import InvalidInput
from alongside.domain.version import Dated, Version, newest_first, parse_version

START = datetime(2026, 1, 1, tzinfo=UTC)

image_tags = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", fullmatch=True)
numbers = st.integers(0, 30).map(str)
identifiers = st.one_of(numbers, st.from_regex(r"[0-9]{0,2}[a-z-][0-9a-z-]{0,3}", fullmatch=True))
semvers = st.builds(
    lambda lead, core, pre: lead + ".".join(core) + ("-" + ".".join(pre) if pre else ""),
    st.sampled_from(["", "v"]),
    st.tuples(numbers, numbers, numbers),
    st.lists(identifiers, max_size=3),
)
moments = st.integers(0, 50).map(lambda hours: START + timedelta(hours=hours))


def dated(*texts: str) -> list[Dated]:
    """Made in the order in which they are named."""
    return [Dated(Version(text), START + timedelta(days=day)) for day, text in enumerate(texts)]


def order(*texts: str) -> list[str]:
    return [str(version) for version in newest_first(dated(*texts))]


@pytest.mark.parametrize(
    "text",
    [
        *(
            "1.0.0",
            "v1.0.0",
            "1.0.0-rc.1",
            "2026.11.23",
            "20261123T131000",
            "42",
            "blue",
            "current",
        ),
        *("_x", "a" * 128, "1-2-0", "1e3", "latest"),
    ],
)
def test_any_image_tag_is_a_version(text: str) -> None:
    assert str(parse_version(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", ".1", "-1", "a/b", "a b", "a" * 129, "1.0:0", "1.0@0", "ä", "1.0\n", "$(id)", "１.０.０"],
)
def test_what_cannot_be_an_image_tag_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="not a valid image tag"):
        parse_version(text)


def test_build_metadata_is_refused_with_what_to_write() -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_version("1.0.0+5")
    assert "'+'" in refused.value.message
    assert "1.0.0-build.5" in refused.value.hint


@given(image_tags)
def test_a_version_is_its_text(text: str) -> None:
    assert parse_version(str(parse_version(text))) == Version(text)


def test_a_leading_v_makes_another_version() -> None:
    assert Version("v1.0.0") != Version("1.0.0")
    assert Version("v1.0.0").semver == Version("1.0.0").semver


@pytest.mark.parametrize("text", ["1.0", "01.0.0", "2026.01.15", "1.0.0-01", "vv1.0.0", "V1.0.0"])
def test_what_only_looks_like_semver_is_not(text: str) -> None:
    assert Version(text).semver is None


def test_semver_orders_as_its_specification_says() -> None:
    """The examples of semver.org, section 11."""
    ascending = [
        *("1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2"),
        *("1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "2.0.0", "2.1.0", "2.1.1"),
    ]
    assert order(*ascending) == ascending[::-1]
    assert order(*ascending[::-1]) == ascending[::-1]


def test_of_equal_precedence_the_later_made_is_newer() -> None:
    assert order("v1.0.0", "1.0.0") == ["1.0.0", "v1.0.0"]
    assert order("1.0.0", "v1.0.0") == ["v1.0.0", "1.0.0"]


def test_one_word_among_them_orders_all_by_creation() -> None:
    assert order("2.0.0", "blue", "1.0.0") == ["1.0.0", "blue", "2.0.0"]


@given(st.lists(st.tuples(st.one_of(semvers, image_tags), moments), unique_by=lambda one: one[0]))
def test_the_order_depends_on_nothing_but_the_versions(pairs: list[tuple[str, datetime]]) -> None:
    versions = [Dated(Version(text), moment) for text, moment in pairs]
    ordered = newest_first(versions)
    assert ordered == newest_first(versions[::-1])
    assert sorted(map(str, ordered)) == sorted(text for text, _ in pairs)


@given(st.lists(st.tuples(semvers, moments), unique_by=lambda one: one[0], max_size=12))
def test_semver_order_is_total_and_transitive(pairs: list[tuple[str, datetime]]) -> None:
    """No later one has a higher precedence than any that stands before it."""
    ordered = newest_first(Dated(Version(text), moment) for text, moment in pairs)
    parsed = [one for version in ordered if (one := version.semver) is not None]
    assert len(parsed) == len(pairs)
    assert all(a >= b for a, b in pairwise(parsed))
    assert all(a >= b for place, a in enumerate(parsed) for b in parsed[place:])
