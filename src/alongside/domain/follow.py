"""Following: which new releases of a service are deployed by themselves."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from alongside.domain.errors import InvalidInput
from alongside.domain.range import LATEST, is_prerelease, parse_range
from alongside.domain.tags import matches
from alongside.domain.version import Dated, Version, newest_first


def check_follow(text: str) -> None:
    """Raises InvalidInput for what is neither a range nor a pattern."""
    if text == LATEST or _is_pattern(text):
        return
    try:
        parse_range(text)
    except InvalidInput:
        raise InvalidInput(
            f"x-alongside.follow is {text!r}, which is neither a range nor a pattern.",
            hint="Write a range as npm does (^1.2, ~1.2.3), latest, or for versions that are no "
            "SemVer a pattern of their names: 2026-*, build-?????.",
        ) from None


def why_not(text: str, version: Version) -> str:
    """Why a version is not followed to, as the end of a sentence; empty where it is.

    A version that is SemVer is held to `text` as an npm range, any other to `text` as a pattern
    (`*` any text, `?` one character); `latest` is every version but pre-releases.
    """
    if text == LATEST:
        return "is a pre-release" if is_prerelease(version) else ""
    if version.semver is None:
        return "" if _is_pattern(text) and matches(text, version.text) else f"is not in {text}"
    try:
        is_in = parse_range(text)
    except InvalidInput:
        return f"is SemVer, and {text} is a pattern for versions that are not"
    if is_in(str(version.semver)):
        return ""
    why = f"is not in {text}"
    if is_prerelease(version) and is_in(str(version.semver.finalize_version())):
        why = f"is a pre-release, which {text} does not name"
    return why


def next_version(
    text: str, current: Version, candidates: Iterable[Dated], tried: Collection[Version]
) -> Version | None:
    """The version to deploy next: the highest that is followed to, above the current one, and
    not tried before. None where there is none: following never goes back."""
    dated = {one.version: one for one in candidates}
    if current not in dated:
        return None
    order = newest_first(dated.values())
    for version in order[: order.index(current)]:
        if version not in tried and not why_not(text, version):
            return version
    return None


def _is_pattern(text: str) -> bool:
    return "*" in text or "?" in text
