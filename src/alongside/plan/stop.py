"""Stopping and removing a version that nobody is sent to."""

from __future__ import annotations

from alongside.domain.errors import Conflict
from alongside.domain.history import known_good
from alongside.domain.version import Version
from alongside.plan.observed import Observed
from alongside.plan.standby import ALIVE
from alongside.plan.steps import Forget, Plan, Remove, Stop, Switch


def plan_stop(service: str, version: Version, observed: Observed) -> Plan:
    """Raises Conflict for a version that is routed to (rule 6)."""
    _refuse_routed(service, version, observed)
    instance = observed.instance(service, version)
    container = observed.container(instance) if instance else None
    if instance is None or container is None or container.state not in ALIVE:
        return Plan("stop", service, "", str(version), reason=f"{service}@{version} does not run.")
    return Plan("stop", service, "", str(version), steps=(Stop(instance),))


def plan_rm(
    service: str,
    version: Version,
    observed: Observed,
    *,
    force: bool = False,
    volumes: bool = False,
) -> Plan:
    """Remove the instance; the release and its image stay.

    Raises Conflict for a version that is routed to, or that a rollback would go to.
    """
    _refuse_routed(service, version, observed)
    routed = observed.main(service)
    standby = known_good(observed.trail, routed[0] if routed else None, observed.bad)
    if version == standby and not force:
        raise Conflict(
            f"{service}@{version} is the version that a rollback of {service} would go to.",
            hint="`alongside stop` keeps it at hand; --force removes its instance all the same "
            "(the release stays, and a rollback makes a new one).",
        )
    instance = observed.instance(service, version)
    if instance is None:
        return Plan("rm", service, "", str(version), reason=f"{service}@{version} has no instance.")
    release = observed.release(service, version)
    return Plan(
        "rm",
        service,
        "",
        str(version),
        steps=(Remove(release, instance, volumes), Forget(instance), Switch()),
    )


def _refuse_routed(service: str, version: Version, observed: Observed) -> None:
    observed.release(service, version)
    one = observed.current(service)
    if one is not None and one.version == version:
        raise Conflict(
            f"{service}@{version} is the one version of a singleton that is to run.",
            hint=f"Run another in its place (alongside activate {service}@VERSION), or none "
            f"(alongside deactivate {service}).",
        )
    if version in observed.routed(service):
        ports = " and ".join(str(route.port) for route in observed.routes_of(service))
        raise Conflict(
            f"{service}@{version} has {ports}, and a version that has ports is not stopped.",
            hint=f"Give them to another version first (alongside activate {service}@VERSION), "
            f"or to none (alongside deactivate {service}).",
        )
