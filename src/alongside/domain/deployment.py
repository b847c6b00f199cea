"""What is remembered of deploying, beside the routes: trials, marks, holds, and versions that had
the ports."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from alongside.domain.version import Version


class Mark(StrEnum):
    """What a trial, or a person, says of a release."""

    GOOD = "good"
    BAD = "bad"  # it is not activated without force, and a rollback does not go there


@dataclass(frozen=True, slots=True)
class Marked:
    mark: Mark
    reason: str


@dataclass(frozen=True, slots=True)
class Trial:
    """A version that was given the ports and has still to show that it is good.

    `operation` is the deploy that waits for the verdict.
    """

    service: str
    version: Version
    operation: int
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Former:
    """A version that had the ports, and is kept by policy and not by hand.

    `deadline`: when connections that are left are cut, None for never. `drained`: nobody is left.
    `by_hand`: a person switched away from it, with `activate` or `rollback`.
    """

    service: str
    version: Version
    since: datetime
    deadline: datetime | None
    drained: bool = False
    by_hand: bool = False


@dataclass(frozen=True, slots=True)
class Hold:
    """The service follows no new release for now."""

    service: str
    since: datetime
    actor: str
    message: str
