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

    A switch puts its version on top; a rollback takes off all that came after its version first
    had the ports, so that a second rollback goes one further back. Were it to stop at the latest
    time that the version had them, what it was rolled back from could stand below, and the second
    rollback would go forward. What was deployed and did not come through its trial is not known
    good, unless it is among the `good`. `entries` are one service's, oldest first.
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
            del versions[versions.index(version) + 1 :]
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


def way_back(
    versions: Sequence[Version], current: Version | None, bad: Collection[Version]
) -> list[Version]:
    """Where one rollback after the other goes, until there is nothing left to go back to."""
    found: list[Version] = []
    while (target := known_good(versions, current, bad)) is not None:
        found.append(target)
        versions = versions[: versions.index(target) + 1]
        current = target
    return found
