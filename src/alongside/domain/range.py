"""Ranges of versions, as npm reads them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from alongside.domain.errors import InvalidInput
from alongside.domain.version import Dated, Version, newest_first

LATEST = "latest"
_LOOKS_LIKE_RANGE = re.compile(r"[\^~<>=|*\s]|^v?\d+(\.\d+)?$|(^|\.)[xX](\.|$)")


def is_range(text: str) -> bool:
    """Whether a text that is no known version may be meant as a range."""
    return text == LATEST or _LOOKS_LIKE_RANGE.search(text) is not None


def select(text: str, candidates: Iterable[Dated]) -> Version | None:
    """The highest version that matches, None where none does.

    `latest` is the newest release; a pre-release only where there is nothing else. In ranges a
    pre-release matches only where the range names one of the same MAJOR.MINOR.PATCH, as in npm.
    Raises InvalidInput for a range that cannot be read.
    """
    dated = list(candidates)
    if text == LATEST:
        stable = [one for one in dated if not _is_prerelease(one.version)]
        return next(iter(newest_first(stable or dated)), None)
    matching = [one for one in dated if one.version.semver and _satisfies(one.version, text)]
    return next(iter(newest_first(matching)), None)


def _is_prerelease(version: Version) -> bool:
    return version.semver is not None and version.semver.prerelease is not None


def _satisfies(version: Version, text: str) -> bool:
    # Lazily: most invocations name a version and need no ranges.
    import nodesemver  # noqa: PLC0415

    try:
        return bool(nodesemver.satisfies(version.text.removeprefix("v"), text, loose=False))
    except ValueError as error:
        raise InvalidInput(
            f"{text!r} is not a range of versions.",
            hint="Write it as npm does: ^1.2, ~1.2.3, 1.x, '>=1.2 <2', latest.",
        ) from error
