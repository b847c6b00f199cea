"""Telling systemd how the daemon is: sd_notify(3), sd_watchdog_enabled(3)."""

from __future__ import annotations

import os
import socket

PATIENCE = 1.0  # seconds, where systemd does not read what it is told


def notify(state: str) -> None:
    """Nothing where nobody waits for it. Raises OSError where systemd cannot be told."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.settimeout(PATIENCE)
        systemd.connect(address)
        systemd.sendall(state.encode())


def watchdog_interval() -> float | None:
    """Within how many seconds systemd wants to hear `WATCHDOG=1` again and again; None where it
    does not, or where another process is to say it."""
    wanted, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not wanted.isdigit() or not int(wanted) or (pid and pid != str(os.getpid())):
        return None
    return int(wanted) / 1_000_000
