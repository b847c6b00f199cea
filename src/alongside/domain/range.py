"""Ranges of versions, as npm reads them (https://github.com/npm/node-semver#ranges)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

import semver

from alongside.domain import npm
from alongside.domain.errors import InvalidInput
from alongside.domain.version import Dated, Version, newest_first

LATEST = "latest"
_LOOKS_LIKE_RANGE = re.compile(r"[\^~<>=|*\s]|^v?\d+(\.\d+)?$|(^|\.)[xX](\.|$)")


def is_range(text: str) -> bool:
    """Whether a text that is no known version may be meant as a range: `1` and `1.2` are, as in
    npm, and `1.2.3`, which only one name could match, is not."""
    return text == LATEST or _LOOKS_LIKE_RANGE.search(text) is not None


def select(text: str, candidates: Iterable[Dated]) -> Version | None:
    """The highest version that matches, None where none does.

    `latest` is the newest release, and a pre-release only where there is nothing else. A range
    is for versions that are SemVer, an optional leading `v` aside; of two with equal precedence
    (`v1.0.0` and `1.0.0`) it takes the later made. It matches a pre-release only where it names
    one of the same MAJOR.MINOR.PATCH: `^1.2.0-beta.1` takes 1.2.0-beta.2 and not 1.3.0-beta.1.

    Raises InvalidInput for a range that cannot be read, whatever there is to choose from.
    """
    dated = list(candidates)
    if text == LATEST:
        stable = [one for one in dated if not is_prerelease(one.version)]
        return next(iter(newest_first(stable or dated)), None)
    matches = parse_range(text)
    matching = [one for one in dated if one.version.semver and matches(str(one.version.semver))]
    return next(iter(newest_first(matching)), None)


def check_range(text: str) -> None:
    """Raises InvalidInput for what is no range."""
    if text != LATEST:
        parse_range(text)


def is_prerelease(version: Version) -> bool:
    return version.semver is not None and version.semver.prerelease is not None


def parse_range(text: str) -> Callable[[str], bool]:
    """Whether a SemVer text is in the range. Raises InvalidInput for what is no range."""
    try:
        alternatives = npm.comparators(text)
    except ValueError:
        raise InvalidInput(
            f"{text!r} is not a range of versions.",
            hint="Write it as npm does: ^1.2, ~1.2.3, 1.x, '>=1.2 <2', '1.2 - 1.4', latest.",
        ) from None
    return lambda version: npm.matches(alternatives, semver.Version.parse(version))
