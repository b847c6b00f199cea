"""Git tags, and the versions that services make of them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from alongside.domain.version import Version, parse_version


def claims(patterns: Iterable[str], tag: str) -> Version | None:
    """The version that a service with these tag patterns makes of a tag; None if it does not
    claim it.

    In a pattern `*` is any text without a slash and `?` one character. The version is what
    stands after the tag's last slash: `dns/1.3.0` under `dns/*` is 1.3.0, `v1.3.0` under `v*` is
    v1.3.0. Raises InvalidInput for a claimed tag that cannot be an image tag.
    """
    if any(matches(pattern, tag) for pattern in patterns):
        return parse_version(tag.rpartition("/")[2])
    return None


def matches(pattern: str, tag: str) -> bool:
    """Whether the pattern is of the whole of it."""
    translated = "".join(
        "[^/]*" if char == "*" else "[^/]" if char == "?" else re.escape(char) for char in pattern
    )
    return re.fullmatch(translated, tag) is not None
