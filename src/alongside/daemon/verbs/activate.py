"""`activate`, `deactivate` and `rollback`: which version the ports reach."""

from __future__ import annotations

from collections.abc import Sequence

from alongside.daemon import ways
from alongside.daemon.context import Context
from alongside.daemon.locks import holding
from alongside.daemon.operations import Emit
from alongside.daemon.verbs.change import (
    Asked,
    Result,
    carry_out,
    one_version,
    ports_text,
    releases_of,
)
from alongside.domain.errors import NotFound
from alongside.domain.nearest import nearest
from alongside.domain.reference import parse_reference
from alongside.domain.release import Release
from alongside.domain.version import Version
from alongside.plan.activate import plan_activate, plan_deactivate
from alongside.plan.beside import is_singleton
from alongside.plan.follow import also_routes
from alongside.plan.rollback import plan_rollback, rollback_target
from alongside.plan.singleton import plan_end_singleton, plan_singleton
from alongside.plan.steps import Plan


async def activate(
    context: Context, reference: str, asked: Asked, emit: Emit, *, take: bool, force: bool = False
) -> Result:
    service, version = one_version(context, reference)
    releases = await with_others(context, service, version)
    release = releases[0]
    ports = [one.port for one in release.spec.ports] + [one.port for one in release.spec.also]
    async with holding(context, releases):
        observed = await context.observe(service, releases, ports=ports)
        planned = plan_singleton if is_singleton(release) else plan_activate
        plan = planned(service, version, observed, take=take, force=force)
        return await carry_out(
            context, plan, asked, emit, lambda: [*now_reach(plan), *ways.notes(context)]
        )


async def with_others(context: Context, service: str, version: Version) -> list[Release]:
    """The release, and those that its `also` leads to."""
    (release,) = releases_of(context, service, version)
    if not release.spec.also:
        return [release]
    _, others = also_routes(release, await context.observe(service))
    return [release, *(other for other in others if other != release)]


async def deactivate(context: Context, reference: str, asked: Asked, emit: Emit) -> Result:
    service, version = (reference if reference in context.known() else None), None
    if parse_reference(reference).selector or service is None:
        service, version = one_version(context, reference)
    async with context.locks[service]:
        observed = await context.observe(service)
        current = observed.current(service)
        if current is not None and version in (None, current.version):
            plan = plan_end_singleton(service, observed)
        else:
            plan = plan_deactivate(service, version, observed)
        left = set(plan.routes or ())
        had = [route.port for route in observed.routes_of(service) if route not in left]

        def summary() -> Sequence[str]:
            if plan.singleton:
                return [f"No version of {service} runs now (before: {plan.before})."]
            return [f"{ports_text(had)} reach no version of {service} now (before: {plan.before})."]

        return await carry_out(context, plan, asked, emit, summary)


async def rollback(context: Context, reference: str, asked: Asked, emit: Emit) -> Result:
    service = known_service(context, reference)
    target = rollback_target(service, await context.observe(service))
    releases = await with_others(context, service, target)
    async with holding(context, releases):
        observed = await context.observe(service, releases)
        plan = plan_rollback(service, target, observed)
        return await carry_out(context, plan, asked, emit, lambda: now_reach(plan))


def known_service(context: Context, name: str) -> str:
    """Raises NotFound."""
    known = context.known()
    if name not in known:
        raise NotFound(
            f"There is no service {name!r} on this host.", hint=nearest(name, list(known))
        )
    return name


def now_reach(plan: Plan) -> Sequence[str]:
    """What a switch has come to, as sentences."""
    if plan.singleton:
        before = f" (before: {plan.before})" if plan.before else ""
        return [f"{plan.service}@{plan.after} runs as {plan.service}-current{before}."]
    ports = [route.port for route in plan.routes or () if route.follows is None]
    verb = "now reach" if len(ports) > 1 else "now reaches"
    before = f" (before: {plan.before})" if plan.before else ""
    return [
        f"{ports_text(ports)} {verb} {plan.service}@{plan.after}{before}.",
        *(
            f"{route.port} reaches {plan.service}@{version}, as {route.follows.range} says."
            for route in plan.routes or ()
            if route.follows is not None
            for version in route.split.versions
        ),
    ]
