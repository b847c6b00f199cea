"""A daemon that only listens: it keeps what it is sent, and answers as it is told."""

from __future__ import annotations

import io
import json
import socketserver
import tarfile
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass
class Built:
    """A build that was asked for: its query, and the tar as name -> member."""

    query: dict[str, str]
    files: dict[str, tarfile.TarInfo]
    contents: dict[str, bytes]
    archive: bytes


@dataclass
class StubDaemon:
    path: Path
    releases: list[dict[str, str]] = field(default_factory=list)  # what /v1/tags answers
    answers: dict[str, Any] = field(default_factory=dict)  # path -> JSON of GET
    events: list[dict[str, Any]] | None = None  # of every change; None is a plain success
    built: list[Built] = field(default_factory=list)
    asked: list[tuple[str, str, Any]] = field(default_factory=list)

    def __enter__(self) -> StubDaemon:
        stub = self

        class Handler(_Handler):
            daemon = stub

        self._server = socketserver.ThreadingUnixStreamServer(str(self.path), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self.path.unlink()


class _Handler(BaseHTTPRequestHandler):
    daemon: StubDaemon
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def address_string(self) -> str:
        return "unix"

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        answer = self.daemon.answers.get(url.path, {"problems": []})
        if url.path == "/v1/tags":
            answer = {"releases": self.daemon.releases}
        self._answer(200, "application/json", json.dumps(answer))

    def do_PUT(self) -> None:
        self.daemon.asked.append(("PUT", self.path, self._body()))
        self._answer(200, "application/json", json.dumps({"changed": True}))

    def do_POST(self) -> None:
        url, body = urlsplit(self.path), self._body()
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if url.path == "/v1/builds":
            self.daemon.built.append(_built(query, body))
            name = f"app@{query['tag']}"
            summary = [f"{name} is released"]
        else:
            self.daemon.asked.append(("POST", url.path, json.loads(body)))
            summary = ["done"]
        events = self.daemon.events
        if events is None:
            result = {"summary": summary, "plan": [], "dry_run": False, "changed": True}
            events = [
                {"event": "log", "text": "#1 building"},
                {"event": "result", "result": result},
            ]
        self._answer(
            200, "application/x-ndjson", "".join(f"{json.dumps(event)}\n" for event in events)
        )

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _answer(self, status: int, kind: str, text: str) -> None:
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(data)
        self.close_connection = True


def _built(query: dict[str, str], archive: bytes) -> Built:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        files = {member.name: member for member in tar.getmembers()}
        contents = {
            name: file.read()
            for name, member in files.items()
            if member.isreg() and (file := tar.extractfile(member)) is not None
        }
    return Built(query, files, contents, archive)
