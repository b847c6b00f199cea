"""Which releases have become too many, and what is never removed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from alongside.domain.history import known_good
from alongside.domain.policy import Retention
from alongside.domain.release import Release
from alongside.domain.version import Dated, Version, newest_first
from alongside.plan.observed import Observed
from alongside.plan.steps import Forget, Plan, Remove, RemoveRelease, Step, Switch


@dataclass(frozen=True, slots=True)
class Sorted:
    """Releases that go, oldest first, and those that stay with the reason why."""

    gone: Sequence[Release]
    kept: Sequence[tuple[Release, str]]


def sort_out(
    service: str,
    retention: Retention,
    observed: Observed,
    *,
    former: Collection[Version],
    alive: Collection[Version],
    now: datetime,
) -> Sorted:
    """`former`: versions that are draining or on standby; `alive`: those whose instance runs.

    A release goes when it is beyond `keep` and older than `keep_for`, as far as they are said.
    """
    releases = {one.version: one for one in observed.releases if one.service == service}
    order = newest_first([Dated(one.version, one.created) for one in releases.values()])
    needed = _needed(service, order, observed, former, alive)
    gone, kept = [], []
    for place, version in enumerate(order):
        release = releases[version]
        why = needed.get(version) or _recent(release, place, retention, now)
        if why:
            kept.append((release, why))
        else:
            gone.append(release)
    return Sorted(gone[::-1], kept)


def _needed(
    service: str,
    order: Sequence[Version],
    observed: Observed,
    former: Collection[Version],
    alive: Collection[Version],
) -> Mapping[Version, str]:
    """What is never removed, whatever is to be kept."""
    one, main = observed.current(service), observed.main(service)
    current = one.version if one else main[0] if main else None
    back = known_good(observed.trail, current, observed.bad)
    routed = observed.routed(service)
    needed: dict[Version, str] = {}
    for version in order:
        if version in routed:
            needed[version] = "has ports"
        elif one is not None and version == one.version:
            needed[version] = "is the one that runs"
        elif version == back:
            needed[version] = "is where a rollback goes"
        elif version in former:
            needed[version] = "is on standby"
        elif version in alive:
            needed[version] = "runs"
        elif version == order[0]:
            needed[version] = "is the newest"
    return needed


def _recent(release: Release, place: int, retention: Retention, now: datetime) -> str:
    if retention.keep is not None and place < retention.keep:
        return f"is among the newest {retention.keep}"
    if retention.keep_for is not None:
        age = (now - release.created).total_seconds()
        if age < retention.keep_for:
            return "is young enough"
    return "" if retention.limited else "nothing says how many to keep"


def plan_remove(release: Release, observed: Observed, *, volumes: bool) -> Plan:
    """All that there is of it."""
    steps: list[Step] = []
    instance = observed.instance(release.service, release.version)
    if instance is not None:
        steps += [Remove(release, instance, volumes), Forget(instance), Switch()]
    steps.append(RemoveRelease(release))
    return Plan("gc", release.service, before="", after=str(release.version), steps=steps)
