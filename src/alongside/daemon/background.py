"""What goes on by itself and ends: nobody waits for it, so what becomes of it must be said."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from alongside.daemon import supervise
from alongside.daemon.context import Context
from alongside.domain.errors import AlongsideError, said_of

SHOWN = 3600.0  # seconds that a failure is shown, unless the same goes well before

_log = logging.getLogger(__name__)


def in_background(
    context: Context, doing: str, work: Callable[[], Coroutine[Any, Any, None]]
) -> asyncio.Task[None]:
    """Run it to its end. Where it fails that is logged, and a problem to show until the same goes
    well. `doing` names it for a person: "removing old releases of dns"."""
    task = asyncio.create_task(_run(context, doing, work), name=doing)
    context.background.add(task)
    task.add_done_callback(context.background.discard)
    return task


async def _run(context: Context, doing: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    supervise.alone()
    about = f"background {doing}"
    try:
        await work()
    except AlongsideError as error:
        _log.error("%s failed: %s", doing, error.message)
        _show(context, about, f"{doing[:1].upper()}{doing[1:]} failed: {error.message}")
    except Exception as error:
        _log.exception("%s failed", doing)
        said = f"{type(error).__name__}: {said_of(error)}"
        _show(context, about, f"{doing[:1].upper()}{doing[1:]} failed: {said}.")
    else:
        if context.problems.pop(about, None) is not None:
            context.news.tell()


def _show(context: Context, about: str, said: str) -> None:
    context.problems[about] = said
    context.news.tell()
    asyncio.get_running_loop().call_later(SHOWN, _forget, context, about, said)


def _forget(context: Context, about: str, said: str) -> None:
    if context.problems.get(about) == said:
        del context.problems[about]
        context.news.tell()
