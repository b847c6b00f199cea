"""Who only looks."""

from __future__ import annotations

import os
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response, StreamingResponse

from alongside.daemon import reads, watching
from alongside.daemon.api import documents
from alongside.daemon.api.answers import answer, answers, gives_bytes, ndjson, streams, writes
from alongside.daemon.api.bodies import REFERENCE, Flag, Reference, Service, Text
from alongside.daemon.api.route import StrictRoute
from alongside.daemon.context import Context
from alongside.daemon.doctor import doctor as examine
from alongside.daemon.operations import Operations
from alongside.daemon.verbs.change import one_version
from alongside.daemon.verbs.state import content
from alongside.domain.errors import NotFound
from alongside.engine import ours


def reading(context: Context, operations: Operations) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["reading"], route_class=StrictRoute)

    @router.get("/info", **answers(documents.Info))
    async def info() -> Response:
        """Describe the daemon, its engine, and what is wrong."""
        return answer(await reads.info(context, os.getpid()))

    @router.get("/status", **answers(documents.Status, 404))
    async def status(
        request: Request,
        service: Service = None,
        unlike: Annotated[
            Text, Query(description="The revision that is known already.", examples=[""])
        ] = "",
        wait: Annotated[
            int,
            Query(ge=0, le=60, description="Seconds to wait for another revision.", examples=[0]),
        ] = 0,
    ) -> Response:
        """Show services, their versions newest first, and who has the ports.

        With `unlike` and `wait` it answers as soon as something has changed, else when the time
        is up: ask again and again to follow what happens.
        """
        gone = request.is_disconnected
        return answer(await watching.status_unlike(context, service, unlike, wait, gone))

    @router.get("/doctor", **answers(documents.Doctor))
    async def doctor() -> Response:
        """Look for what is wrong on this host, with what it means and the remedy."""
        return answer(await examine(context))

    @router.get("/releases", **answers(documents.Releases, 404))
    async def releases(service: Service = None) -> Response:
        """List releases, newest first."""
        return answer(await reads.releases(context, service))

    @router.get("/instances", **answers(documents.Instances, 404))
    async def instances(service: Service = None) -> Response:
        """List instances, with their addresses and local ports."""
        return answer(await reads.instances(context, service))

    @router.get("/ports", **answers(documents.Ports, 404))
    async def ports(service: Service = None) -> Response:
        """Show where each public port leads."""
        return answer(await reads.ports(context, service))

    @router.get("/history", **answers(documents.History, 404))
    async def history(
        service: Service = None,
        limit: Annotated[
            int, Query(ge=1, le=10_000, description="Operations at most.", examples=[20])
        ] = 50,
    ) -> Response:
        """Show what was done, newest first."""
        return answer(reads.history(context, service, limit))

    @router.get("/names", **answers(documents.Names))
    async def names() -> Response:
        """List services and versions by name alone, without asking the engine."""
        return answer(reads.names(context))

    @router.get("/tags", **answers(documents.Tagged))
    async def tags(
        tag: Annotated[Text, Query(description="The tag's name.", examples=["1.1.0"])],
        repository: Annotated[Text, Query(description="Its repository.", examples=["dns"])],
    ) -> Response:
        """List the releases that were made from a tag."""
        return answer(reads.tags(context, tag, repository))

    @router.get("/logs", **writes(404, 502, 503))
    async def logs(
        reference: Annotated[Reference, Query(description=REFERENCE, examples=["dns@1.1.0"])],
        tail: Annotated[
            int, Query(ge=0, le=1_000_000, description="Lines to begin with.", examples=[20])
        ] = 100,
        follow: Annotated[Flag, Query(description="Go on as it writes.", examples=[False])] = False,
    ) -> StreamingResponse:
        """Show what a version's container writes."""
        service, version = one_version(context, reference)
        instance = context.instances.get(service, version)
        name = instance.name if instance else ""
        if instance is None or not ours.own(await context.engine.container(name), instance):
            raise NotFound(
                f"{service}@{version} has no container, so there are no logs.",
                hint=f"Start it: alongside up {service}@{version}",
            )
        lines = context.engine.logs(name, tail=tail, follow=follow)
        return StreamingResponse((f"{line}\n" async for line in lines), media_type="text/plain")

    @router.get("/state", **gives_bytes("application/vnd.sqlite3", 409))
    async def state() -> Response:
        """Copy the daemon's state: a SQLite file, as `state/restore` takes it."""
        return Response(content(context), media_type="application/vnd.sqlite3")

    @router.get("/operations/{number}", **streams(404))
    async def operation(
        number: Annotated[
            int, Path(description="From its `operation` event, or the history.", examples=[12])
        ],
    ) -> StreamingResponse:
        """Follow an operation that runs, or ended lately, from its first event."""
        return ndjson(operations.get(number))

    return router
