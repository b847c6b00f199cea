"""The application over one context: its routes, and refusals in our words whoever refuses."""

from __future__ import annotations

import logging
import sqlite3
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from alongside import __version__
from alongside.daemon.api.changing import changing
from alongside.daemon.api.openapi import DESCRIPTION, TAGS, complete
from alongside.daemon.api.reading import reading
from alongside.daemon.api.route import mistake
from alongside.daemon.api.sending import sending
from alongside.daemon.context import Context
from alongside.daemon.operations import Operations, bug, unreadable
from alongside.domain.errors import AlongsideError, InvalidInput, NotFound

_log = logging.getLogger(__name__)


class _Application(FastAPI):
    def openapi(self) -> dict[str, Any]:
        if not self.openapi_schema:
            self.openapi_schema = complete(super().openapi())
        return self.openapi_schema


def create(context: Context, operations: Operations) -> FastAPI:
    """The application. Its document needs neither argument; requests do."""
    app = _Application(
        title="alongside",
        version=__version__,
        description=DESCRIPTION,
        openapi_tags=TAGS,
        openapi_url="/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
    )
    for kind, handler in (
        (AlongsideError, _refused),
        (RequestValidationError, _mistaken),
        (HTTPException, _elsewhere),
        (ClientDisconnect, _gone),
        (sqlite3.Error, _unreadable),
        (Exception, _bug),
    ):
        app.add_exception_handler(kind, handler)
    for router in (
        reading(context, operations),
        changing(context, operations),
        sending(context, operations),
    ):
        app.include_router(router)
    return app


def _problem(
    problem: dict[str, Any], status: int, headers: dict[str, str] | None = None
) -> JSONResponse:
    media_type = "application/problem+json"
    return JSONResponse(problem, status_code=status, headers=headers, media_type=media_type)


async def _refused(_: Request, error: Exception) -> Response:
    if not isinstance(error, AlongsideError):
        raise error
    return _problem(error.to_problem(), error.status)


async def _mistaken(_: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    refusal = mistake(error)
    return _problem(refusal.to_problem(), refusal.status)


async def _elsewhere(request: Request, error: Exception) -> Response:
    """A path or a method that there is not."""
    if not isinstance(error, HTTPException):
        raise error
    refusal: AlongsideError = InvalidInput(f"The request cannot be meant: {error.detail}.")
    headers = dict(error.headers or {})
    if error.status_code == 404:
        refusal = NotFound(
            f"There is no {request.url.path!r} in this API.",
            hint="GET /v1/openapi.json lists what there is.",
        )
    elif error.status_code == 405:
        takes = headers.get("Allow") or headers.get("allow")
        refusal = InvalidInput(
            f"{request.method} cannot be asked of {request.url.path!r}.",
            hint=f"It takes {takes}." if takes else "",
        )
    problem = {**refusal.to_problem(), "status": error.status_code}
    return _problem(problem, error.status_code, headers)


async def _unreadable(_: Request, error: Exception) -> Response:
    if not isinstance(error, sqlite3.Error):
        raise error
    refusal = unreadable(error)
    return _problem(refusal.to_problem(), refusal.status)


async def _gone(_: Request, __: Exception) -> Response:
    return Response(status_code=400)  # nobody is there to read it


async def _bug(_: Request, error: Exception) -> Response:
    # Starlette raises it again after this answer, and uvicorn logs it whole.
    return _problem(bug(error), 500)
