"""The host's own addresses and networks."""

from __future__ import annotations

import asyncio
import json
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address
from typing import Any

from alongside.domain.errors import Conflict, StepFailed


async def local_addresses() -> frozenset[IPv4Address | IPv6Address]:
    """Every address of every interface of this network namespace."""
    links = await _ip("addr")
    return frozenset(
        ip_address(address["local"])
        for link in links
        for address in link.get("addr_info", ())
        if "local" in address
    )


async def ensure_proxy_address(address: IPv6Address) -> None:
    """Put the address that the engine's proxy takes IPv6 packets from containers on on the
    loopback interface; nothing where it is there. Raises StepFailed."""
    if address not in await local_addresses():
        await _ip("-6", "addr", "replace", f"{address}/128", "dev", "lo")


async def check_pool(pool: IPv4Network) -> None:
    """Raises Conflict where the host has a route into the pool that is not ours."""
    for route in await _ip("-4", "route", "show", "table", "all"):
        destination = route.get("dst", "default")
        device = route.get("dev", "")
        if destination == "default" or device.startswith("al-") or route.get("type") == "broadcast":
            continue
        network = IPv4Network(destination, strict=False)
        if network.overlaps(pool) and network.prefixlen >= 8:
            raise Conflict(
                f"The address pool {pool} overlaps {network}, which this host routes to {device}.",
                hint="Give the daemon another: alongside daemon --pool 10.214.0.0/16",
            )


async def _ip(*arguments: str) -> list[dict[str, Any]]:
    process = await asyncio.create_subprocess_exec(
        "ip",
        "-j",
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    if process.returncode != 0:
        raise StepFailed(f"ip {' '.join(arguments)} failed: {err.decode().strip()}")
    found: list[dict[str, Any]] = json.loads(out or "[]")
    return found
