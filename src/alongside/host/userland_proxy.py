"""Whether the engine's userland proxy serves an instance's local ports.

The engine does not tell. Without the proxy it listens on published ports all the same, to keep
others off them, and answers nobody there.
"""

from __future__ import annotations

from pathlib import Path

from alongside.domain.instance import Instance
from alongside.host.listeners import identify, listeners

_PROXY = "docker-proxy"


async def is_proxied(instance: Instance) -> bool:
    """Of an instance that runs on a bridge of its own. Raises StepFailed.

    An engine without the proxy lets loopback out to its bridges (libnetwork, hairpin mode), and
    one with it does not. A host may have that set for all interfaces: only then it is looked who
    listens, which takes a look at every process.
    """
    if not _lets_loopback_out(instance.subnet.bridge):
        return True
    own = {(local.protocol, local.number) for local in instance.local_ports}
    heard = await listeners(programs=False)
    named = await identify([one for one in heard if (one.protocol, one.number) in own])
    return any(one.program.startswith(_PROXY) for one in named)


def _lets_loopback_out(bridge: str) -> bool:
    try:
        return Path(f"/proc/sys/net/ipv4/conf/{bridge}/route_localnet").read_text().strip() == "1"
    except OSError:  # it is gone
        return False
