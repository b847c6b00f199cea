"""Who is at the other end of the socket, and the socket itself."""

from __future__ import annotations

import asyncio
import grp
import os
import pwd
import socket
import struct
from pathlib import Path
from typing import Any

from fastapi import Request
from uvicorn.protocols.http.h11_impl import H11Protocol

from alongside.daemon.alone import refuse_answering
from alongside.domain.history import Actor

GROUP = "alongside"
_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid


class PeerProtocol(H11Protocol):
    """uvicorn's HTTP protocol, whose `client` is the peer's user and process.

    A Unix socket has no client address, so the place that ASGI has for one is free.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        peer: Any = transport.get_extra_info("socket")
        raw = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        pid, uid, _ = _CREDENTIALS.unpack(raw)
        self.client = (str(uid), pid)


def actor(request: Request) -> Actor:
    """Who sent the request."""
    uid = int(request.client.host) if request.client else -1
    try:
        return Actor(uid, pwd.getpwuid(uid).pw_name)
    except (KeyError, OverflowError):
        return Actor(uid, f"uid {uid}")


def bind(path: Path) -> socket.socket:
    """The listening socket: 0660 in a 0750 folder, of the group `alongside` where there is one.

    uvicorn would make its own with 0666, so it is handed this one. Raises Conflict where
    another daemon answers there.
    """
    folder = path.parent
    if not folder.exists():
        folder.mkdir(parents=True)
        folder.chmod(0o750)
        _give(folder)
    elif os.environ.get("RUNTIME_DIRECTORY") == str(folder):
        _give(folder)  # made by systemd, for root's group
    if path.exists():
        refuse_answering(path)
        path.unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o117)
    try:
        listener.bind(str(path))
    finally:
        os.umask(before)
    _give(path)
    listener.listen(128)
    return listener


def _give(path: Path) -> None:
    try:
        os.chown(path, -1, grp.getgrnam(GROUP).gr_gid)
    except (KeyError, PermissionError):
        return  # no such group: root alone
