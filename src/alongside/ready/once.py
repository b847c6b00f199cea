"""Asking an instance once: waiting for it and watching it ask the same."""

from __future__ import annotations

import asyncio
from pathlib import Path

from alongside.domain.instance import Instance
from alongside.domain.service import Ready, ReadyKind
from alongside.domain.words import one_line
from alongside.engine.protocol import Container, Engine
from alongside.ready import command
from alongside.ready.probes import ANSWER, PROBES

NO_HEALTH_CHECK = "it has no health check, and readiness is to be its word"


async def ask_once(
    ready: Ready,
    address: str,
    instance: Instance,
    engine: Engine,
    *,
    folder: Path | None = None,
    within: float = ANSWER,
) -> str:
    """ "" for yes, else what was asked and heard, as a person would say it: one line, and bounded
    (`domain/words.py`), whatever the program has said.

    A container that does not run, or is paused, is a no in its own words: the kernel accepts
    connections for a paused program. `folder` is where a command on the host runs. Ends within
    `within` seconds, and leaves nothing behind when it is cancelled. Raises Unavailable where the
    engine is away: that is no word about the instance.
    """
    return one_line(await _asked(ready, address, instance, engine, folder, within))


async def _asked(
    ready: Ready,
    address: str,
    instance: Instance,
    engine: Engine,
    folder: Path | None,
    within: float,
) -> str:
    loop = asyncio.get_running_loop()
    until = loop.time() + within
    try:
        async with asyncio.timeout_at(until):
            container = await engine.container(instance.name)
    except TimeoutError:
        return f"the engine did not say in {within:g} s how its container is"
    if container is None or not container.running:
        return _state(container)
    if ready.kind in (ReadyKind.RUNNING, ReadyKind.HEALTH):
        return _health(container) if ready.kind is ReadyKind.HEALTH else ""
    left = until - loop.time()
    match ready.kind:
        case ReadyKind.EXEC:
            return await command.inside(ready, instance, engine, left)
        case ReadyKind.COMMAND:
            return await command.outside(ready, address, instance, container, folder, left)
        case _:
            return await PROBES[ready.kind](address, ready, left)


def _state(container: Container | None) -> str:
    if container is None:
        return "its container is gone"
    if container.state not in ("exited", "dead"):
        return f"its container is {container.state}"
    why = ", killed for want of memory" if container.oom else ""
    return f"it ended with exit code {container.exit_code}{why}"


def _health(container: Container) -> str:
    if container.health == "healthy":
        return ""
    if not container.health:
        return NO_HEALTH_CHECK
    said = container.health_output.splitlines()
    return f"its health check says {container.health}" + (f": {said[-1]}" if said else "")
