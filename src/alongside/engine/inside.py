"""Ending what was begun inside a container: the Engine API cannot, and a command whose caller has
gone runs on."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path


def end_process(pid: int, container_id: str) -> None:
    """Kill the process and its group; nothing where it is gone.

    `pid` is as the engine knows it, which is the host's number where the engine is of this host.
    That it is the container's own is seen by its cgroup, whose name holds the container's ID with
    either cgroup driver; nobody else's process is touched. The engine's runtime makes each
    command a session of its own (runc, nsexec.c), so its children are in its group.
    """
    with suppress(ProcessLookupError, FileNotFoundError):
        # Held open, so that its number is nobody else's from here on.
        process = os.pidfd_open(pid)
        try:
            if container_id not in Path(f"/proc/{pid}/cgroup").read_text():
                return
            if os.getpgid(pid) == pid:
                os.killpg(pid, signal.SIGKILL)
            else:
                signal.pidfd_send_signal(process, signal.SIGKILL)
        finally:
            os.close(process)
