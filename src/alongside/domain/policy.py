"""Policies: what a service's compose file says of deploying it and of keeping what was deployed.

Those of the version that has the ports hold, for itself and for the versions before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

FOREVER = None  # a drain that waits until the last connection has ended by itself


@dataclass(frozen=True, slots=True)
class Watch:
    """For how long a version that was given the ports is on trial, and what ends the trial.

    Durations are in seconds; `length` 0 is no trial at all.
    """

    length: float = 30.0
    every: float = 1.0  # from one probe to the next, while they are answered
    failures: int = 3  # that many in a row are one too many
    within: float = 2.0  # that long may an answer take


class StandbyAs(StrEnum):
    RUNNING = "running"
    PAUSED = "paused"  # frozen: no processor time, and back at once
    STOPPED = "stopped"  # no memory either


@dataclass(frozen=True, slots=True)
class Standby:
    """How the versions that a rollback would go to are kept once nobody is left on them. Those
    beyond `keep` are stopped. Where it is not `said`, it goes for what a deploy has left, and
    what a person switched away from by hand stays as it is."""

    keep: int = 1
    kept_as: StandbyAs = StandbyAs.RUNNING
    said: bool = False


@dataclass(frozen=True, slots=True)
class Retention:
    """Which releases stay: the newest `keep`, and those younger than `keep_for` seconds. None
    says nothing, and where neither says anything every release stays."""

    keep: int | None = None
    keep_for: float | None = None

    @property
    def limited(self) -> bool:
        return self.keep is not None or self.keep_for is not None
