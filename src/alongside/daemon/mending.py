"""Bringing up what is to run, whatever became of its containers and networks."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from functools import partial

from alongside.compose.override import shared_name
from alongside.daemon import starting
from alongside.daemon.context import Context
from alongside.daemon.images import load_image
from alongside.daemon.projects import instance_project, shared_project
from alongside.daemon.writers import refuse_writers
from alongside.domain.errors import StepFailed
from alongside.domain.instance import Instance
from alongside.domain.release import Release
from alongside.domain.service import Sharing
from alongside.engine.protocol import Container, Project
from alongside.plan.well import Kind, ill

PROJECT = "com.docker.compose.project"  # Compose's labels on what it makes
SERVICE = "com.docker.compose.service"
ONE_OFF = "com.docker.compose.oneoff"


def of_project(containers: Iterable[Container], project: str) -> dict[str, list[Container]]:
    """A Compose project's containers by service, without those that run one command."""
    found: dict[str, list[Container]] = {}
    for one in containers:
        if one.labels.get(PROJECT) == project and one.labels.get(ONE_OFF) != "True":
            found.setdefault(one.labels.get(SERVICE, ""), []).append(one)
    return found


async def bring_up(
    context: Context, release: Release, instance: Instance, *, anew: Collection[str] = ()
) -> Container:
    """The instance's container runs, with the dependencies of its own, each on its networks.

    `anew`: services whose containers are made anew in any case. Anonymous volumes stay with a
    container that is made anew. Raises StepFailed, also where the address is another's, and
    Conflict as `refuse_writers` does.
    """
    await starting.start(
        context,
        instance,
        partial(_bring_up, context, release, instance, anew),
        partial(_bring_up, context, release, instance, [*anew, release.service]),
    )
    container = await context.engine.container(instance.name)
    if container is None:
        raise StepFailed(f"Compose made no container {instance.name}.")
    has = container.ipv4.get(instance.network)
    placed = not release.spec.host_network
    if placed and container.running and has != instance.subnet.address4:
        raise StepFailed(
            f"{instance.name} does not have its address {instance.subnet.address4}.",
            hint=f"Look at who is on its network: docker network inspect {instance.network}",
        )
    context.astray -= {(instance.service, instance.version)}
    return container


async def _bring_up(
    context: Context, release: Release, instance: Instance, anew: Collection[str]
) -> None:
    project = await instance_project(context, release, instance)
    await refuse_writers(context, release, project, [release.service])
    there = of_project(await context.engine.everything(), instance.project)
    await _finish_recreation(context, release, instance, there)
    own = [one.name for one in release.spec.depends if one.sharing is Sharing.OWN]
    await _mend(context, project, own, there, anew)
    placed = None if release.spec.host_network else instance
    remade = await _mend(context, project, [release.service], there, anew, placed)
    if own or not remade:
        await context.compose.up(project, [release.service])


async def start_shared(
    context: Context, release: Release, services: Sequence[str], *, anew: Collection[str] = ()
) -> None:
    """What all versions of the release's repository share runs. One at a time for a repository:
    its Compose project is one."""
    name = shared_name(release.repository)
    async with context.locks[f"shared {release.repository}"]:
        project = await shared_project(context, release)
        await refuse_writers(context, release, project, services)
        there = of_project(await context.engine.everything(), name)
        await _mend(context, project, list(there), there, anew)
        await context.compose.up(project, services)


async def load_if_gone(context: Context, release: Release) -> None:
    """The release's image, from its archive."""
    archived = context.paths.archive(release).exists()
    if archived and await context.engine.image(release.image_id) is None:
        await load_image(context, release)


async def network_ids(context: Context) -> dict[str, str]:
    return {one.name: one.id for one in await context.engine.networks()}


async def _mend(
    context: Context,
    project: Project,
    services: Sequence[str],
    there: dict[str, list[Container]],
    anew: Collection[str],
    instance: Instance | None = None,
) -> list[str]:
    """What Compose's `up` does not do by itself: wake what is paused, and make anew what has lost
    a network. Returns the services of these."""
    networks = await network_ids(context)
    lost = []
    for service in services:
        found = {
            how.kind: one.name
            for one in there.get(service, ())
            if (how := ill(one, networks, instance=instance))
        }
        if Kind.LOST in found or (service in anew and service in there):
            lost.append(service)
        elif Kind.PAUSED in found:
            await context.engine.start(found[Kind.PAUSED])
    if lost:
        await context.compose.recreate(project, lost)
    return lost


async def _finish_recreation(
    context: Context, release: Release, instance: Instance, there: dict[str, list[Container]]
) -> None:
    """While Compose makes a container anew it calls it ID_NAME. Where that was cut off after the
    old one was removed, the new one has the volumes, and only lacks its name."""
    containers = there.get(release.service, [])
    if any(one.name == instance.name for one in containers):
        return
    for number, one in enumerate(containers):
        if one.name.endswith(f"_{instance.name}"):
            await context.engine.rename(one.name, instance.name)
            renamed = await context.engine.container(instance.name)
            if renamed is not None:
                containers[number] = renamed
            return
