"""A version that hangs: SYNs come to it, and it answers none. And clients of such a one.

with swallowing(Path("/run/netns/NAME"), 80):
    with connecting(host.client, host.address4, 80, source=4711) as client: …
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

from support.namespace import Namespace

_ANSWERS = "tcp sport {} tcp flags & (syn | ack) == syn | ack drop"
_SWALLOWED = {
    "SYNs": "input priority 0; tcp dport {} tcp flags & (syn | ack) == syn drop",
    "answers that leave": f"output priority 0; {_ANSWERS}",
    "answers that come": f"input priority 0; {_ANSWERS}",
}


@contextlib.contextmanager
def swallowing(namespace: Path, port: int, what: str = "SYNs") -> Iterator[None]:
    """What is lost of connections to a port, in a network namespace, a container's
    (/proc/PID/ns/net) as well."""
    enter = ["nsenter", f"--net={namespace}", "nft"]
    table = f"inet hangs-{port}"
    rule = _SWALLOWED[what].format(port)
    text = f"table {table} {{ chain swallow {{ type filter hook {rule}; }}; }}"
    subprocess.run([*enter, text], check=True)
    try:
        yield
    finally:
        subprocess.run([*enter, f"delete table {table}"], check=True)


@contextlib.contextmanager
def full(where: Namespace, address: str, port: int) -> Iterator[None]:
    """A program that accepts no more: the kernel swallows SYNs once its backlog is full. For a
    port of the host's own, whose conntrack never hears of what a filter swallows on its way in."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with where.socket(family, socket.SOCK_STREAM) as listener:
        listener.bind((address, port))
        listener.listen(0)
        with connecting(where, address, port):
            yield


def connecting(where: Namespace, address: str, port: int, *, source: int = 0) -> socket.socket:
    """A client whose first SYN is on its way. `source`: its port; 0 is a fresh one."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    made = where.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if source:
        made.bind(("", source))
    made.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        made.connect((address, port))
    return made


def half_open(host: Namespace, port: int) -> int:
    """How many connections to a public port conntrack has that were never answered."""
    found = ""
    for family in ("ipv4", "ipv6"):
        words = ["conntrack", "-L", "-p", "tcp", "-f", family, "--state", "SYN_SENT"]
        found += host.run([*words, "--orig-port-dst", str(port)]).stdout
    return found.count("SYN_SENT")
