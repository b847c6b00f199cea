"""Releases that are removed by themselves, where the version that has the ports says how many
stay."""

from __future__ import annotations

import logging
from functools import partial

from alongside.daemon import supervise
from alongside.daemon.background import in_background
from alongside.daemon.context import Context
from alongside.daemon.retirement import itself
from alongside.daemon.verbs.change import Asked
from alongside.daemon.verbs.gc import gc
from alongside.domain.errors import AlongsideError

EVERY = 3600.0  # seconds from one look at all of them to the next: `keep_for` is about time

_log = logging.getLogger(__name__)


class Collector:
    def __init__(self, context: Context) -> None:
        self._context = context

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._limited()  # what cannot be read is seen now, and not in an hour
            await supervise.sleep(EVERY)
            for service in self._limited():
                self.look(service)

    def _limited(self) -> set[str]:
        releases = self._context.releases.all()
        return {one.service for one in releases if one.spec.retention.limited}

    def look(self, service: str) -> None:
        """There is a release more, or one that is in use no longer."""
        current = self._context.in_force(service)
        if current is None or not current.spec.retention.limited:
            return
        doing = f"removing releases of {service} beyond its retention limits"
        in_background(self._context, doing, partial(self._collect, service))

    async def _collect(self, service: str) -> None:
        asked = Asked(itself(), "as x-alongside says")
        try:
            async with self._context.locks[f"gc {service}"]:
                result = await gc(self._context, service, asked, lambda _: None)
        except AlongsideError as error:
            _log.warning("releases of %s could not be looked through: %s", service, error.message)
            return
        for sentence in result["summary"] if result["changed"] else ():
            _log.info("%s", sentence)
