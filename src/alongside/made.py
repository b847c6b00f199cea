"""What was made of some values, for as long as the same values come again.

A hash or a comparison of a route, its release and its instance costs as much as making a chain of
them; of a thousand routes a switch changes one, and the others are the objects that they were.
Tuples of the same objects are compared without a look into them.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

S = TypeVar("S")
T = TypeVar("T")


class Made(Generic[T]):
    """At most `limit` values; past that all are forgotten, and made again as they are asked for."""

    def __init__(self, limit: int = 16_384) -> None:
        self._limit = limit
        self._made: dict[Hashable, tuple[tuple[object, ...], T]] = {}

    def of(self, key: Hashable, sources: tuple[object, ...], make: Callable[[], T]) -> T:
        """The value under `key`, made again unless `sources` are what they were."""
        found = self._made.get(key)
        if found is not None:
            if found[0] == sources:
                return found[1]
        elif len(self._made) >= self._limit:
            self._made.clear()
        value = make()
        self._made[key] = (sources, value)
        return value


class Each(Generic[S, T]):
    """One value of each source, of the latest sources only. Two thousand that are the objects
    that they were take a fifth of a millisecond."""

    def __init__(self) -> None:
        self._sources: tuple[S, ...] = ()  # keeps them, so that an ID is theirs alone
        self._made: dict[int, T] = {}
        self._under: object = None

    def of(self, sources: tuple[S, ...], make: Callable[[S], T], under: object = None) -> list[T]:
        """All are made again where `under` is another object than the last time."""
        if under is not self._under:
            self._made, self._under = {}, under
        keys = list(map(id, sources))
        found: list[T | None] = list(map(self._made.get, keys))
        for place in [place for place, one in enumerate(found) if one is None]:
            found[place] = make(sources[place])
        values: list[T] = found  # type: ignore[assignment] # there is none left
        self._sources, self._made = sources, dict(zip(keys, values, strict=True))
        return values
