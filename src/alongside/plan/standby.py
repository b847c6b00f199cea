"""How versions that had the ports are kept, once nobody is left on them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from alongside.domain.history import way_back
from alongside.domain.policy import Standby, StandbyAs
from alongside.domain.release import Release
from alongside.domain.version import Version
from alongside.plan.observed import Observed
from alongside.plan.steps import AwaitReady, Pause, Plan, Step, Stop, Wake

ALIVE = ("running", "paused", "restarting")


def kept_as(
    former: Iterable[Version],
    trail: Sequence[Version],
    current: Version | None,
    bad: Collection[Version],
    standby: Standby,
) -> dict[Version, StandbyAs | None]:
    """What is to become of each. The first `standby.keep` that a rollback would come to are
    kept, in the order in which it would; the others are not (None)."""
    back = [one for one in way_back(trail, current, bad) if one != current]
    first = back[: standby.keep]
    return {one: standby.kept_as if one in first else None for one in former}


def plan_keep(release: Release, kept: StandbyAs | None, observed: Observed) -> Plan:
    """A version is probed before it is paused: what does not answer is no standby. One that is
    not kept is stopped."""
    name = str(release.version)
    plan = Plan("standby", release.service, before="", after=name)
    instance = observed.instance(release.service, release.version)
    container = observed.container(instance) if instance else None
    if instance is None or container is None or container.state not in ALIVE:
        return plan
    if release.version in observed.routed(release.service):
        return plan
    steps: list[Step] = []
    if kept in (None, StandbyAs.STOPPED):
        steps.append(Stop(instance))
    elif kept is StandbyAs.PAUSED and container.state != "paused":
        steps += [AwaitReady(release, instance), Pause(instance)]
    elif kept is StandbyAs.RUNNING and container.state == "paused":
        steps += [Wake(instance), AwaitReady(release, instance)]
    return Plan(plan.verb, plan.service, plan.before, plan.after, steps)
