"""How long something still lasts whose end is in the store as a time of day.

People set clocks, and so do machines that have just booted. While the daemon lives it goes by the
clock that cannot be set; across its restarts by the time of day, and by no more than the whole
length.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime

from alongside.domain.deployment import Former
from alongside.domain.version import Version


class Countdown:
    """From `since` to `until`, looked at now for the first time. `fresh`: it begins now."""

    def __init__(self, since: datetime, until: datetime, *, fresh: bool = False) -> None:
        passed = 0.0 if fresh else max(0.0, (datetime.now(UTC) - since).total_seconds())
        self._began = time.monotonic() - passed
        self._until = self._began + max(0.0, (until - since).total_seconds())

    @property
    def age(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self._began

    @property
    def left(self) -> float:
        """Seconds until it is over, and 0 from then on."""
        return max(0.0, self._until - time.monotonic())

    def at_least(self, seconds: float) -> None:
        """It lasts as long as that from now on, if not longer."""
        self._until = max(self._until, time.monotonic() + seconds)


class Drains:
    """The countdowns of versions that have left the ports."""

    def __init__(self) -> None:
        self._of: dict[tuple[str, Version], tuple[Former, Countdown]] = {}

    def of(self, former: Former) -> Countdown | None:
        """Until its connections are cut; None where they never are."""
        if former.deadline is None:
            return None
        known = self._of.get((former.service, former.version))
        if known is None or (known[0].since, known[0].deadline) != (former.since, former.deadline):
            known = (former, Countdown(former.since, former.deadline))
            self._of[former.service, former.version] = known
        return known[1]
