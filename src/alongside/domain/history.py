"""What was done: by whom, when, from what to what, why, and how it ended."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from alongside.domain.version import Version


class Outcome(StrEnum):
    PENDING = "pending"
    DONE = "done"
    UNCHANGED = "unchanged"  # there was nothing to do
    FAILED = "failed"
    INTERRUPTED = "interrupted"  # the daemon ended on the way, and nothing was switched


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asked, from the socket's peer credentials."""

    uid: int
    name: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One operation. `before` and `after` are versions as text, empty for none; `routed` says
    that the routes wanted were changed by it, whatever came later."""

    id: int
    verb: str
    service: str
    at: datetime
    actor: Actor
    before: str
    after: str
    message: str
    outcome: Outcome
    detail: str
    routed: bool
    finished: datetime | None = None


def trail(entries: Iterable[Entry], good: Collection[Version] = ()) -> list[Version]:
    """The versions that a service's ports came through, oldest first, as a rollback walks them.

    A switch puts its version on top; a rollback takes off what stands above the one that it went
    to, so that a second rollback goes one further back, and what was rolled back from is not
    known good. Nor is what was deployed and did not come through its trial, unless it is among
    the `good`. `entries` are one service's, oldest first.
    """
    versions: list[Version] = []
    for entry in entries:
        if not entry.routed or not entry.after or entry.verb == "follow":
            continue
        version = Version(entry.after)
        tried = entry.verb == "deploy" and entry.outcome is not Outcome.DONE
        if tried and version not in good:
            continue
        if entry.verb == "rollback" and version in versions:
            while versions[-1] != version:
                versions.pop()
        elif not versions or versions[-1] != version:
            versions.append(version)
    return versions


def known_good(
    versions: Sequence[Version], current: Version | None, bad: Collection[Version]
) -> Version | None:
    """The version that a rollback goes to: the latest of the trail that is not the current one
    and is not marked bad."""
    for version in reversed(versions):
        if version != current and version not in bad:
            return version
    return None
