"""What holds for every request: its query has known names, its JSON is JSON and short."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import aclosing
from typing import Any

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from alongside.domain.errors import InvalidInput, TooLarge
from alongside.domain.nearest import nearest

BODY_MAX = 64 << 10  # bytes of a JSON body

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class StrictRoute(APIRoute):
    """A misspelt or repeated query parameter is refused: left alone, `?sevice=dns` would answer
    another question than the one that was asked, and `?dryrun=true` would build."""

    def get_route_handler(self) -> Handler:
        handle = super().get_route_handler()
        known = list(_query_names(self.dependant))
        takes_json = self.body_field is not None

        async def strict(request: Request) -> Response:
            if request.scope["query_string"]:
                _check_query(request, known)
            if takes_json:
                await _take_json(request)
            return await handle(request)

        return strict


def _query_names(dependant: Dependant) -> Iterator[str]:
    yield from (one.alias for one in dependant.query_params)
    for other in dependant.dependencies:
        yield from _query_names(other)


def _check_query(request: Request, known: list[str]) -> None:
    seen = set()
    for name, _ in request.query_params.multi_items():
        if name not in known:
            raise InvalidInput(
                f"{request.url.path} has no query parameter {name!r}.",
                hint=nearest(name, known, what="it has") if known else "It takes none.",
            )
        if name in seen:
            raise InvalidInput(f"The query parameter {name!r} was given twice.")
        seen.add(name)


async def _take_json(request: Request) -> None:
    """Read the body, which the request then keeps. Raises TooLarge, InvalidInput."""
    request._body = await bounded(request, BODY_MAX, "The body of such a request")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise InvalidInput(
            f"The body is sent as {kind or 'nothing in particular'!r}, and is to be JSON.",
            hint="curl: -H 'Content-Type: application/json'",
        )


async def bounded(request: Request, most: int, what: str) -> bytes:
    """The whole body. Raises TooLarge past `most` bytes, before more of it is read."""
    body = bytearray()
    async with aclosing(request.stream()) as stream:
        async for chunk in stream:
            body += chunk
            if len(body) > most:
                size = f"{most >> 20} MiB" if most >= 1 << 20 else f"{most >> 10} KiB"
                raise TooLarge(f"{what} has at most {size}.")
    return bytes(body)


def mistake(error: RequestValidationError) -> InvalidInput:
    """What the schemas refuse, in a sentence: `reference` is missing; `limit` should be …"""
    found = list(dict.fromkeys(_said(one) for one in error.errors()))
    known = _known(error.errors())
    return InvalidInput(f"The request cannot be meant: {'; '.join(found)}.", hint=known)


def _said(error: dict[str, Any]) -> str:
    where, *keys = error["loc"]
    name = ".".join(str(key) for key in keys)
    kind = error["type"]
    if kind == "json_invalid":
        return f"the body is not JSON ({error['ctx']['error']}, at byte {keys[0]})"
    if not name:
        return "the body is missing" if kind == "missing" else "the body is to be a JSON object"
    if kind == "missing":
        return f"{name!r} is missing from the {where}"
    if kind == "extra_forbidden":
        return f"there is no {name!r}"
    said = str(error["msg"]).removeprefix("Value error, ").removeprefix("Input ")
    said = said.removeprefix("String ").removesuffix(".")
    return f"{name!r} {said[:1].lower()}{said[1:]}"


def _known(errors: Iterable[dict[str, Any]]) -> str:
    if any(error["type"] == "extra_forbidden" for error in errors):
        return "docs/api.md says what the body of each request may hold."
    return ""
