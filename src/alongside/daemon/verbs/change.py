"""What the verbs that change something have in common."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from alongside.daemon.context import Context
from alongside.daemon.executor import Executor
from alongside.daemon.operations import Emit
from alongside.daemon.writers import foreseen
from alongside.domain.history import Actor
from alongside.domain.instance import Instance
from alongside.domain.port import Port
from alongside.domain.reference import parse_reference, resolve
from alongside.domain.release import Release
from alongside.domain.version import Version
from alongside.plan.render import lines
from alongside.plan.steps import Allocate, Plan, RecordAssignments, Remove
from alongside.plan.wanted import wanted_ruleset

Result = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """What came with the request, whatever the verb."""

    actor: Actor
    message: str = ""
    dry_run: bool = False
    # Set when somebody wants a deploy to end, and who that is.
    abort: asyncio.Future[Actor] | None = None


def one_version(context: Context, reference: str) -> tuple[str, Version]:
    """The service and version that a reference means. Raises NotFound, InvalidInput."""
    return resolve(parse_reference(reference), context.known())


async def carry_out(
    context: Context,
    plan: Plan,
    asked: Asked,
    emit: Emit,
    summary: Callable[[], Sequence[str]],
    *,
    executor: Executor | None = None,
) -> Result:
    """Run the plan, or on a dry run say what it would run, to the nft text. Raises Conflict, with
    nothing done, where a container that it starts would be a second server on one's data."""
    plan = replace(plan, notes=[*plan.notes, *await foreseen(context, plan)])
    result: Result = {
        "verb": plan.verb,
        "service": plan.service,
        "changed": bool(plan.steps) and not asked.dry_run,
        "from": plan.before,
        "to": plan.after,
        "ports": [str(route.port) for route in plan.routes or ()],
        "dry_run": asked.dry_run,
        "plan": lines(plan),
        "notes": list(plan.notes),
    }
    if asked.dry_run:
        result["nft"] = await nft_text(context, plan)
        result["summary"] = ["Nothing was changed; this is what would be done."]
        return result
    executor = executor or Executor(context)
    await executor.run(plan, asked.actor, asked.message, emit)
    result["summary"] = [*(summary() if plan.steps else [plan.reason]), *plan.notes]
    if executor.gap is not None:
        result["gap"] = round(executor.gap, 3)
        result["summary"].append(f"None of {plan.service} ran for {executor.gap:.2f} s.")
    return result


async def nft_text(context: Context, plan: Plan, more: Sequence[Release] = ()) -> str:
    """The transactions that the plan's steps would commit, as one text; empty where the table
    stays as it is. `more`: releases that there would be by then."""
    instances = {instance.name: instance for instance in context.instances.all()}
    for step in plan.steps:
        if isinstance(step, Allocate):
            instances[step.instance.name] = step.instance
        elif isinstance(step, Remove):
            instances.pop(step.instance.name, None)
    routes = context.routes.all()
    if plan.routes is not None:
        routes = [route for route in routes if route.service != plan.service]
        routes += plan.routes
    assignments = context.assignments.all()
    for step in plan.steps:
        if isinstance(step, RecordAssignments):
            assignments = [one for one in assignments if one.port not in step.ports]
            assignments += step.assignments
    wanted = wanted_ruleset(
        routes,
        list(instances.values()),
        [*context.releases.all(), *more],
        context.all_bridges(instances.values()),
        assignments,
        proxied=context.proxied,
    )
    return (await context.router.plan(wanted)).text


def ports_text(ports: Sequence[Port]) -> str:
    """`53/udp, 53/tcp and 80/tcp`."""
    names = [str(port) for port in ports]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def local_text(instance: Instance) -> str:
    """`127.0.0.1:20000 (53/udp, 53/tcp)`."""
    numbers: dict[int, list[str]] = {}
    for local in instance.local_ports:
        numbers.setdefault(local.number, []).append(f"{local.target}/{local.protocol}")
    return ", ".join(f"127.0.0.1:{number} ({', '.join(to)})" for number, to in numbers.items())


def releases_of(context: Context, service: str, *versions: Version | None) -> list[Release]:
    found = (context.releases.get(service, version) for version in versions if version)
    return [release for release in found if release is not None]
