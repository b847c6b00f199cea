"""The daemon's API over its Unix socket, with little of the standard library: it is loaded at
every start of the command."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import quote, urlencode

from alongside.domain.errors import AlongsideError, Unavailable, from_problem
from alongside.http1 import Response, exchange

DEFAULT_SOCKET = "/run/alongside/alongside.sock"
VARIABLE = "ALONGSIDE_SOCKET"
PATIENCE = 60.0  # seconds without a byte of an answer that is made at once

Json = dict[str, Any]


class Client:
    """The daemon's API. Every method raises what the daemon refused with, or Unavailable."""

    def __init__(self, path: str | None = None, *, patience: float = PATIENCE) -> None:
        self.path = path or os.environ.get(VARIABLE) or DEFAULT_SOCKET
        self._patience = patience

    def get(self, path: str, **query: object) -> Json:
        with self._asking("GET", _target(path, query), patience=self._patience) as response:
            return _document(response)

    def get_bytes(self, path: str) -> bytes:
        with self._asking("GET", _target(path, {}), patience=self._patience) as response:
            return response.read()

    def put(self, path: str, body: bytes) -> Json:
        kind = "application/octet-stream"
        with self._asking("PUT", _target(path, {}), body, kind, self._patience) as response:
            return _document(response)

    def lines(self, path: str, **query: object) -> Iterator[str]:
        """The lines of a text as they come."""
        with self._asking("GET", _target(path, query)) as response:
            for raw in response.lines():
                yield raw.decode(errors="replace")

    def change(self, verb: str, body: Json) -> Iterator[Json]:
        """The events of a change. The last is its result; a refusal is raised."""
        yield from self._events(
            "POST", f"/v1/{verb}", json.dumps(body).encode(), "application/json"
        )

    def abort(self, operation: int) -> Iterator[Json]:
        """Give an operation up; its events from the first."""
        yield from self._events(
            "POST", f"/v1/operations/{operation}/abort", b"", "application/json"
        )

    def build(self, archive: Iterable[bytes], /, **source: object) -> Iterator[Json]:
        """Send a tag's tree as a tar; the events of its build."""
        yield from self._events("POST", _target("/v1/builds", source), archive, "application/x-tar")

    def _events(
        self, method: str, target: str, body: bytes | Iterable[bytes], kind: str
    ) -> Iterator[Json]:
        with self._asking(method, target, body, kind) as response, suppress(ConnectionError):
            for raw in response.lines():
                event: Json = json.loads(raw)
                if event["event"] == "error":
                    raise from_problem(event["problem"])
                yield event
                if event["event"] == "result":
                    return
        raise Unavailable(
            "The daemon ended before it was done.",
            hint="Look at `alongside history` when it runs again: what was not switched is as it "
            "was before.",
        )

    @contextmanager
    def _asking(
        self,
        method: str,
        target: str,
        body: bytes | Iterable[bytes] | None = None,
        kind: str = "",
        patience: float | None = None,
    ) -> Iterator[Response]:
        """The answer, while the block lasts. `patience` None waits for ever: operations take as
        long as they take."""
        connection = self._connect()
        connection.settimeout(patience)
        headers = [("Content-Type", kind)] if kind else []
        try:
            with exchange(connection, method, target, body, headers) as response:
                if response.status >= 400:
                    raise _refusal(response)
                yield response
        except TimeoutError as error:
            raise Unavailable(
                f"The daemon on {self.path} has not answered for {patience:g} seconds.",
                hint="Its log may say why.",
            ) from error
        except ConnectionError as error:
            raise Unavailable(
                f"The daemon on {self.path} broke off: {error or type(error).__name__}.",
                hint="Its log says why.",
            ) from error

    def _connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(self.path)
        except PermissionError as error:
            connection.close()
            raise Unavailable(
                f"You may not speak to the daemon: {self.path} is for root and the group "
                "alongside.",
                hint="usermod -aG alongside YOU and log in again, or use sudo.",
            ) from error
        except OSError as error:
            connection.close()
            raise Unavailable(
                f"The daemon does not answer on {self.path}: {error.strerror or error}.",
                hint="Start it: systemctl start alongside, or alongside daemon. Another socket is "
                f"named by --socket or {VARIABLE}. Ports that are routed go on reaching what they "
                "reach.",
            ) from error
        return connection


def _target(path: str, query: dict[str, object]) -> str:
    given = {
        key: str(value).lower() if isinstance(value, bool) else value
        for key, value in query.items()
        if value not in (None, "")
    }
    return quote(path) + (f"?{urlencode(given)}" if given else "")


def _document(response: Response) -> Json:
    found: Json = json.loads(response.read())
    return found


def _refusal(response: Response) -> AlongsideError:
    try:
        problem = _document(response)
    except ValueError:
        problem = {}
    if isinstance(problem, dict) and isinstance(problem.get("detail"), str):
        return from_problem(problem)
    return AlongsideError(
        f"The daemon answered {response.status} {response.reason}: {problem or 'and no more'}."
    )
