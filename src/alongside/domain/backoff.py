"""How long to wait before the next try of what fails."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Backoff:
    """Twice as long after each failure, from `first` to `longest` seconds; from the beginning
    again after it went well."""

    first: float = 1.0
    longest: float = 60.0
    failures: int = 0  # in a row

    def failed(self) -> Backoff:
        return replace(self, failures=self.failures + 1)

    def went_well(self) -> Backoff:
        return replace(self, failures=0)

    @property
    def wait(self) -> float:
        """Seconds until the next try; 0 where nothing has failed."""
        if not self.failures:
            return 0.0
        # The exponent is bounded: a float's is, and nobody waits for 2 to the power of 64.
        return min(self.longest, self.first * 2.0 ** min(self.failures - 1, 63))
