"""What the doctor asks of the daemon: it is root on the host's network, and knows what is to be."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace

from alongside.daemon.context import Context
from alongside.daemon.known_images import image_ids
from alongside.doctor.catalogue import HOST
from alongside.doctor.facts import (
    Facts,
    ImageProblem,
    InstanceState,
    PartProblem,
    Unseen,
    Wanted,
)
from alongside.doctor.finding import Json
from alongside.doctor.gather.host import engine_host, host_facts
from alongside.domain.errors import AlongsideError, Conflict
from alongside.engine import ours
from alongside.engine.protocol import Container
from alongside.plan.observed import Observed


async def doctor(context: Context) -> Json:
    """Every check of the host."""
    facts = await host_facts(
        context.engine,
        context.compose,
        engine_host(),
        context.paths.root,
        await _wanted(context),
        await _table(context),
        await _images(context),
    )
    # Following thousands of rules takes a while, in which somebody may want to switch.
    return {"checks": await asyncio.to_thread(_checked, facts)}


def _checked(facts: Facts) -> list[Json]:
    return [check(facts).to_json() for check in HOST]


async def _table(context: Context) -> bool | Unseen:
    if context.lost:
        return Unseen("what it should have is not known, since there is no state")
    try:
        async with context.switching:
            return await context.router.intact()
    except AlongsideError as error:
        return Unseen(error.message)


async def _wanted(context: Context) -> Wanted:
    try:
        containers = {one.name: one for one in await context.engine.containers()}
    except AlongsideError:
        containers = {}
    pool = context.pool
    failing, hanging = context.supervisor.failing(), context.supervisor.hanging()
    parts = [
        PartProblem(said, hangs=False) for name, said in failing.items() if name not in hanging
    ]
    parts += [PartProblem(said, hangs=True) for said in hanging.values()]
    # What has a check of its own.
    others = {context.problems.get("engine"), *(one.message for one in parts)}
    problems = [one for one in context.problems.values() if one not in others]
    return Wanted(
        ruleset=context.wanted(),
        instances=tuple(_instances(context, containers)),
        pool4=pool.ipv4,
        pool6=pool.ipv6 if context.ipv6 else None,
        local_ports=(pool.local_ports.start, pool.local_ports.stop - 1),
        problems=tuple(dict.fromkeys(problems)),
        parts=tuple(parts),
        lacking=await context.healing.lacking(),
    )


def _instances(context: Context, containers: dict[str, Container]) -> Iterator[InstanceState]:
    routed = _routed(context)
    on_host = {
        (one.service, one.version) for one in context.releases.all() if one.spec.host_network
    }
    for one in context.instances.all():
        container = ours.own(containers.get(one.name), one)
        wanted = context.instances.wanted(one)
        state = container.state if container else "none"
        if (state, wanted) == ("paused", "running"):
            state = "paused by hand"  # a standby that is kept paused is well
        yield InstanceState(
            name=one.name,
            reference=f"{one.service}@{one.version}",
            state=state,
            bridge=one.subnet.bridge,
            proxy6=one.subnet.proxy6 if context.ipv6 else None,
            local_ports=tuple((port.protocol.value, port.number) for port in one.local_ports),
            on_host=(one.service, one.version) in on_host,
            wanted=wanted == "running",
            routed=(one.service, str(one.version)) in routed,
        )


def _routed(context: Context) -> set[tuple[str, str]]:
    return {
        (route.service, str(version))
        for route in context.routes.all()
        for version in route.split.versions
    }


async def _images(context: Context) -> tuple[ImageProblem, ...] | Unseen:
    """Releases whose image is gone, or is another one now."""
    releases = context.releases.all()
    try:
        ids = await image_ids(context.engine, releases)
    except AlongsideError as error:
        return Unseen(error.message)
    observed = Observed(context.pool, image_ids=ids)
    routed = _routed(context)
    found = []
    for release in releases:
        try:
            archived = context.paths.archive(release).exists()
            versions = frozenset({release.version} if archived else ())
            replace(observed, archived=versions).has_image(release)
        except Conflict as error:
            needed = (release.service, str(release.version)) in routed
            found.append(ImageProblem(error.message, error.hint, needed))
    return tuple(found)
