"""Which releases have become too many, and what is never removed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from alongside.domain.deployment import Mark
from alongside.domain.history import Entry, Outcome, known_good
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


@dataclass(frozen=True, slots=True)
class Tried:
    """What has been seen of a service's versions; one that is in neither was not tried yet."""

    through: Collection[Version] = ()
    failed: Collection[Version] = ()


def what_was_tried(
    entries: Iterable[Entry], trail: Collection[Version], marks: Mapping[Version, Mark]
) -> Tried:
    """`through`: those that came through a trial, were marked good, or were given the ports by a
    person, and are not bad. `failed`: those that are marked bad, or whose last deploy failed.
    `entries` are the service's, oldest first."""
    bad = {version for version, mark in marks.items() if mark is Mark.BAD}
    through = {*trail, *(one for one, mark in marks.items() if mark is Mark.GOOD)} - bad
    deploys = [one for one in entries if one.verb == "deploy" and one.after]
    last = {Version(one.after): one.outcome for one in deploys}
    failed = {version for version, outcome in last.items() if outcome is Outcome.FAILED}
    return Tried(through, bad | (failed - through))


def sort_out(
    service: str,
    retention: Retention,
    observed: Observed,
    *,
    former: Collection[Version],
    alive: Collection[Version],
    now: datetime,
    tried: Tried | None = None,
) -> Sorted:
    """`former`: versions that are draining or on standby; `alive`: those whose instance runs;
    `tried`: by default every version has come through but for the bad ones.

    A release goes when it is beyond `keep` and older than `keep_for`, as far as they are said. The
    places of `keep` are for versions that came through. As many that were not tried yet wait for
    their turn beside them, if they are newer than all of those; one that failed has no place.
    """
    releases = {one.version: one for one in observed.releases if one.service == service}
    if tried is None:
        tried = Tried([one for one in releases if one not in observed.bad], observed.bad)
    order = newest_first([Dated(one.version, one.created) for one in releases.values()])
    needed = _needed(service, order, observed, former, alive)
    placed = _placed([releases[version] for version in order], retention.keep or 0, tried)
    gone, kept = [], []
    for version in order:
        release = releases[version]
        why = needed.get(version) or placed.get(version) or _young(release, retention, now)
        if why:
            kept.append((release, why))
        else:
            gone.append(release)
    return Sorted(gone[::-1], kept)


def _placed(order: Sequence[Release], keep: int, tried: Tried) -> Mapping[Version, str]:
    """Those that stay since `keep` says so; `order` is newest first."""
    if not keep:
        return {}
    through = [one for one in order if one.version in tried.through]
    untried = [
        one for one in order if one.version not in tried.through and one.version not in tried.failed
    ]
    if not through:
        return {one.version: f"is among the newest {keep}" for one in untried[:keep]}
    above = set(order[: order.index(through[0])])
    last = max(one.created for one in through)
    waiting = [one for one in untried if one in above or one.created > last]
    return {
        **{one.version: f"is among the newest {keep} that came through" for one in through[:keep]},
        **{one.version: "was not tried yet" for one in waiting[:keep]},
    }


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


def _young(release: Release, retention: Retention, now: datetime) -> str:
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
    steps.append(RemoveRelease(release, data=volumes))
    return Plan("gc", release.service, before="", after=str(release.version), steps=steps)
