"""The API on its socket. To load it takes longer than to restore what a host routes, so the
daemon loads it meanwhile."""

from __future__ import annotations

from types import FrameType
from typing import Any

import uvicorn

from alongside.daemon.api import create
from alongside.daemon.context import Context
from alongside.daemon.news import News
from alongside.daemon.operations import Operations
from alongside.daemon.peers import PeerProtocol


class Server(uvicorn.Server):
    """Sends those away who wait for a change, before it waits for those who are answered."""

    def __init__(self, news: News, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._news = news

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal ends the serving, and is not raised again after it, as uvicorn would: the daemon
        has still to end what runs and to close its state."""
        super().handle_exit(sig, frame)
        self._captured_signals.clear()

    async def shutdown(self, sockets: Any = None) -> None:
        self._news.end()
        await super().shutdown(sockets)


def server(context: Context, operations: Operations) -> uvicorn.Server:
    return Server(
        context.news,
        uvicorn.Config(
            create(context, operations),
            http=PeerProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=2,
        ),
    )
