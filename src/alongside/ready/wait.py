"""Waiting until an instance is ready, or saying why it is not."""

from __future__ import annotations

import asyncio
import time

from alongside.domain.errors import AlongsideError, NotReady
from alongside.domain.instance import Instance
from alongside.domain.service import Ready, ReadyKind
from alongside.engine.protocol import Container, Engine
from alongside.ready.probes import PROBES

LOG_LINES = 20
SETTLED = 1.0  # seconds that an instance with nothing to ask must have run
CRASHES = 3  # restarts after which it is not waited for any longer


async def wait_ready(ready: Ready, instance: Instance, engine: Engine) -> None:
    """Ask, from the host at the container's own address, until the answer is yes.

    Raises NotReady with the last answer in its own words and the last log lines: when
    `ready.timeout` seconds are over, or at once when the container has exited.
    """
    deadline = time.monotonic() + ready.timeout
    host = str(instance.subnet.address4)
    heard = "nothing was heard from it"
    while True:
        probe = PROBES.get(ready.kind)
        if probe is not None:
            heard = await probe(host, ready)
            if not heard:
                return
        container = await engine.container(instance.name)
        if container is None:
            raise await _not_ready(instance, engine, "its container is gone")
        ended = _ended(container)
        if ended:
            raise await _not_ready(instance, engine, ended)
        if probe is None:
            heard = _look(ready, container)
            if not heard:
                return
        if time.monotonic() >= deadline:
            raise await _not_ready(
                instance, engine, f"after {ready.timeout:g} s the last answer was: {heard}"
            )
        await asyncio.sleep(ready.interval)


def _ended(container: Container) -> str:
    if container.state in ("exited", "dead"):
        return f"it exited with code {container.exit_code}"
    if container.restarts >= CRASHES:
        return f"it was restarted {container.restarts} times, with exit code {container.exit_code}"
    return ""


def _look(ready: Ready, container: Container) -> str:
    """The kinds that the engine answers for: the Compose health check, and running at all."""
    if ready.kind is ReadyKind.HEALTH:
        if container.health in ("", "healthy"):
            return "" if container.running else f"it is {container.state}"
        return f"its health check says {container.health}"
    if container.started is None or not container.running:
        return f"it is {container.state}"
    age = time.time() - container.started.timestamp()
    return "" if age >= SETTLED else f"it has run for {age:.1f} s"


async def _not_ready(instance: Instance, engine: Engine, why: str) -> NotReady:
    try:
        log = [line async for line in engine.logs(instance.name, tail=LOG_LINES)]
    except AlongsideError:
        log = []  # there is no container to have any
    return NotReady(
        f"{instance.name} did not become ready: {why}.",
        hint="Its last lines stand below; `x-alongside.ready` says what is asked, and how long."
        if log
        else "It wrote nothing; `x-alongside.ready` says what is asked, and how long.",
        log=log,
    )
