"""`x-alongside.before`: what runs once a release, before it first has the ports."""

from __future__ import annotations

from alongside.daemon.context import Context
from alongside.daemon.operations import Emit
from alongside.daemon.projects import once_project
from alongside.daemon.writers import refuse_writers
from alongside.domain.errors import StepFailed
from alongside.plan.steps import RunBefore


async def run_before(context: Context, step: RunBefore, operation: int, emit: Emit) -> None:
    """In the release's image, with its networks and volumes; what it writes is in the history.

    Raises StepFailed where it fails; it is then run anew the next time. So it is where the
    daemon ends meanwhile. Raises Conflict as `refuse_writers` does.
    """
    release = step.release
    project = await once_project(context, release, step.instance)
    await refuse_writers(context, release, project, [release.service], once=True)
    lines: list[str] = []
    try:
        async for line in context.compose.run(project, release.service, release.spec.before):
            emit({"event": "log", "text": line})
            lines.append(line)
    except StepFailed as error:
        raise StepFailed(
            f"What is to run before {release.reference} has the ports failed: {error.message}",
            hint="Nothing was switched; what it did to what versions share is for you to look at. "
            "It is run again the next time.",
            log=error.log,
        ) from error
    finally:
        if lines:
            context.journal.write(operation, lines)
    context.releases.prepare(release.service, release.version)
