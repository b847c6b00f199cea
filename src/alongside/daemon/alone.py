"""One daemon a host: what it takes before it writes anything, so that a second one is refused
without a trace."""

from __future__ import annotations

import fcntl
import json
import os
import socket as sockets
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from alongside.daemon.paths import StatePaths
from alongside.domain.errors import Conflict, Unavailable
from alongside.host.claim import Claimed, claim

_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid
_ONE = "One daemon serves a host. Stop that one first: `systemctl stop alongside`, or "


@asynccontextmanager
async def alone(paths: StatePaths, socket: Path) -> AsyncIterator[None]:
    """The host's network, the socket and the state folder are this daemon's, until its process
    ends. Raises Conflict, which says whose they are."""
    try:
        network = await claim()
    except Claimed as error:
        raise _claimed(error.pid) from None
    with network:
        refuse_answering(socket)
        with _lock(paths, socket):
            yield


def refuse_answering(path: Path) -> None:
    """Raises Conflict where a daemon answers on the socket."""
    with sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return
        raw = probe.getsockopt(sockets.SOL_SOCKET, sockets.SO_PEERCRED, _CREDENTIALS.size)
    pid, _, _ = _CREDENTIALS.unpack(raw)
    raise Conflict(
        f"Another daemon listens on {path} already{_who(pid)}.",
        hint="Give this one another --socket and --state-dir; on one host, stop the other first.",
    )


def _lock(paths: StatePaths, socket: Path) -> TextIO:
    """The state folder's lock, with who has it written into it."""
    file = _open_lock(paths)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        about = _read(file)
        file.close()
        listens = f", socket {about['socket']}" if "socket" in about else ""
        raise Conflict(
            f"Another daemon uses the state folder {paths.root}"
            f"{_who(about.get('pid', 0), listens)}.",
            hint="One daemon a state folder; stop that one first.",
        ) from None
    about = {"pid": os.getpid(), "state_dir": str(paths.root), "socket": str(socket)}
    with suppress(OSError):  # a disk that cannot be written: then it says no more than that
        file.truncate(0)
        file.write(json.dumps(about) + "\n")
        file.flush()
    return file


def _open_lock(paths: StatePaths) -> TextIO:
    """Raises Unavailable where the state folder cannot be used at all."""
    try:
        if not paths.root.is_dir():
            paths.make()
        # Not truncated before it is ours: it says whose it is.
        file = os.open(paths.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        return os.fdopen(file, "r+")
    except OSError as error:
        # On a disk that cannot be written one that can only be read locks as well.
        try:
            return paths.lock.open()
        except OSError:
            raise Unavailable(
                f"The state folder {paths.root} cannot be used: {error.strerror}.",
                hint="Is its disk mounted, and may it be written?",
            ) from error


def _claimed(pid: int) -> Conflict:
    if not pid:
        return Conflict(
            "Another daemon runs on this host's network, in a PID namespace that cannot be seen "
            "from here: a container with the host's network?",
            hint="One daemon serves a host. Stop that one first.",
        )
    about = _held_by(pid)
    has = ""
    if about:
        has = f", state folder {about.get('state_dir')}, socket {about.get('socket')}"
    return Conflict(
        f"Another daemon runs on this host{_who(pid, has)}. Nothing was changed.",
        hint=f"{_ONE}`kill {pid}`.",
    )


def _who(pid: int, more: str = "") -> str:
    return f" (pid {pid}{more})" if pid else ""


def _held_by(pid: int) -> dict[str, Any]:
    """What stands in the lock that a daemon holds; nothing where it has none yet, or has ended."""
    with suppress(OSError):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                if entry.readlink().name == "daemon.lock":
                    with entry.open() as file:
                        return _read(file)
    return {}


def _read(file: TextIO) -> dict[str, Any]:
    """Written by this version; one from before has an empty lock."""
    try:
        found = json.loads(file.read())
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
