"""Going back to the last known good version: one switch, never the steps again."""

from __future__ import annotations

from alongside.domain.errors import Conflict
from alongside.domain.history import known_good
from alongside.domain.version import Version
from alongside.plan.activate import plan_activate
from alongside.plan.beside import is_singleton
from alongside.plan.observed import Observed
from alongside.plan.singleton import plan_singleton
from alongside.plan.steps import Plan


def rollback_target(service: str, observed: Observed) -> Version:
    """Raises Conflict where there is nothing to go back to."""
    routed, one = observed.main(service), observed.current(service)
    current = one.version if one else routed[0] if routed else None
    released = {release.version for release in observed.releases if release.service == service}
    versions = [version for version in observed.trail if version in released]
    target = known_good(versions, current, observed.bad)
    if target is None:
        raise Conflict(
            f"There is no version of {service} to go back to: "
            + (
                f"{service}@{current} is the first that had its ports."
                if current
                else "none has had its ports."
            ),
            hint=f"`alongside history {service}` shows what was; "
            f"`alongside activate {service}@VERSION` gives the ports to any release.",
        )
    return target


def plan_rollback(service: str, target: Version, observed: Observed) -> Plan:
    if is_singleton(observed.release(service, target)):
        return plan_singleton(service, target, observed, take=True, verb="rollback")
    # The ports were the service's own a moment ago: nobody else can have come between.
    return plan_activate(service, target, observed, take=True, verb="rollback")
