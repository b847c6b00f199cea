"""Ports that follow a range move by themselves when a release comes that matches."""

from __future__ import annotations

import os
from dataclasses import replace

from alongside.daemon.context import Context
from alongside.daemon.locks import holding
from alongside.daemon.operations import Emit
from alongside.daemon.verbs.change import Asked, carry_out, nft_text, ports_text, releases_of
from alongside.domain.errors import AlongsideError
from alongside.domain.history import Actor
from alongside.domain.release import Release
from alongside.plan.follow import followed, plan_follow
from alongside.plan.render import describe


async def follow(context: Context, service: str, emit: Emit) -> list[str]:
    """Lead the service's following ports to what matches now; returns what became of it, for a
    person. A version that does not become ready changes nothing: the ports stay."""
    async with context.locks[f"follow {service}"]:
        return await _follow(context, service, emit)


async def would_follow(context: Context, release: Release) -> tuple[list[str], str]:
    """The steps that would follow on this release's being made, and their nft text."""
    observed = await context.observe(release.service)
    observed = replace(
        observed,
        releases=[*observed.releases, release],
        image_ids={**observed.image_ids, release.image: release.image_id},
    )
    try:
        plan = plan_follow(release.service, observed)
    except AlongsideError as error:
        return [error.message], ""
    if not plan.steps:
        return [], ""
    return [describe(step) for step in plan.steps], await nft_text(context, plan, [release])


async def _follow(context: Context, service: str, emit: Emit) -> list[str]:
    observed = await context.observe(service)
    before, after = observed.routes_of(service), followed(service, observed)
    moved = [new for old, new in zip(before, after, strict=True) if old != new]
    if not moved:
        return []
    ports = [route.port for route in moved]
    versions = dict.fromkeys(one for route in moved for one in route.split.versions)
    releases = releases_of(context, service, *versions)
    old = " ".join(dict.fromkeys(str(one) for r in before if r.follows for one in r.split.versions))
    async with holding(context, releases):
        asked = Asked(Actor(os.geteuid(), "alongside"), f"{ports_text(ports)}: also")
        try:
            plan = plan_follow(service, await context.observe(service, releases))
            await carry_out(context, plan, asked, emit, list)
        except AlongsideError as error:
            stay = "stay" if len(ports) > 1 else "stays"
            return [f"{ports_text(ports)} {stay} with {service}@{old}: {error.message}"]
    reach = "now reach" if len(ports) > 1 else "now reaches"
    return [f"{ports_text(ports)} {reach} {service}@{plan.after} (before: {plan.before})."]
