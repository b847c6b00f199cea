"""Operations: each runs in the daemon to its end, whoever follows or stops following."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from alongside.daemon.disk import disk_error
from alongside.domain.errors import AlongsideError, Conflict, NotFound, StateDamaged, notes_of
from alongside.domain.history import Actor

Event = dict[str, Any]
Emit = Callable[[Event], None]

_KEPT = 64  # finished operations whose events can still be read
_log = logging.getLogger(__name__)


@dataclass
class Operation:
    """The events of one operation, and whoever waits for the next."""

    events: list[Event] = field(default_factory=list)
    finished: bool = False
    abort: asyncio.Future[Actor] | None = None  # of one that can be given up
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def begun(self) -> bool:
        """Whether it has its number in the history."""
        return any(event["event"] == "operation" for event in self.events)

    def give_up(self, by: Actor) -> None:
        """Ask it to end as if it had not begun; nothing where it has ended, or cannot be."""
        if self.abort is not None and not self.finished and not self.abort.done():
            self.abort.set_result(by)

    def emit(self, event: Event) -> None:
        self.events.append(event)
        self._wake()

    def finish(self) -> None:
        self.finished = True
        self._wake()

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def follow(self) -> AsyncIterator[Event]:
        """Every event from the first, to the last."""
        position = 0
        while True:
            news = self._news
            while position < len(self.events):
                yield self.events[position]
                position += 1
            if self.finished:
                return
            await news.wait()


class Operations:
    """Starts operations, and lets clients follow them."""

    def __init__(self) -> None:
        self._by_id: dict[int, Operation] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        # Set where nothing may be changed now: makes the error that says why.
        self.refusal: Callable[[], AlongsideError] | None = None

    def start(
        self,
        work: Callable[[Emit], Awaitable[Event]],
        *,
        abort: asyncio.Future[Actor] | None = None,
        mends: bool = False,
    ) -> Operation:
        """Run `work` in the background; what it returns is the last event's result. It looks at
        `abort` itself, if it can be given up. `mends`: also while nothing else may be changed."""
        operation = Operation(abort=abort)
        if self.refusal is not None and not mends:
            work = _refused(self.refusal())
        task = asyncio.create_task(self._run(operation, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return operation

    async def _run(self, operation: Operation, work: Callable[[Emit], Awaitable[Event]]) -> None:
        def emit(event: Event) -> None:
            if event["event"] == "operation":
                self._keep(event["id"], operation)
            operation.emit(event)

        try:
            emit({"event": "result", "result": await work(emit)})
        except AlongsideError as error:
            emit({"event": "error", "problem": error.to_problem()})
        except sqlite3.Error as error:
            _log.exception("the state could not be read")
            emit({"event": "error", "problem": unreadable(error).to_problem()})
        except asyncio.CancelledError:
            emit({"event": "error", "problem": _ended().to_problem()})
            raise
        except Exception as error:
            if said := disk_error(error):
                emit({"event": "error", "problem": said.to_problem()})
                return
            _log.exception("an operation failed in a way that nobody foresaw")
            emit({"event": "error", "problem": bug(error)})
        finally:
            operation.finish()

    def _keep(self, number: int, operation: Operation) -> None:
        self._by_id[number] = operation
        finished = [key for key, kept in self._by_id.items() if kept.finished]
        for key in finished[:-_KEPT]:
            del self._by_id[key]

    def get(self, number: int) -> Operation:
        if number not in self._by_id:
            raise NotFound(
                f"Operation {number} does not run and is not remembered.",
                hint="`alongside history` shows how it ended.",
            )
        return self._by_id[number]

    def abort(self, number: int, by: Actor) -> Operation:
        """Ask it to end as if it had not begun. Raises NotFound, Conflict."""
        operation = self.get(number)
        if operation.finished:
            raise Conflict(
                f"Operation {number} has ended.", hint="`alongside history` shows how it ended."
            )
        if operation.abort is None:
            raise Conflict(
                f"Operation {number} cannot be given up; it goes on to its end.",
                hint="A deploy can be. `alongside rollback SERVICE` goes back from others.",
            )
        operation.give_up(by)
        return operation

    async def cancel(self) -> None:
        """End what runs: the daemon stops. What was switched stays switched."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _refused(error: AlongsideError) -> Callable[[Emit], Awaitable[Event]]:
    async def work(_: Emit) -> Event:
        raise error

    return work


def _ended() -> AlongsideError:
    return AlongsideError(
        "The daemon was stopped before this was done.",
        hint="`alongside history` shows how far it came.",
    )


def unreadable(error: sqlite3.Error) -> AlongsideError:
    """The state file, or its disk, failed a statement that only reads."""
    return StateDamaged(
        f"The state could not be read: {error}.",
        hint="What is routed stays as it is. `alongside status` says what is wrong.",
    )


def bug(error: Exception) -> dict[str, Any]:
    """The problem of an error that is none of ours."""
    return {
        "type": "urn:alongside:bug",
        "title": "bug",
        "status": 500,
        "detail": " ".join(
            [f"The daemon failed in a way that nobody foresaw: {error!r}.", *notes_of(error)]
        ),
        "hint": "Its log has the whole of it.",
        "log": [],
    }
