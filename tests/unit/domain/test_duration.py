from __future__ import annotations

import pytest

from alongside.domain.duration import parse_duration
from alongside.domain.errors import InvalidInput
from alongside.domain.size import size_text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("0", 0),
        ("none", 0),
        ("1m30s", 90),
        ("2h", 7200),
        ("30d", 2592000),
        ("1d12h", 129600),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-1", "1x", "30s1m", "inf", "nan"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="no duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (43_100_000, "43.1 MB"),
        (999_999, "1.0 MB"),
        (123_456_789, "123 MB"),
    ],
)
def test_sizes(count: int, text: str) -> None:
    assert size_text(count) == text
