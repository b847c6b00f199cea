"""npm's grammar of ranges (https://github.com/npm/node-semver#ranges), read strictly.

A range is alternatives (`||`) of comparators that all have to hold; carets, tildes, hyphens and x
are other ways to write two of them. Where npm is odd it is odd here too (`*1.2.3` is 1.2.3), and
the tests hold it to npm's own answers.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence

import semver

Comparator = tuple[Callable[[semver.Version, semver.Version], bool], semver.Version]

_NUMBER = r"(?:0|[1-9][0-9]*)"
_PLACE = rf"({_NUMBER}|[xX*])"
_WORD = rf"(?:[0-9]*[a-zA-Z-][a-zA-Z0-9-]*|{_NUMBER})"
_PRERELEASE = rf"(?:-({_WORD}(?:\.{_WORD})*))?"
_PARTIAL = rf"[v=\s]*{_PLACE}(?:\.{_PLACE}(?:\.{_PLACE}{_PRERELEASE})?)?"

_BUILD = re.compile(r"\+[a-zA-Z0-9-]+(?:\.[a-zA-Z0-9-]+)*")
_HYPHEN = re.compile(rf"\s*(?P<low>{_PARTIAL})\s+-\s+(?P<high>{_PARTIAL})\s*")
_GAPS = (
    (re.compile(r"([<>]=?|=)\s+(?=[v=\s]*[0-9xX*])"), r"\1"),
    (re.compile(r"~>?\s+"), "~"),
    (re.compile(r"\^\s+"), "^"),
)
_CARET = re.compile(rf"\^{_PARTIAL}")
_TILDE = re.compile(rf"~>?{_PARTIAL}")
_SIMPLE = re.compile(rf"([<>]?=?)\s*{_PARTIAL}")
_STAR = re.compile(r"[<>]?=?\s*\*")
_FULL = re.compile(rf"([<>]?=?)\s*v?({_NUMBER})\.({_NUMBER})\.({_NUMBER}){_PRERELEASE}")

_OPERATORS = {
    "": operator.eq,
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_LARGEST = 2**53 - 1  # JavaScript's
_NOTHING = "<0.0.0-0"
_ANYTHING = ">=0.0.0"  # to npm it is no bound, so that it lets a pre-release of 0.0.0 in


def comparators(text: str) -> list[list[Comparator]]:
    """The alternatives of a range. Raises ValueError for what npm cannot read."""
    found = [_alternative(one.strip()) for one in " ".join(text.split()).split("||")]
    # Where one of them is any version at all the others say nothing more, no pre-release either.
    return [[]] if [] in found else found


def matches(alternatives: Sequence[Sequence[Comparator]], version: semver.Version) -> bool:
    """A pre-release has to be named: by a comparator with a pre-release of the same version."""
    if max(version.major, version.minor, version.patch) > _LARGEST:
        return False
    return any(
        all(holds(version, bound) for holds, bound in one)
        and (version.prerelease is None or _names(one, version))
        for one in alternatives
    )


def _names(alternative: Sequence[Comparator], version: semver.Version) -> bool:
    place = version.to_tuple()[:3]
    return any(b.prerelease is not None and b.to_tuple()[:3] == place for _, b in alternative)


def _alternative(text: str) -> list[Comparator]:
    text = _hyphens(_BUILD.sub("", text))
    for gap, closed in _GAPS:
        text = gap.sub(closed, text)
    words = [word for one in text.split(" ") for word in _plain(one).split()]
    return [_comparator(word) for word in words if word != _ANYTHING]


def _hyphens(text: str) -> str:
    """`1.2 - 3.4` is `>=1.2.0 <3.5.0-0`."""
    found = _HYPHEN.fullmatch(text)
    if found is None:
        return text
    _, *low, high, major, minor, patch, prerelease = found.groups()
    if _is_x(low[0]):
        first = ""
    elif _is_x(low[1]):
        first = f">={low[0]}.0.0"
    elif _is_x(low[2]):
        first = f">={low[0]}.{low[1]}.0"
    else:
        first = f">={found['low']}"
    if _is_x(major):
        last = ""
    elif _is_x(minor) or _is_x(patch):
        last = f"<{_next(major, minor)}"
    elif prerelease:
        last = f"<={major}.{minor}.{patch}-{prerelease}"
    else:
        last = f"<={high}"
    return f"{first} {last}".strip()


def _plain(text: str) -> str:
    """One word without `^`, `~` and x; what is none of them comes back as it is."""
    if found := _CARET.fullmatch(text):
        return _from(found, _caret_end(*found.groups()[:3]))
    if found := _TILDE.fullmatch(text):
        return _from(found, _next(*found.groups()[:2]))
    if found := _SIMPLE.fullmatch(text):
        return _STAR.sub("", _without_x(text, *found.groups()[:4]), count=1)
    return _STAR.sub("", text, count=1)


def _from(found: re.Match[str], end: str) -> str:
    major, minor, patch, prerelease = found.groups()
    if _is_x(major):
        return ""
    if _is_x(minor) or _is_x(patch):
        return f">={major}.{0 if _is_x(minor) else minor}.0 <{end}"
    return f">={major}.{minor}.{patch}{f'-{prerelease}' if prerelease else ''} <{end}"


def _caret_end(major: str, minor: str, patch: str) -> str:
    """Above the first number that is not 0."""
    if major != "0" or _is_x(minor):
        return _next(major, None)
    if minor != "0" or _is_x(patch):
        return _next(major, minor)
    return f"{major}.{minor}.{int(patch) + 1}-0"


def _without_x(text: str, sign: str, major: str, minor: str, patch: str) -> str:
    if (_is_x(major) and not _is_x(minor)) or (_is_x(minor) and not _is_x(patch)):
        return text  # nobody can say what is meant
    if _is_x(major):
        return _NOTHING if sign in ("<", ">") else ""
    if not _is_x(patch):
        return text
    start = f"{major}.{0 if _is_x(minor) else minor}.0"
    end = _next(major, minor)
    found = {">": f">={end.removesuffix('-0')}", "<=": f"<{end}", "<": f"<{start}-0"}
    found[">="] = f">={start}"
    return found.get(sign, f">={start} <{end}")


def _next(major: str, minor: str | None) -> str:
    """Below every version after this major, or this minor one."""
    if _is_x(major):
        return ""
    if minor is None or _is_x(minor):
        return f"{int(major) + 1}.0.0-0"
    return f"{major}.{int(minor) + 1}.0-0"


def _comparator(text: str) -> Comparator:
    found = _FULL.fullmatch(text)
    if found is None:
        raise ValueError(text)
    sign, *places, prerelease = found.groups()
    major, minor, patch = (int(one) for one in places)
    if max(major, minor, patch) > _LARGEST:
        raise ValueError(text)
    return _OPERATORS[sign], semver.Version(major, minor, patch, prerelease)


def _is_x(place: str | None) -> bool:
    return place is None or place in "xX*"
