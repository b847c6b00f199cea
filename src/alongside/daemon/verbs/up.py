"""`up`: a version runs beside the others, ready, on its local ports."""

from __future__ import annotations

from collections.abc import Sequence

from alongside.daemon.context import Context
from alongside.daemon.operations import Emit
from alongside.daemon.verbs.change import (
    Asked,
    Result,
    carry_out,
    local_text,
    one_version,
    releases_of,
)
from alongside.plan.up import plan_up


async def up(context: Context, reference: str, asked: Asked, emit: Emit) -> Result:
    service, version = one_version(context, reference)

    def summary() -> Sequence[str]:
        instance = context.instances.get(service, version)
        if instance is None:
            return []
        local = local_text(instance)
        return [f"{instance.name} runs and is ready{f', on {local}' if local else ''}."]

    async with context.locks[f"{service}@{version}"]:
        observed = await context.observe(service, releases_of(context, service, version))
        plan = plan_up(service, version, observed)
        result = await carry_out(context, plan, asked, emit, summary)
        if not asked.dry_run:
            context.former.forget(service, version)  # who runs it keeps it
            context.retirement.wake()
        return result
