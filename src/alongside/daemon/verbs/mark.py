"""`mark`: what a person says of a release."""

from __future__ import annotations

from alongside.daemon.context import Context
from alongside.daemon.operations import Emit
from alongside.daemon.verbs.change import Asked, Result, one_version
from alongside.domain.deployment import Mark
from alongside.domain.history import Outcome


async def mark(context: Context, reference: str, asked: Asked, emit: Emit, *, as_: Mark) -> Result:
    """A version on trial is through it, or goes back at once."""
    service, version = one_version(context, reference)
    named = f"{service}@{version}"
    there = context.releases.marks(service).get(version)
    trial = context.trials.get(service)
    on_trial = trial is not None and trial.version == version
    changed = there is None or there.mark is not as_ or on_trial
    result: Result = {
        "verb": "mark",
        "service": service,
        "changed": changed and not asked.dry_run,
        "from": there.mark.value if there else "",
        "to": str(version),
        "dry_run": asked.dry_run,
        "plan": [f"1. mark {named} {as_}"] if changed else [],
        "summary": [f"{named} is marked {as_}."],
    }
    if not changed:
        result["summary"] = [f"{named} is marked {as_} already."]
    elif on_trial and as_ is Mark.BAD:
        result["plan"].append("2. give the ports back to the last known good version")
    if asked.dry_run:
        result["summary"] = ["Nothing was changed; this is what would be done."]
        return result
    operation = context.journal.begin(
        "mark", service, asked.actor, before="", after=str(version), message=asked.message
    )
    emit({"event": "operation", "id": operation, "verb": "mark", "service": service})
    reason = asked.message or f"said {asked.actor.name}"
    context.releases.mark(service, version, as_, reason)
    context.journal.end(operation, Outcome.DONE if changed else Outcome.UNCHANGED, str(as_))
    if on_trial and as_ is Mark.GOOD:
        context.watcher.accept(service, f"good, {reason}")
    elif on_trial:
        await context.watcher.fail(service, version, f"was marked bad by {asked.actor.name}")
    result["summary"] += _what_now(context, service, str(version), as_, was_on_trial=on_trial)
    context.follower.look(service)
    context.retirement.wake()  # a bad one is no standby
    return result


def _what_now(
    context: Context, service: str, version: str, as_: Mark, *, was_on_trial: bool
) -> list[str]:
    has = {
        str(one)
        for route in context.routes.all()
        if route.service == service
        for one in route.split.versions
    }
    if as_ is Mark.BAD and version in has:
        return [f"It has ports all the same: `alongside rollback {service}` takes them back."]
    if was_on_trial and as_ is Mark.BAD:
        return [f"{service}@{' '.join(sorted(has))} has the ports."]
    return []
