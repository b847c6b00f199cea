"""Bringing a version up beside the others."""

from __future__ import annotations

from alongside.domain.errors import Conflict
from alongside.domain.instance import Instance
from alongside.domain.release import Release
from alongside.domain.service import Sharing
from alongside.domain.version import Version
from alongside.plan.addresses import allocate
from alongside.plan.beside import refuse_beside
from alongside.plan.observed import Observed
from alongside.plan.steps import (
    Allocate,
    AwaitReady,
    LoadImage,
    Plan,
    RunBefore,
    Start,
    StartShared,
    Step,
    Wake,
)
from alongside.plan.well import Kind


def plan_up(service: str, version: Version, observed: Observed) -> Plan:
    release = observed.release(service, version)
    refuse_beside(release, observed)
    _, steps = running(release, observed)
    return Plan("up", service, before="", after=str(version), steps=steps)


def running(
    release: Release, observed: Observed, *, for_ports: bool = False
) -> tuple[Instance, list[Step]]:
    """The release's instance, and the steps after which it runs and is ready. `for_ports`: it is
    to have them, so what runs once before that runs first.

    Raises Conflict where its image is gone or another.
    """
    steps: list[Step] = []
    instance = observed.instance(release.service, release.version)
    if instance is None:
        instance = allocate(release, observed)
        steps.append(Allocate(instance))
    observed.refuse_foreign(instance)
    container = observed.container(instance)
    runs = container is not None and container.running
    if container is not None and container.image_id != release.image_id:
        raise Conflict(
            f"The container {instance.name} is not made from the image of {release.reference}.",
            hint=f"Somebody made it anew. Remove it: docker rm -f {instance.name}",
        )
    paused = container is not None and container.state == "paused"
    found = observed.ill(release, instance)
    broken = found is not None and found.kind in (Kind.LOST, Kind.NEEDY)
    before = for_ports and release.version in observed.unprepared
    if before or broken or not (runs or paused):
        steps += prepare(release, observed)
    if before:
        steps.append(RunBefore(release, instance))
    if paused and not broken:
        steps.append(Wake(instance))
    elif broken or not runs:
        steps.append(Start(release, instance))
    steps.append(AwaitReady(release, instance))
    return instance, steps


def prepare(release: Release, observed: Observed) -> list[Step]:
    """What has to be there before a container of the release can be made. Raises Conflict."""
    steps: list[Step] = []
    if not observed.has_image(release):
        steps.append(LoadImage(release))
    shared = tuple(
        dependency.name
        for dependency in release.spec.depends
        if dependency.sharing is Sharing.SHARED
    )
    if shared:
        steps.append(StartShared(release, shared))
    return steps
