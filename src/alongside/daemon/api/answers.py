"""How the answers of an endpoint are documented, and how an operation's events are streamed."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel
from pydantic_core import to_json

from alongside.daemon.operations import Event, Operation
from alongside.domain.history import Actor

NDJSON = "application/x-ndjson"
PROBLEM = {"$ref": "#/components/schemas/Problem"}
EVENTS = {"type": "array", "items": {"$ref": "#/components/schemas/Event"}}

_REFUSALS = {
    400: "What was sent cannot be meant.",
    404: "What was named is not known.",
    409: "It stands against something that is there.",
    413: "The body is too large.",
    502: "The engine, the kernel or the disk refused.",
    503: "The engine does not answer.",
}


def answers(
    model: type[BaseModel], *refusals: int, links: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """For an endpoint that answers with one document. 400 is among the refusals of all."""
    return _options({"model": model, "description": "Done."}, refusals, links)


def streams(*refusals: int, links: Mapping[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """For one that answers with an operation's events."""
    description = (
        "The events as they happen, a JSON object a line: each line is one item of the array. "
        "The last is `result` or `error`."
    )
    response = {"description": description, "content": {NDJSON: {"schema": EVENTS}}}
    return _options(response, refusals, links) | {"response_class": StreamingResponse} | more


def writes(*refusals: int) -> dict[str, Any]:
    """For one that answers with lines of text."""
    content = {"text/plain": {"schema": {"type": "string"}}}
    options = _options({"description": "Lines.", "content": content}, refusals, None)
    return options | {"response_class": StreamingResponse}


def gives_bytes(kind: str, *refusals: int) -> dict[str, Any]:
    """For one that answers with a file."""
    schema = {"type": "string", "format": "binary"}
    options = _options(
        {"description": "The file.", "content": {kind: {"schema": schema}}}, refusals, None
    )
    return options | {"response_class": Response}


def takes(kind: str, description: str, *, required: bool = True) -> dict[str, Any]:
    """The request body of an endpoint that reads bytes."""
    schema = {"type": "string", "format": "binary"}
    body = {"description": description, "required": required, "content": {kind: {"schema": schema}}}
    return {"requestBody": body}


def _options(
    response: dict[str, Any], refusals: tuple[int, ...], links: Mapping[str, Any] | None
) -> dict[str, Any]:
    if links:
        response["links"] = dict(links)
    described: dict[int | str, dict[str, Any]] = {200: response}
    for status in (400, *refusals):
        content = {"application/problem+json": {"schema": PROBLEM}}
        described[status] = {"description": _REFUSALS[status], "content": content}
    return {"responses": described, "response_model": None}


def answer(document: Mapping[str, Any]) -> Response:
    """A document as it is. The tests hold it to its schema; here nothing looks at it again."""
    return Response(to_json(document), media_type="application/json")


def ndjson(operation: Operation, asked_by: Actor | None = None) -> StreamingResponse:
    """The events as they come. Whoever goes away detaches; but of an operation that can be given
    up, and has not begun, `asked_by` gives it up so: nobody has its number yet."""

    async def lines() -> AsyncIterator[str]:
        try:
            async for event in operation.follow():
                yield _line(event)
        finally:
            if asked_by is not None and not operation.begun:
                operation.give_up(asked_by)

    return StreamingResponse(lines(), media_type=NDJSON)


def _line(event: Event) -> str:
    return json.dumps(event, ensure_ascii=False) + "\n"
