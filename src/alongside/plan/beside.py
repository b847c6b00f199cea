"""What may run beside what: of a singleton nothing, of anything else every version."""

from __future__ import annotations

from alongside.domain.errors import Conflict
from alongside.domain.release import Release
from alongside.domain.service import Workload
from alongside.plan.observed import Observed


def is_singleton(release: Release) -> bool:
    return release.spec.workload is Workload.SINGLETON


def refuse_beside(release: Release, observed: Observed) -> None:
    """Raises Conflict where a version would run beside a singleton."""
    if is_singleton(release):
        raise Conflict(
            f"{release.service} is a singleton: one of its versions runs, and none beside it.",
            hint=f"alongside activate {release.reference} ends the one that runs and starts this.",
        )
    current = observed.current(release.service)
    if current is not None:
        raise Conflict(
            f"{release.service}@{current.version} runs as a singleton, so {release.reference} "
            "cannot run beside it.",
            hint=f"End it first: alongside deactivate {release.service}",
        )
