"""`hold` and `resume`: whether new releases are deployed by themselves."""

from __future__ import annotations

from alongside.daemon.context import Context
from alongside.daemon.operations import Emit
from alongside.daemon.verbs.activate import known_service
from alongside.daemon.verbs.change import Asked, Result
from alongside.domain.history import Outcome


async def hold(context: Context, service: str, asked: Asked, emit: Emit) -> Result:
    known_service(context, service)
    there = context.holds.get(service)
    if there is not None:
        why = f": {there.message}" if there.message else ""
        said = f"{service} is held already, by {there.actor}{why}."
    else:
        said = f"No new release of {service} is deployed by itself: alongside resume {service}"
    return _carry_out(context, "hold", service, asked, emit, changed=there is None, said=[said])


async def resume(context: Context, service: str, asked: Asked, emit: Emit) -> Result:
    known_service(context, service)
    held = context.holds.get(service) is not None
    said = [f"{service} is no longer held." if held else f"{service} was not held."]
    result = _carry_out(context, "resume", service, asked, emit, changed=held, said=said)
    if not asked.dry_run:
        result["summary"] += context.follower.look(service)
    return result


def _carry_out(
    context: Context,
    verb: str,
    service: str,
    asked: Asked,
    emit: Emit,
    *,
    changed: bool,
    said: list[str],
) -> Result:
    result: Result = {
        "verb": verb,
        "service": service,
        "changed": changed and not asked.dry_run,
        "from": "",
        "to": "",
        "dry_run": asked.dry_run,
        "plan": [f"1. {verb} {service}"] if changed else [],
        "summary": said,
    }
    if asked.dry_run:
        result["summary"] = ["Nothing was changed; this is what would be done."]
        return result
    operation = context.journal.begin(
        verb, service, asked.actor, before="", after="", message=asked.message
    )
    emit({"event": "operation", "id": operation, "verb": verb, "service": service})
    if changed and verb == "hold":
        context.holds.hold(service, asked.actor.name, asked.message)
    elif changed:
        context.holds.resume(service)
    context.journal.end(operation, Outcome.DONE if changed else Outcome.UNCHANGED)
    return result
