"""Whoever refuses, and whatever for: a problem+json, in a sentence and with a remedy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from alongside.domain.errors import Unavailable
from support.served import Served
from support.unix import session

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("api")) as daemon:
        daemon.release("dns", "1.0.0")
        yield daemon


@pytest.fixture
def http(served: Served) -> Iterator[requests.Session]:
    with session(served.socket) as made:
        yield made


def problem(response: requests.Response) -> dict[str, Any]:
    assert response.headers["Content-Type"] == "application/problem+json"
    found: dict[str, Any] = response.json()
    assert set(found) == {"type", "title", "status", "detail", "hint", "log"}
    assert found["type"] == f"urn:alongside:{found['title']}"
    assert found["status"] == response.status_code
    assert found["detail"].endswith((".", "?"))
    return found


@pytest.mark.parametrize(
    ("method", "target", "options", "status", "said"),
    [
        ("GET", "/v1/status?service=dnz", {}, 404, "Did you mean dns?"),
        ("GET", "/v1/status?sevice=dns", {}, 400, "Did you mean service?"),
        ("GET", "/v1/status?service=a&service=b", {}, 400, "given twice"),
        ("GET", "/v1/history?limit=0", {}, 400, "'limit' should be greater than or equal to 1"),
        ("GET", "/v1/statos", {}, 404, "/v1/openapi.json"),
        ("GET", "/", {}, 404, "/v1/openapi.json"),
        ("GET", "/v1/activate", {}, 405, "It takes POST."),
        ("GET", "/v1/operations/99", {}, 404, "alongside history"),
        ("GET", "/v1/logs?reference=dns", {}, 400, "which version"),
        ("POST", "/v1/up", {"data": b"{", "headers": JSON}, 400, "is not JSON"),
        ("POST", "/v1/up", {"data": b"reference=dns"}, 400, "is to be JSON"),
        ("POST", "/v1/up", {"json": {}}, 400, "'reference' is missing"),
        ("POST", "/v1/up", {"json": {"reference": "@"}}, 400, "does not name a version"),
        ("POST", "/v1/up", {"json": {"reference": "a@1", "x": 1}}, 400, "there is no 'x'"),
        ("POST", "/v1/up", {"json": {"reference": "a" * 70_000}}, 413, "at most 64 KiB"),
        ("POST", "/v1/assign", {"json": {"assignments": []}}, 400, "'assignments'"),
        ("PUT", "/v1/shared/dns/%2e%2e/x", {"data": b"x"}, 400, "not a path within"),
        ("PUT", "/v1/shared/.ssh/x", {"data": b"x"}, 400, "not the name of a repository"),
    ],
)
def test_a_refusal_says_what_and_what_to_do(
    http: requests.Session, method: str, target: str, options: Any, status: int, said: str
) -> None:
    found = problem(http.request(method, f"http://alongside{target}", **options))
    assert found["status"] == status
    assert said in f"{found['detail']} {found['hint']}"


def test_what_is_refused_within_an_operation_is_its_last_event(http: requests.Session) -> None:
    response = http.post("http://alongside/v1/up", json={"reference": "dnz@1"})
    (event,) = map(json.loads, response.text.splitlines())
    assert event["event"] == "error"
    assert (event["problem"]["title"], event["problem"]["status"]) == ("not-found", 404)


def test_an_empty_tree_is_none(http: requests.Session, served: Served) -> None:
    _, query = served.source("dns", "2.0.0")
    response = http.post("http://alongside/v1/builds", params=query)
    assert problem(response)["detail"] == "There is no tree in the request."
    assert not list(served.paths.incoming.iterdir())


@pytest.mark.parametrize(
    ("error", "status", "title"),
    [(Unavailable("It is down.", hint="Start it."), 503, "unavailable"), (OSError(5), 500, "bug")],
)
def test_an_engine_that_is_down_and_a_bug(
    tmp_path: Path, error: Exception, status: int, title: str
) -> None:
    with Served(tmp_path) as daemon, session(daemon.socket) as http:
        daemon.release("dns", "1.0.0")
        daemon.change("up", reference="dns@1.0.0")

        async def fails(_: str) -> None:
            raise error

        daemon.context.engine.container = fails  # type: ignore[method-assign, assignment]
        found = problem(http.get("http://alongside/v1/logs?reference=dns@1.0.0"))
        assert (found["status"], found["title"]) == (status, title)
        assert daemon.client.get("/v1/info")["problems"] == [], "it goes on"
