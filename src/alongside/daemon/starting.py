"""Starting an instance's container, also on an engine that publishes no port on two addresses.

Release 29 with nftables and without the userland proxy makes one rule for each address that a
container port is published on, twice the same, and refuses ("rule exists"). Nothing tells of the
proxy before the first container runs, so the first one is tried, and made anew.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from alongside.daemon import ways
from alongside.daemon.context import Context
from alongside.domain.errors import StepFailed
from alongside.domain.instance import Instance

_TWICE = "rule exists"

_log = logging.getLogger(__name__)


async def start(
    context: Context,
    instance: Instance,
    begin: Callable[[], Awaitable[object]],
    anew: Callable[[], Awaitable[object]],
) -> None:
    """`begin`; and where the engine says that it would publish twice, `anew`, which makes the
    container again. Raises StepFailed."""
    try:
        await begin()
    except StepFailed as error:
        if not any(_TWICE in line for line in (error.message, *error.log)):
            raise
        _log.info("%s is made anew, with one published address an IP family", instance.name)
        await ways.run_without_proxy(context)
        await anew()
