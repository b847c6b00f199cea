"""Versions: the names of unique states."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import NamedTuple

import semver

from alongside.domain.errors import InvalidInput

# An image tag, as the OCI distribution specification has it.
_IMAGE_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True)
class Version:
    """A valid image tag. Two versions are one only if their texts are: `v1.0.0` is not `1.0.0`."""

    text: str

    def __str__(self) -> str:
        return self.text

    @cached_property
    def semver(self) -> semver.Version | None:
        """The version as SemVer 2.0.0, an optional leading `v` aside; None if it is not one."""
        try:
            return semver.Version.parse(self.text.removeprefix("v"))
        except ValueError:
            return None


def parse_version(text: str) -> Version:
    """Raises InvalidInput for what cannot be an image tag (`+build` metadata among it)."""
    if _IMAGE_TAG.fullmatch(text):
        return Version(text)
    if "+" in text:
        raise InvalidInput(
            f"{text!r} cannot be a version: an image tag cannot hold '+'.",
            hint="Leave the build metadata out, or write it with a hyphen: 1.0.0-build.5.",
        )
    raise InvalidInput(
        f"{text!r} cannot be a version: it is not a valid image tag.",
        hint="Letters, digits, '_', '.' and '-', at most 128, not starting with '.' or '-'.",
    )


class Dated(NamedTuple):
    """A version and when its release was made."""

    version: Version
    created: datetime


def newest_first(versions: Iterable[Dated]) -> list[Version]:
    """By SemVer precedence where all are SemVer (equal precedence: the later created first),
    else by creation; what was made at one time by name, so that the order is always the same."""
    dated = sorted(versions, key=lambda one: (one.created, one.version.text), reverse=True)
    parsed = [(one.version.semver, one.version) for one in dated]
    if all(one is not None for one, _ in parsed):
        parsed.sort(key=lambda pair: pair[0] or semver.Version(0), reverse=True)
    return [version for _, version in parsed]
