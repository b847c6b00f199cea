"""The verbs that change something. Each is an operation, which ends whoever follows it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.responses import StreamingResponse

from alongside.daemon.api.answers import ndjson, streams
from alongside.daemon.api.bodies import (
    Activation,
    Assigning,
    Change,
    Collection,
    Deployment,
    Marking,
    Named,
    Rebuilding,
    Referring,
    Removal,
    Restoring,
    Unassigning,
)
from alongside.daemon.api.route import StrictRoute
from alongside.daemon.context import Context
from alongside.daemon.operations import Emit, Operations
from alongside.daemon.peers import actor
from alongside.daemon.verbs.activate import activate, deactivate, rollback
from alongside.daemon.verbs.assign import assign, unassign
from alongside.daemon.verbs.change import Asked, Result
from alongside.daemon.verbs.deploy import deploy
from alongside.daemon.verbs.gc import gc
from alongside.daemon.verbs.hold import hold, resume
from alongside.daemon.verbs.mark import mark
from alongside.daemon.verbs.state import back_up, rebuild, restore
from alongside.daemon.verbs.stop import rm, stop
from alongside.daemon.verbs.up import up
from alongside.domain.deployment import Mark
from alongside.domain.reference import parse_reference


def changing(context: Context, operations: Operations) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["changing"], route_class=StrictRoute)

    def start(
        request: Request, body: Change, verb: Callable[[Asked, Emit], Awaitable[Result]]
    ) -> StreamingResponse:
        if isinstance(body, Referring):
            parse_reference(body.reference)  # what cannot be meant is refused with a 400
        asked = Asked(actor(request), body.message, body.dry_run)
        return ndjson(operations.start(lambda emit: verb(asked, emit)))

    def mend(
        request: Request, body: Change, verb: Callable[[Asked, Emit], Awaitable[Result]]
    ) -> StreamingResponse:
        asked = Asked(actor(request), body.message, body.dry_run)
        return ndjson(operations.start(lambda emit: verb(asked, emit), mends=True))

    @router.post("/up", name="up", **streams(413, links=_LINKS))
    async def post_up(body: Referring, request: Request) -> StreamingResponse:
        """Run a version beside the others, and wait until it is ready."""
        return start(request, body, lambda asked, emit: up(context, body.reference, asked, emit))

    @router.post("/stop", name="stop", **streams(413))
    async def post_stop(body: Referring, request: Request) -> StreamingResponse:
        """Stop a version that has no ports. Its addresses are kept."""
        return start(request, body, lambda asked, emit: stop(context, body.reference, asked, emit))

    @router.post("/rm", name="rm", **streams(413))
    async def post_rm(body: Removal, request: Request) -> StreamingResponse:
        """Remove a version's instance. Its release and image stay."""
        return start(
            request,
            body,
            lambda asked, emit: rm(
                context, body.reference, asked, emit, force=body.force, volumes=body.volumes
            ),
        )

    @router.post("/activate", name="activate", **streams(413, links=_LINKS))
    async def post_activate(body: Activation, request: Request) -> StreamingResponse:
        """Give the service's ports to a version, as one kernel transaction.

        One that does not run is started first, and only a version that is ready gets the ports.
        """
        return start(
            request,
            body,
            lambda asked, emit: activate(
                context, body.reference, asked, emit, take=body.take, force=body.force
            ),
        )

    @router.post("/deploy", name="deploy", **streams(413, links=_LINKS))
    async def post_deploy(body: Deployment, request: Request) -> StreamingResponse:
        """Bring a version through the gates: up, ready, given the ports, and watched; it loses
        them again where it fails. POST /v1/operations/{number}/abort gives it up."""
        parse_reference(body.reference)
        abort = asyncio.get_running_loop().create_future()
        asked = Asked(actor(request), body.message, body.dry_run, abort)
        operation = operations.start(
            lambda emit: deploy(
                context,
                body.reference,
                asked,
                emit,
                take=body.take,
                force=body.force,
                watch=body.watch,
            ),
            abort=abort,
        )
        return ndjson(operation, asked.actor)

    @router.post("/operations/{number}/abort", name="abort", **streams(404, 409))
    async def post_abort(
        number: Annotated[int, Path(description="From its `operation` event.", examples=[12])],
        request: Request,
    ) -> StreamingResponse:
        """Give a deploy up: what was before is again. Answers with its events from the first."""
        return ndjson(operations.abort(number, actor(request)))

    @router.post("/mark", name="mark", **streams(413))
    async def post_mark(body: Marking, request: Request) -> StreamingResponse:
        """Say that a release is good, or bad. One that is watched is through it, or loses the
        ports."""
        return start(
            request,
            body,
            lambda asked, emit: mark(context, body.reference, asked, emit, as_=Mark(body.as_)),
        )

    @router.post("/hold", name="hold", **streams(413))
    async def post_hold(body: Named, request: Request) -> StreamingResponse:
        """Deploy no new release of a service by itself until it is resumed."""
        return start(request, body, lambda asked, emit: hold(context, body.service, asked, emit))

    @router.post("/resume", name="resume", **streams(413))
    async def post_resume(body: Named, request: Request) -> StreamingResponse:
        """Deploy new releases of a service by themselves again, as it follows them."""
        return start(request, body, lambda asked, emit: resume(context, body.service, asked, emit))

    @router.post("/gc", name="gc", **streams(413))
    async def post_gc(body: Collection, request: Request) -> StreamingResponse:
        """Remove releases that are too many, with all that there is of them; never one that is
        in use, nor the one that a rollback goes to."""
        return start(
            request,
            body,
            lambda asked, emit: gc(
                context,
                body.service,
                asked,
                emit,
                keep=body.keep,
                keep_for=body.keep_for,
                volumes=body.volumes,
            ),
        )

    @router.post("/deactivate", name="deactivate", **streams(413))
    async def post_deactivate(body: Referring, request: Request) -> StreamingResponse:
        """Take the ports from a service; with a version, only if that version has them."""
        return start(
            request, body, lambda asked, emit: deactivate(context, body.reference, asked, emit)
        )

    @router.post("/rollback", name="rollback", **streams(413))
    async def post_rollback(body: Named, request: Request) -> StreamingResponse:
        """Give the ports back to the last known good version."""
        return start(
            request, body, lambda asked, emit: rollback(context, body.service, asked, emit)
        )

    @router.post("/assign", name="assign", **streams(413))
    async def post_assign(body: Assigning, request: Request) -> StreamingResponse:
        """Give public ports to whatever listens elsewhere on the host."""
        return start(
            request,
            body,
            lambda asked, emit: assign(context, body.assignments, asked, emit, take=body.take),
        )

    @router.post("/unassign", name="unassign", **streams(413))
    async def post_unassign(body: Unassigning, request: Request) -> StreamingResponse:
        """Take assigned ports back; those and no others."""
        return start(request, body, lambda asked, emit: unassign(context, body.ports, asked, emit))

    @router.post("/state/backup", name="backup", **streams(413))
    async def post_backup(body: Change, request: Request) -> StreamingResponse:
        """Add a copy of the daemon's state to its backups."""
        return mend(request, body, lambda asked, _: back_up(context, asked))

    @router.post("/state/restore", name="restore", **streams(413))
    async def post_restore(body: Restoring, request: Request) -> StreamingResponse:
        """Restore a backup in place of a lost state, brought up to what there is now."""
        return mend(
            request,
            body,
            lambda asked, emit: restore(context, body.file, asked, emit, force=body.force),
        )

    @router.post("/state/rebuild", name="rebuild", **streams(413))
    async def post_rebuild(body: Rebuilding, request: Request) -> StreamingResponse:
        """Rebuild a lost state from the release trees, the engine's labels and the table."""
        return mend(
            request, body, lambda asked, emit: rebuild(context, asked, emit, force=body.force)
        )

    return router


_LINKS: dict[str, Any] = {
    "what it writes": {
        "operationId": "logs",
        "parameters": {"reference": "$request.body#/reference"},
    }
}
