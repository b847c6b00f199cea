"""Which new releases are deployed by themselves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alongside.domain.errors import InvalidInput
from alongside.domain.follow import check_follow, next_version, why_not
from alongside.domain.version import Version

from .test_version import dated, semvers


@pytest.mark.parametrize(
    ("text", "version", "reason"),
    [
        ("^1.2", "1.2.0", ""),
        ("^1.2", "1.9.3", ""),
        ("^1.2", "2.0.0", "is not in ^1.2"),
        ("^1.2", "1.3.0-rc.1", "is a pre-release, which ^1.2 does not name"),
        ("^1.3.0-rc.0", "1.3.0-rc.1", ""),
        ("^1.2", "v1.4.0", ""),
        ("^1.2", "2026-11-24", "is not in ^1.2"),
        ("latest", "9.9.9", ""),
        ("latest", "9.9.9-beta", "is a pre-release"),
        ("latest", "blue", ""),
        ("2026-*", "2026-11-24", ""),
        ("2026-*", "2027-01-01", "is not in 2026-*"),
        ("2026-*", "1.0.0", "is SemVer, and 2026-* is a pattern for versions that are not"),
        ("build-???", "build-042", ""),
        ("build-???", "build-1042", "is not in build-???"),
        # A pattern that is a range too is a range to what is SemVer, pre-releases left out.
        ("1.*", "1.4.0", ""),
        ("1.*", "1.4.0-rc.1", "is a pre-release, which 1.* does not name"),
        ("1.*", "1.4.0.7", ""),
    ],
)
def test_why_a_version_is_not_followed_to(text: str, version: str, reason: str) -> None:
    check_follow(text)
    assert why_not(text, Version(version)) == reason


@pytest.mark.parametrize("text", ["newest", "^^1", "1.2.3.4"])
def test_what_is_neither_range_nor_pattern_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="neither a range nor a pattern"):
        check_follow(text)


def following(text: str, current: str, *texts: str, tried: tuple[str, ...] = ()) -> str | None:
    found = next_version(text, Version(current), dated(*texts), {Version(one) for one in tried})
    return None if found is None else str(found)


def test_the_highest_above_the_current_one_that_was_not_tried() -> None:
    releases = ("1.0.0", "1.1.0", "1.2.0", "2.0.0")
    assert following("^1", "1.0.0", *releases) == "1.2.0"
    assert following("^1", "1.0.0", *releases, tried=("1.2.0",)) == "1.1.0"
    assert following("^1", "1.2.0", *releases) is None
    assert following("latest", "1.2.0", *releases) == "2.0.0"


def test_following_never_goes_back() -> None:
    assert following("^1", "2.0.0", "1.0.0", "1.1.0", "2.0.0") is None
    assert following("2026-*", "2026-3", "2026-1", "2026-2", "2026-3") is None
    assert following("2026-*", "2026-2", "2026-1", "2026-2", "2026-10") == "2026-10", "by creation"


@given(st.lists(semvers, min_size=2, max_size=8, unique=True), st.data())
def test_what_is_followed_to_is_higher_and_in_the_range(
    texts: list[str], data: st.DataObject
) -> None:
    current = data.draw(st.sampled_from(texts))
    found = following("latest", current, *texts)
    if found is not None:
        new, old = Version(found).semver, Version(current).semver
        assert new is not None
        assert old is not None
        assert new >= old
        assert new.prerelease is None
