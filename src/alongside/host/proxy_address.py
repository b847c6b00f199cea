"""The address on loopback that packets from containers take over IPv6."""

from __future__ import annotations

import asyncio
from ipaddress import IPv6Address

from alongside.domain.errors import StepFailed
from alongside.host.addresses import local_addresses


async def ensure_proxy_address(address: IPv6Address) -> None:
    """Put it on `lo`; nothing where it is there. Raises StepFailed.

    An address of loopback is never tentative, so the engine's proxy can listen on it at once
    (docs/decisions/0002).
    """
    if address in await local_addresses():
        return
    process = await asyncio.create_subprocess_exec(
        *("ip", "-6", "address", "replace", f"{address}/128", "dev", "lo"),
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    if process.returncode != 0:
        raise StepFailed(
            f"The address {address} could not be put on lo: {said.decode().strip()}",
            hint="Instances have IPv6 addresses: it must not be switched off on loopback "
            "(net.ipv6.conf.lo.disable_ipv6).",
        )
