"""HTTP over the daemon's Unix socket, with nothing but the standard library: it is loaded at
every start of the command."""

from __future__ import annotations

import http.client
import json
import os
import socket
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import quote, urlencode

from alongside.domain.errors import AlongsideError, Unavailable, from_problem

DEFAULT_SOCKET = "/run/alongside/alongside.sock"
VARIABLE = "ALONGSIDE_SOCKET"

Json = dict[str, Any]


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("alongside")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.sock.connect(self._path)
        except PermissionError as error:
            self.close()
            raise Unavailable(
                f"You may not speak to the daemon: {self._path} is for root and the group "
                "alongside.",
                hint="usermod -aG alongside YOU and log in again, or use sudo.",
            ) from error
        except OSError as error:
            self.close()
            raise Unavailable(
                f"The daemon does not answer on {self._path}: {error.strerror or error}.",
                hint="Start it: alongside daemon. Another socket is named by --socket or "
                f"{VARIABLE}. Ports that are routed go on reaching what they reach.",
            ) from error


class Client:
    """The daemon's API. Every method raises what the daemon refused with, or Unavailable."""

    def __init__(self, path: str | None = None) -> None:
        self.path = path or os.environ.get(VARIABLE) or DEFAULT_SOCKET

    def get(self, path: str, **query: object) -> Json:
        with self._request("GET", _target(path, query)) as response:
            found: Json = json.load(response)
            return found

    def put(self, path: str, body: bytes) -> Json:
        with self._request("PUT", _target(path, {}), body) as response:
            found: Json = json.load(response)
            return found

    def lines(self, path: str, **query: object) -> Iterator[str]:
        """The lines of a text as they come."""
        with self._request("GET", _target(path, query)) as response:
            for raw in response:
                yield raw.decode(errors="replace").rstrip("\n")

    def change(self, verb: str, body: Json) -> Iterator[Json]:
        """The events of a change. The last is its result; a refusal is raised."""
        yield from self._events(
            "POST", f"/v1/{verb}", json.dumps(body).encode(), "application/json"
        )

    def build(self, archive: Iterable[bytes], /, **source: object) -> Iterator[Json]:
        """Send a tag's tree as a tar; the events of its build."""
        yield from self._events("POST", _target("/v1/builds", source), archive, "application/x-tar")

    def _events(
        self, method: str, target: str, body: bytes | Iterable[bytes], kind: str
    ) -> Iterator[Json]:
        with self._request(method, target, body, kind) as response:
            for raw in response:
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

    def _request(
        self,
        method: str,
        target: str,
        body: bytes | Iterable[bytes] | None = None,
        kind: str = "application/octet-stream",
    ) -> http.client.HTTPResponse:
        connection = _Connection(self.path)
        headers = {"Connection": "close"}  # so that closing the response closes the socket
        if body is not None:
            headers["Content-Type"] = kind
        # One that refuses before it has read everything breaks off; its answer says why.
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.request(method, target, body=body, headers=headers)
        try:
            response = connection.getresponse()
        except (http.client.HTTPException, OSError) as error:
            connection.close()
            raise Unavailable(
                f"The daemon on {self.path} broke off: {error or type(error).__name__}.",
                hint="Its log says why.",
            ) from error
        if response.status >= 400:
            with response:
                raise _refusal(response)
        return response


def _target(path: str, query: dict[str, object]) -> str:
    given = {
        key: str(value).lower() if isinstance(value, bool) else value
        for key, value in query.items()
        if value not in (None, "")
    }
    return quote(path) + (f"?{urlencode(given)}" if given else "")


def _refusal(response: http.client.HTTPResponse) -> AlongsideError:
    try:
        problem = json.load(response)
    except ValueError:
        problem = {}
    if "detail" in problem and isinstance(problem["detail"], str):
        return from_problem(problem)
    return AlongsideError(
        f"The daemon answered {response.status} {response.reason}: {problem or 'and no more'}."
    )
