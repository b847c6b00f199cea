"""A version through the gates: ready, checked, given the ports, and watched while it has them."""

from __future__ import annotations

from dataclasses import replace

from alongside.domain.errors import Conflict
from alongside.domain.version import Version
from alongside.plan.activate import plan_activate
from alongside.plan.beside import is_singleton
from alongside.plan.observed import Observed
from alongside.plan.singleton import plan_singleton
from alongside.plan.steps import OpenTrial, Plan


def plan_deploy(
    service: str,
    version: Version,
    observed: Observed,
    *,
    take: bool = False,
    force: bool = False,
    watch: float | None = None,
) -> Plan:
    """`watch`: for how many seconds, in place of what the release itself says.

    Raises Conflict, PortTaken, InvalidInput; and then nothing has been touched.
    """
    release = observed.release(service, version)
    trial = observed.trial
    if trial is not None and trial.version != version:
        raise Conflict(
            f"{service}@{trial.version} was given the ports a moment ago and is still watched, so "
            f"{release.reference} is not deployed now.",
            hint=f"`alongside status {service}` says for how long. To end it: "
            f"alongside mark good {service}@{trial.version}, or alongside rollback {service}.",
        )
    planned = plan_singleton if is_singleton(release) else plan_activate
    plan = planned(service, version, observed, take=take, force=force, verb="deploy")
    seconds = release.spec.watch.length if watch is None else watch
    if not plan.steps or not seconds:
        return plan
    return replace(plan, steps=[*plan.steps, OpenTrial(release, seconds)])
