"""The document itself: what FastAPI writes of the endpoints, made whole.

`scripts/docs-openapi` writes it to docs/openapi.json; the daemon gives it at /v1/openapi.json.
"""

from __future__ import annotations

from typing import Any

DESCRIPTION = """\
Many versions of a container side by side on one host, and which of them the host's ports reach.

The daemon listens on a Unix socket, `/run/alongside/alongside.sock`; who may write to it may use
all of this. docs/api.md tells the rest, with an example of each request.
"""
TAGS = [
    {"name": "reading", "description": "Who only looks."},
    {"name": "changing", "description": "The verbs. Each answers with a stream of events."},
    {"name": "sending", "description": "Trees of tags, and files that git ignores."},
]
_SERVER = {
    "url": "http://alongside",
    "description": "curl --unix-socket /run/alongside/alongside.sock; any host name will do.",
}
_THEIRS = ("HTTPValidationError", "ValidationError")  # FastAPI's own; ours are problems


def complete(document: dict[str, Any]) -> dict[str, Any]:
    """Add what endpoints share: streams and problems, summaries out of docstrings."""
    from pydantic.json_schema import models_json_schema  # noqa: PLC0415 - when it is asked for

    from alongside.daemon.api.events import Event, Problem  # noqa: PLC0415

    document["info"]["license"] = {"name": "Apache-2.0", "identifier": "Apache-2.0"}
    document["servers"] = [_SERVER]
    _, shared = models_json_schema(
        [(Event, "serialization"), (Problem, "serialization")],
        ref_template="#/components/schemas/{model}",
    )
    schemas = document["components"]["schemas"]
    for name in _THEIRS:
        schemas.pop(name, None)
    schemas |= shared["$defs"]
    document["components"]["schemas"] = dict(sorted(schemas.items()))
    for operations in document["paths"].values():
        for operation in operations.values():
            _operation(operation)
    return document


def _operation(operation: dict[str, Any]) -> None:
    """Its docstring's first sentence is its summary; 422 is FastAPI's, and never answered."""
    operation["responses"].pop("422", None)
    summary, _, rest = operation.pop("description", "").partition("\n\n")
    operation["summary"] = " ".join(summary.split())
    if rest:
        operation["description"] = " ".join(rest.split())
