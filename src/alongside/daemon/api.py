"""The REST API on the daemon's socket. What it means is docs/api.md; what it does is verbs/."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query, Request
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel, ConfigDict

from alongside import __version__
from alongside.daemon import reads, trees
from alongside.daemon.context import Context
from alongside.daemon.operations import Emit, Event, Operation, Operations
from alongside.daemon.peers import actor
from alongside.daemon.verbs.activate import activate, deactivate, rollback
from alongside.daemon.verbs.assign import assign, unassign
from alongside.daemon.verbs.build import Source, build
from alongside.daemon.verbs.change import Asked, Result, one_version
from alongside.daemon.verbs.stop import rm, stop
from alongside.daemon.verbs.up import up
from alongside.domain.errors import AlongsideError, InvalidInput, NotFound

_LINKED_MAX = 16 << 20  # bytes of one linked file


class Change(BaseModel):
    """The body of every request that changes something."""

    model_config = ConfigDict(extra="forbid")

    message: str = ""
    dry_run: bool = False


class Referring(Change):
    reference: str


class Activation(Referring):
    take: bool = False


class Removal(Referring):
    volumes: bool = False
    force: bool = False


class AssignmentBody(Change):
    assignments: list[str]
    take: bool = False


class PortBody(Change):
    ports: list[str]


class Rollback(Change):
    service: str


def create(context: Context, operations: Operations) -> FastAPI:
    """The application over one context."""
    app = FastAPI(title="alongside", version=__version__, docs_url=None, redoc_url=None)
    app.add_exception_handler(AlongsideError, _problem)
    _reads(app, context, operations)
    _changes(app, context, operations)
    _builds(app, context, operations)
    return app


def _reads(app: FastAPI, context: Context, operations: Operations) -> None:
    @app.get("/v1/info")
    async def info() -> dict[str, Any]:
        return await reads.info(context, os.getpid())

    @app.get("/v1/status")
    async def status(service: str | None = None) -> dict[str, Any]:
        return await reads.status(context, service)

    @app.get("/v1/releases")
    async def releases(service: str | None = None) -> dict[str, Any]:
        return await reads.releases(context, service)

    @app.get("/v1/instances")
    async def instances(service: str | None = None) -> dict[str, Any]:
        return await reads.instances(context, service)

    @app.get("/v1/ports")
    async def ports(service: str | None = None) -> dict[str, Any]:
        return await reads.ports(context, service)

    @app.get("/v1/history")
    async def history(
        service: str | None = None, limit: Annotated[int, Query(ge=1, le=10_000)] = 50
    ) -> dict[str, Any]:
        return reads.history(context, service, limit)

    @app.get("/v1/tags")
    async def tags(tag: str, repository: str) -> dict[str, Any]:
        return reads.tags(context, tag, repository)

    @app.get("/v1/logs")
    async def logs(
        reference: str,
        tail: Annotated[int, Query(ge=0, le=1_000_000)] = 100,
        follow: bool = False,
    ) -> StreamingResponse:
        service, version = one_version(context, reference)
        instance = context.instances.get(service, version)
        name = instance.name if instance else f"{service}-{version}"
        if await context.engine.container(name) is None:
            raise NotFound(
                f"{service}@{version} has no container, so there are no logs.",
                hint=f"Start it: alongside up {service}@{version}",
            )
        lines = context.engine.logs(name, tail=tail, follow=follow)
        return StreamingResponse((f"{line}\n" async for line in lines), media_type="text/plain")

    @app.get("/v1/operations/{number}")
    async def operation(number: int) -> StreamingResponse:
        return _ndjson(operations.get(number))


def _changes(app: FastAPI, context: Context, operations: Operations) -> None:
    def start(
        request: Request,
        body: Change,
        verb: Callable[[Asked, Emit], Awaitable[Result]],
    ) -> StreamingResponse:
        asked = Asked(actor(request), body.message, body.dry_run)
        return _ndjson(operations.start(lambda emit: verb(asked, emit)))

    @app.post("/v1/up")
    async def post_up(body: Referring, request: Request) -> StreamingResponse:
        return start(request, body, lambda asked, emit: up(context, body.reference, asked, emit))

    @app.post("/v1/stop")
    async def post_stop(body: Referring, request: Request) -> StreamingResponse:
        return start(
            request,
            body,
            lambda asked, emit: stop(context, body.reference, asked, emit),
        )

    @app.post("/v1/rm")
    async def post_rm(body: Removal, request: Request) -> StreamingResponse:
        return start(
            request,
            body,
            lambda asked, emit: rm(
                context, body.reference, asked, emit, force=body.force, volumes=body.volumes
            ),
        )

    @app.post("/v1/activate")
    async def post_activate(body: Activation, request: Request) -> StreamingResponse:
        return start(
            request,
            body,
            lambda asked, emit: activate(context, body.reference, asked, emit, take=body.take),
        )

    @app.post("/v1/deactivate")
    async def post_deactivate(body: Referring, request: Request) -> StreamingResponse:
        return start(
            request,
            body,
            lambda asked, emit: deactivate(context, body.reference, asked, emit),
        )

    @app.post("/v1/assign")
    async def post_assign(body: AssignmentBody, request: Request) -> StreamingResponse:
        return start(
            request,
            body,
            lambda asked, emit: assign(context, body.assignments, asked, emit, take=body.take),
        )

    @app.post("/v1/unassign")
    async def post_unassign(body: PortBody, request: Request) -> StreamingResponse:
        return start(request, body, lambda asked, emit: unassign(context, body.ports, asked, emit))

    @app.post("/v1/rollback")
    async def post_rollback(body: Rollback, request: Request) -> StreamingResponse:
        return start(
            request,
            body,
            lambda asked, emit: rollback(context, body.service, asked, emit),
        )


def _builds(app: FastAPI, context: Context, operations: Operations) -> None:
    @app.post("/v1/builds")
    async def post_build(
        request: Request, source: Annotated[Source, Depends(_source)], dry_run: bool = False
    ) -> StreamingResponse:
        archive = await trees.spool(request.stream(), context.paths.incoming)
        asked = Asked(actor(request), "", dry_run)
        return _ndjson(operations.start(lambda emit: build(context, source, archive, asked, emit)))

    @app.get("/v1/shared/{repository}")
    async def shared(repository: str) -> dict[str, Any]:
        folder = context.paths.shared(_plain(repository))
        return {
            "files": sorted(
                str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()
            )
        }

    @app.put("/v1/shared/{repository}/{path:path}")
    async def put_shared(repository: str, path: str, request: Request) -> dict[str, Any]:
        relative = PurePosixPath(path)
        if relative.is_absolute() or ".." in relative.parts or not relative.parts:
            raise InvalidInput(f"{path!r} is not a path within a repository.")
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > _LINKED_MAX:
                raise InvalidInput(f"A linked file has at most {_LINKED_MAX >> 20} MiB.")
        place = context.paths.shared(_plain(repository)) / relative
        return {"path": path, "changed": _write(place, body)}


def _source(
    tag: str,
    commit: str,
    tree: str,
    repository: str,
    source: str,
    compose_file: str = "",
    service: str = "",
) -> Source:
    for name, value in (("commit", commit), ("tree", tree)):
        if not value.isalnum() or len(value) not in (40, 64):
            raise InvalidInput(f"{value!r} is not a git object name ({name}).")
    return Source(tag, commit, tree, _plain(repository), source, compose_file, service)


def _plain(repository: str) -> str:
    if not repository or repository.startswith(".") or "/" in repository:
        raise InvalidInput(f"{repository!r} is not the name of a repository.")
    return repository


def _write(place: Path, body: bytes) -> bool:
    """Whole or not at all, for the daemon's user alone; whether anything changed."""
    if place.is_file() and place.read_bytes() == body:
        return False
    place.parent.mkdir(parents=True, exist_ok=True)
    new = place.with_name(f".{place.name}.new")
    new.touch(mode=0o600)
    new.write_bytes(body)
    new.replace(place)
    return True


def _ndjson(operation: Operation) -> StreamingResponse:
    async def lines() -> AsyncIterator[str]:
        async for event in operation.follow():
            yield _line(event)

    return StreamingResponse(lines(), media_type="application/x-ndjson")


def _line(event: Event) -> str:
    return json.dumps(event, ensure_ascii=False) + "\n"


async def _problem(_: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, AlongsideError):
        raise error
    return JSONResponse(
        error.to_problem(), status_code=error.status, media_type="application/problem+json"
    )
