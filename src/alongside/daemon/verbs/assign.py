"""`port assign` and `port unassign`: public ports of what is no version of a service."""

from __future__ import annotations

from dataclasses import replace

from alongside.daemon.context import Context
from alongside.daemon.operations import Emit
from alongside.daemon.verbs.change import Asked, Result, carry_out
from alongside.domain.assignment import Assignment, parse_assignments
from alongside.domain.port import Port, parse_ports
from alongside.host.addresses import local_addresses
from alongside.plan.assign import plan_assign, plan_unassign


async def assign(context: Context, text: str, asked: Asked, emit: Emit, *, take: bool) -> Result:
    here = await local_addresses()
    wanted: list[Assignment] = [
        replace(one, on_host=one.address in here) for one in parse_assignments(text)
    ]
    ports: list[Port] = [one.port for one in wanted]
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


async def unassign(context: Context, text: str, asked: Asked, emit: Emit) -> Result:
    plan = plan_unassign(parse_ports(text), await context.observe(""))
    return await carry_out(
        context,
        plan,
        asked,
        emit,
        lambda: [f"{plan.service} is not assigned any more (before: {plan.before})."],
    )
