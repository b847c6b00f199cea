"""The API on its socket. To load it takes longer than to restore what a host routes, so the
daemon loads it meanwhile."""

from __future__ import annotations

import uvicorn

from alongside.daemon.api import create
from alongside.daemon.context import Context
from alongside.daemon.operations import Operations
from alongside.daemon.peers import PeerProtocol


def server(context: Context, operations: Operations) -> uvicorn.Server:
    return uvicorn.Server(
        uvicorn.Config(
            create(context, operations),
            http=PeerProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=2,
        )
    )
