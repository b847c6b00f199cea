"""What was made of some values, for as long as the very same objects come again.

A hash or a comparison of a route, its release and its instance costs as much as making a chain of
them; of a thousand routes a switch changes one, and the others are the objects that they were.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Made(Generic[T]):
    """At most `limit` values; past that all are forgotten, and made again as they are asked for."""

    def __init__(self, limit: int = 16_384) -> None:
        self._limit = limit
        self._made: dict[Hashable, tuple[tuple[object, ...], T]] = {}

    def of(self, key: Hashable, sources: tuple[object, ...], make: Callable[[], T]) -> T:
        """The value under `key`, made again unless `sources` are the same objects as before."""
        found = self._made.get(key)
        if found is not None and len(found[0]) == len(sources):
            if all(map(operator.is_, found[0], sources)):
                return found[1]
        elif len(self._made) >= self._limit:
            self._made.clear()
        value = make()
        self._made[key] = (sources, value)
        return value
