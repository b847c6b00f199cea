"""Rows that were read once, for as long as nobody has changed them.

The daemon is the only writer, so what it read last is what there is. With a thousand services
reading them all took longer than the switch of one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from alongside.store.database import Database

T = TypeVar("T")


class Remembered(Generic[T]):
    """`read` reads all rows. What a transaction changed and then took back is read anew."""

    def __init__(self, database: Database, read: Callable[[], list[T]]) -> None:
        self._database = database
        self._read = read
        self._rows: list[T] | None = None
        self._rollbacks = 0

    def all(self) -> list[T]:
        """A list of its own for each who asks."""
        if self._rows is None or self._rollbacks != self._database.rollbacks:
            self._rows = self._read()
            self._rollbacks = self._database.rollbacks
        return list(self._rows)

    def change(self, change: Callable[[list[T]], list[T]]) -> None:
        """After the rows were changed in the database: the same of what is remembered. The
        other rows stay the very objects that they were, so that what was made of them can be
        recognised."""
        if self._rows is not None:
            self._rows = change(self._rows)
