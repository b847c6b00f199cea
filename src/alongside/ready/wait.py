"""Waiting until an instance is ready, or saying why it is not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from alongside.domain.errors import AlongsideError, NotReady, Unavailable
from alongside.domain.instance import Instance
from alongside.domain.port import Protocol
from alongside.domain.service import Ready, ReadyKind, Service
from alongside.domain.words import LONGEST_LINE, clipped
from alongside.engine.protocol import Container, Engine, Event, exit_code
from alongside.ready.once import NO_HEALTH_CHECK, ask_once
from alongside.ready.probes import ANSWER

LOG_LINES = 20
SETTLED = 1.0  # seconds that an instance with nothing to ask must have run
LOOP = 3  # restarts while it is waited for, after which it is not waited for any longer


def asked_at(spec: Service, instance: Instance) -> tuple[Ready, str]:
    """What is asked of an instance and at which address: the container's own IPv4 address, or in
    the host's network the number that it was given."""
    ready = spec.ready
    if not spec.host_network:
        return ready, str(instance.subnet.address4)
    protocol = Protocol(ready.protocol if ready.kind is ReadyKind.DNS else "tcp")
    return replace(ready, port=instance.local_port(protocol, ready.port) or 0), "127.0.0.1"


async def wait_ready(
    ready: Ready,
    address: str,
    instance: Instance,
    engine: Engine,
    *,
    folder: Path | None = None,
) -> None:
    """Ask, from the host at `address`, until the answer is yes. `folder` is where a command on the
    host runs: that of the release's compose file.

    Raises NotReady with the last answer in its own words and the last log lines: when
    `ready.timeout` seconds are over, or at once when the container ends, is gone, or is
    restarted again and again. Raises Unavailable where the engine goes away.
    """
    async with aclosing(engine.events()) as events:
        container = await engine.container(instance.name)
        wait = _Wait(ready, address, instance, engine, container, folder)
        watching = asyncio.create_task(wait.watch(events))
        asking = asyncio.create_task(wait.ask())
        try:
            done, _ = await asyncio.wait(
                (watching, asking), timeout=ready.timeout, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            for task in (watching, asking):
                task.cancel()
            await asyncio.gather(watching, asking, return_exceptions=True)
    # A yes that came together with the end of the container is no yes.
    for task in (watching, asking):
        if task in done:
            return task.result()
    raise await wait.failure(f"within {ready.timeout:g} s: {wait.heard}")


class _Wait:
    """`container`: as it was when the events began."""

    def __init__(
        self,
        ready: Ready,
        address: str,
        instance: Instance,
        engine: Engine,
        container: Container | None,
        folder: Path | None,
    ) -> None:
        self._ready = ready
        self._address = address
        self._instance = instance
        self._engine = engine
        self._container = container
        self._folder = folder
        self._restarts = container.restarts if container else 0
        self._code: int | None = None  # with what it ended last
        self._seen: tuple[datetime, float] | None = None  # when it started, and was first seen
        self.heard = "nothing was asked yet"

    async def ask(self) -> None:
        """Returns when the answer is yes."""
        while True:
            self.heard = await self._answer()
            if not self.heard:
                return
            await asyncio.sleep(self._ready.interval)

    async def watch(self, events: AsyncIterator[Event]) -> None:
        """Raises when there is nothing left to wait for."""
        name = self._instance.name
        await self._check()
        async for event in events:
            if event.kind == "container" and event.name == name:
                code = exit_code(event)
                self._code = self._code if code is None else code
                self._container = await self._engine.container(name)
                await self._check()
        raise Unavailable(f"The container engine went away while {name} was waited for.")

    async def _check(self) -> None:
        container = self._container
        if container is None:
            raise await self.failure("its container is gone")
        if container.state in ("exited", "dead"):
            raise await self.failure(f"it ended with exit code {container.exit_code}")
        if self._ready.kind is ReadyKind.HEALTH and container.running and not container.health:
            raise await self.failure(NO_HEALTH_CHECK)
        since = container.restarts - self._restarts
        if since >= LOOP:
            code = container.exit_code if container.state == "restarting" else self._code
            said = "" if code is None else f", and ended with exit code {code} again"
            raise await self.failure(f"it was restarted {since} times{said}")

    async def _answer(self) -> str:
        heard = await ask_once(
            self._ready,
            self._address,
            self._instance,
            self._engine,
            folder=self._folder,
            within=min(ANSWER, 0.9 * self._ready.timeout),  # so that a silence is heard, too
        )
        if heard or self._ready.kind is not ReadyKind.RUNNING:
            return heard
        container = await self._engine.container(self._instance.name)
        if container is None or not container.running or container.started is None:
            return "it has just ended"
        age = self._ran_for(container.started)
        return "" if age >= SETTLED else f"it has run for {age:.1f} s only"

    def _ran_for(self, started: datetime) -> float:
        """Seconds. By the time of day it may have started in the future, if the clock was set
        back; it has then run for at least as long as it was looked at."""
        now = asyncio.get_running_loop().time()
        if self._seen is None or self._seen[0] != started:
            self._seen = (started, now)
        return max(time.time() - started.timestamp(), now - self._seen[1])

    async def failure(self, why: str) -> NotReady:
        try:
            lines = self._engine.logs(self._instance.name, tail=LOG_LINES)
            log = [clipped(line, LONGEST_LINE) async for line in lines]
        except AlongsideError:
            log = []  # there is no container to have any
        wrote = "Its last lines stand below" if log else "It wrote nothing"
        return NotReady(
            f"{self._instance.name} did not become ready: {why}.",
            hint=f"{wrote}; `x-alongside.ready` says what is asked of it, and how long.",
            log=log,
        )
