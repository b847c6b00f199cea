"""The daemon's API on a real socket, over a pretended host: strict fakes in place of engine,
Compose and kernel.

    with Served(tmp_path) as daemon:
        daemon.client.get("/v1/status")
        daemon.release("dns", "1.0.0")        from a tree, as `alongside build` sends it

What it serves with is what the real daemon serves with: uvicorn, peers by their credentials. The
machine's own listeners and addresses are not looked at.
"""

from __future__ import annotations

import asyncio
import io
import tarfile
import threading
from collections.abc import Mapping
from hashlib import sha1
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any
from unittest.mock import patch

import uvicorn

from alongside.client import Client
from alongside.daemon import context as context_module
from alongside.daemon.api import create
from alongside.daemon.context import Context
from alongside.daemon.news import News
from alongside.daemon.parts import attach
from alongside.daemon.paths import StatePaths
from alongside.daemon.peers import PeerProtocol, bind
from alongside.daemon.server import Server
from alongside.daemon.verbs import assign as assign_module
from alongside.engine.fake import FakeCompose, FakeEngine
from alongside.plan.observed import Pool
from alongside.router.fake import FakeRouter
from alongside.store.database import Database

COMPOSE = """\
services:
  {service}:
    image: repo/{service}:${{tag:-latest}}
    build: .
    ports: ["{port}/udp", "{port}/tcp"]
    healthcheck: {{test: "true"}}
    x-alongside: {{ready: health}}
"""


class Served:
    def __init__(self, folder: Path, *, wrap: Any = None) -> None:
        """`wrap` is put around the application."""
        self.paths = StatePaths(folder / "state")
        self.socket = folder / "s"
        self.client = Client(str(self.socket))
        self.context: Context
        self.ports: dict[str, int] = {}
        self._wrap = wrap or (lambda app: app)
        self._ready = threading.Event()
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Served:
        self._thread.start()
        self._ready.wait(30)
        if self._failed:
            raise self._failed
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(30)
        assert not self._thread.is_alive()

    # -- the daemon ------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            self._failed = error
            raise
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        async def none(*_: object, **__: object) -> list[Any]:
            return []

        self.paths.make()
        engine = FakeEngine()
        self.context = Context(
            paths=self.paths,
            pool=Pool(
                IPv4Network("10.213.0.0/16"),
                IPv6Network("fd00:1:2::/48"),
                range(20000, 30000),
            ),
            database=Database(self.paths.database),
            engine=engine,
            compose=FakeCompose(engine),
            router=FakeRouter(),
            socket=str(self.socket),
            ipv6=False,  # no address is put on the machine's loopback
        )
        operations = attach(self.context).operations
        listener = bind(self.socket)
        app = self._wrap(create(self.context, operations))
        self._server = _Server(
            self.context.news,
            uvicorn.Config(
                app,
                http=PeerProtocol,
                ws="none",
                lifespan="off",
                log_config=None,
                server_header=False,
                timeout_graceful_shutdown=2,
            ),
            self._ready,
        )
        with (
            patch.object(context_module, "listeners", none),
            patch.object(context_module, "local_addresses", none),
            patch.object(assign_module, "local_addresses", none),
        ):
            await self._server.serve(sockets=[listener])
            await operations.cancel()
            for task in self.context.background:
                task.cancel()
            await asyncio.gather(*self.context.background, return_exceptions=True)
        listener.close()
        await engine.close()
        self.context.database.close()

    # -- releases --------------------------------------------------------------------------

    def source(self, service: str, version: str) -> tuple[bytes, dict[str, str]]:
        """A tag's tree as a tar, and the query that tells of it."""
        port = self.ports.setdefault(service, 53 + len(self.ports))
        tree = archive(
            {
                "compose.yaml": COMPOSE.format(service=service, port=port),
                "Dockerfile": f"FROM scratch\nLABEL version={version}\n",
            }
        )
        name = sha1(f"{service} {version}".encode()).hexdigest()
        return tree, {
            "tag": version,
            "commit": name,
            "tree": name[::-1],
            "repository": service,
            "source": f"/home/ann/{service}",
        }

    def release(self, service: str, version: str) -> list[dict[str, Any]]:
        tree, query = self.source(service, version)
        return list(self.client.build([tree], **query))

    def change(self, verb: str, **body: object) -> list[dict[str, Any]]:
        return list(self.client.change(verb, body))


class _Server(Server):
    def __init__(self, news: News, config: uvicorn.Config, ready: threading.Event) -> None:
        super().__init__(news, config)
        self._is_ready = ready

    async def startup(self, *arguments: Any, **named: Any) -> None:
        await super().startup(*arguments, **named)
        self._is_ready.set()


def archive(files: Mapping[str, str]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            tar.addfile(info, io.BytesIO(text.encode()))
    return file.getvalue()
