"""Hearing that somebody, ourselves among them, changed nftables."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncGenerator
from pathlib import Path

from alongside.router.netlink import NETLINK_NETFILTER, NFNLGRP_NFTABLES, open_netlink

SETTLED = 0.1  # seconds without another change; a big transaction comes in many messages
AT_LATEST = 0.5  # seconds; others that never rest are not waited for


async def changes(namespace: Path | None = None) -> AsyncGenerator[None, None]:
    """Yields at once, since nobody knows what was before it listened, and then soon after any
    change to the namespace's nftables, once for many close together.

    What changed is not said: ask `Router.intact`. Never ends. Raises StepFailed.
    """
    loop = asyncio.get_running_loop()
    with open_netlink(
        NETLINK_NETFILTER, groups=1 << (NFNLGRP_NFTABLES - 1), namespace=namespace
    ) as channel:
        channel.setblocking(False)

        async def heard() -> None:
            try:
                await loop.sock_recv(channel, 1 << 18)
            except OSError as error:
                if error.errno != errno.ENOBUFS:  # more than the socket holds: a change as well
                    raise

        yield
        while True:
            await heard()
            latest = loop.time() + AT_LATEST
            while (left := latest - loop.time()) > 0:
                try:
                    await asyncio.wait_for(heard(), min(SETTLED, left))
                except TimeoutError:
                    break
            yield
