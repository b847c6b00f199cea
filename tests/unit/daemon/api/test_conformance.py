"""schemathesis over all of the API: every answer is one that its document tells of.

A real socket, a real server, real operations; engine, Compose and kernel are strict fakes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from fastapi.routing import APIRoute
from hypothesis import HealthCheck, Phase, settings, strategies

from alongside.daemon.api import create
from alongside.daemon.api.changing import changing
from alongside.daemon.api.reading import reading
from alongside.daemon.api.sending import sending
from support.served import COMPOSE, Served, archive
from support.unix import session

APPLICATION = create(None, None)  # type: ignore[arg-type] # for its document: no request is made
TREE = archive({"compose.yaml": COMPOSE.format(service="dns", port=53), "Dockerfile": "FROM x\n"})

# 413 is as good a refusal of what is malformed and too large as 400 is.
REFUSALS = ["400", "404", "405", "409", "413"]
# That the names in a path have 250 bytes at most, and none is `..`, is more than a pattern says.
LINKED = {
    "include-path": "/v1/shared/{repository}/{path}",
    "checks": {"positive_data_acceptance": {"expected-statuses": ["2xx", "400", "409"]}},
}

schema = schemathesis.openapi.from_dict(
    APPLICATION.openapi(),
    config=schemathesis.Config.from_dict(
        {
            "checks": {"negative_data_rejection": {"expected-statuses": REFUSALS}},
            "operations": [LINKED],
        }
    ),
)
schema.config.update(base_url="http://alongside")
few = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],
)

schemathesis.openapi.media_type(
    "application/x-tar", strategies.sampled_from([TREE, TREE[:700], b"no tar"])
)


@schemathesis.serializer("application/x-tar")
def _tar(_: object, value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


@schemathesis.deserializer("application/x-ndjson")
def _events(_: object, response: Any) -> list[Any]:
    return [json.loads(line) for line in response.content.splitlines()]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """dns@1.0.0 has the ports, and dns@1.1.0 is there."""
    with Served(tmp_path_factory.mktemp("api")) as daemon:
        for version in ("1.0.0", "1.1.0"):
            daemon.release("dns", version)
        daemon.change("activate", reference="dns@1.0.0")
        yield daemon


@pytest.fixture(scope="module")
def http(served: Served) -> Iterator[requests.Session]:
    with session(served.socket) as made:
        yield made


# Not of what writes files wherever it is told to, or puts another state in place of this one.
harmless = schema.exclude(path_regex="^/v1/state/")


@harmless.parametrize()
@few
def test_every_answer_is_as_documented(case: schemathesis.Case, http: requests.Session) -> None:
    response = case.call_and_validate(session=http)
    assert response.status_code != 500  # problem+json, documented or not


def test_the_document_leaves_nothing_out() -> None:
    documented = {(one.ok().path, one.ok().method.upper()) for one in schema.get_all_operations()}
    routers = [make(None, None) for make in (reading, changing, sending)]  # type: ignore[arg-type]
    routes = [one for router in routers for one in router.routes if isinstance(one, APIRoute)]
    served = {(one.path.replace(":path}", "}"), method) for one in routes for method in one.methods}
    assert documented == served


def test_one_request_after_the_other(served: Served) -> None:
    """Along the document's links: what was built is looked for, what was started writes."""
    machine = harmless.as_state_machine()

    class Linked(machine):  # type: ignore[misc, valid-type]
        def get_call_kwargs(self, case: schemathesis.Case) -> dict[str, Any]:
            return {"session": self.http}

        def setup(self) -> None:
            self.http = session(served.socket)

        def teardown(self) -> None:
            self.http.close()

    Linked.run(settings=settings(few, max_examples=10, stateful_step_count=6))
