"""`stop` and `rm`: a version that nobody is sent to."""

from __future__ import annotations

from dataclasses import replace

from alongside.daemon.context import Context
from alongside.daemon.held import volumes_in_use
from alongside.daemon.operations import Emit
from alongside.daemon.verbs.change import Asked, Result, carry_out, one_version, releases_of
from alongside.plan.stop import plan_rm, plan_stop


async def stop(context: Context, reference: str, asked: Asked, emit: Emit) -> Result:
    service, version = one_version(context, reference)
    async with context.locks[f"{service}@{version}"]:
        observed = await context.observe(service, releases_of(context, service, version))
        plan = plan_stop(service, version, observed)
        result = await carry_out(
            context, plan, asked, emit, lambda: [f"{service}@{version} is stopped."]
        )
        if not asked.dry_run:
            # Also one that has ended, and that would be started again.
            instance = context.instances.get(service, version)
            if instance is not None:
                context.instances.want(instance, "stopped")
            context.healing.wake()
            context.former.forget(service, version)
            context.retirement.wake()
        return result


async def rm(
    context: Context, reference: str, asked: Asked, emit: Emit, *, force: bool, volumes: bool
) -> Result:
    service, version = one_version(context, reference)
    async with context.locks[f"{service}@{version}"]:
        observed = await context.observe(service, releases_of(context, service, version))
        plan = plan_rm(service, version, observed, force=force, volumes=volumes)
        if volumes and plan.steps:
            kept = await volumes_in_use(context, observed.release(service, version))
            plan = replace(plan, notes=(*plan.notes, *kept))
        result = await carry_out(
            context,
            plan,
            asked,
            emit,
            lambda: [
                f"The instance of {service}@{version} is removed; its release and image are kept."
            ],
        )
        if not asked.dry_run:
            context.former.forget(service, version)
            context.retirement.wake()
        return result
