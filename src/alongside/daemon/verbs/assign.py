"""`port assign` and `port unassign`: public ports of what is no version of a service."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from alongside.daemon.context import Context
from alongside.daemon.operations import Emit
from alongside.daemon.verbs.change import Asked, Result, carry_out
from alongside.domain.assignment import Assignment, parse_assignments
from alongside.domain.errors import InvalidInput
from alongside.domain.port import parse_ports
from alongside.host.addresses import local_addresses
from alongside.plan.assign import plan_assign, plan_unassign


async def assign(
    context: Context, texts: Sequence[str], asked: Asked, emit: Emit, *, take: bool
) -> Result:
    """All of them in one transaction, or none."""
    here = await local_addresses()
    wanted: list[Assignment] = [
        replace(one, on_host=one.address in here)
        for text in texts
        for one in parse_assignments(text)
    ]
    ports = [one.port for one in wanted]
    if not ports or len(set(ports)) != len(ports):
        raise InvalidInput(
            "An assignment names each public port once, and at least one.",
            hint="For example: alongside port assign 80:50080/tcp 443:50443/tcp",
        )
    observed = await context.observe("", ports=ports)
    plan = plan_assign(wanted, observed, take=take)
    before = f" (before: {plan.before})" if plan.before else ""
    return await carry_out(
        context,
        plan,
        asked,
        emit,
        lambda: [f"{plan.service} now reaches {plan.after}{before}."],
    )


async def unassign(context: Context, texts: Sequence[str], asked: Asked, emit: Emit) -> Result:
    ports = [port for text in texts for port in parse_ports(text)]
    plan = plan_unassign(ports, await context.observe(""))
    return await carry_out(
        context,
        plan,
        asked,
        emit,
        lambda: [f"{plan.service} is not assigned any more (before: {plan.before})."],
    )
