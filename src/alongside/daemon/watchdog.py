"""The watchdog: systemd hears from the daemon for as long as it is well.

It is well while its event loop turns, which this runs in, and every part either moves or is in
back-off. Silence has systemd end the daemon and start it again (`WatchdogSec=` in the unit).
"""

from __future__ import annotations

import asyncio
import logging

from alongside.daemon.notify import notify, watchdog_interval
from alongside.daemon.supervise import Supervisor

LOOK = 5.0  # seconds between two looks at the parts, at most

_log = logging.getLogger(__name__)


async def watchdog(supervisor: Supervisor) -> None:
    """Until cancelled. Without systemd, a part that hangs is a problem to show all the same."""
    interval = watchdog_interval()
    pause = LOOK if interval is None else min(LOOK, interval / 2)
    while True:
        if supervisor.look() and interval is not None:
            try:
                notify("WATCHDOG=1")
            except OSError as error:  # it may hear the next one
                _log.warning("systemd could not be told that the daemon is well: %s", error)
        await asyncio.sleep(pause)
