"""What was made of some values, for as long as the same values come again.

A hash or a comparison of a route, its release and its instance costs as much as making a chain of
them; of a thousand routes a switch changes one, and the others are the objects that they were.
Tuples of the same objects are compared without a look into them.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
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
    """One value of each source, of the latest sources only.

    Whether two thousand are still the objects that they were is found out without a look into
    any of them, which would take ten times as long.
    """

    def __init__(self) -> None:
        self._sources: tuple[S, ...] = ()
        self._made: list[T] = []
        self._under: object = None

    def of(self, sources: tuple[S, ...], make: Callable[[S], T], under: object = None) -> list[T]:
        """All are made again where `under` is another object than the last time."""
        if under is not self._under:
            made = [make(source) for source in sources]
        elif len(sources) == len(self._sources):
            made = list(self._made)
            for place in others(self._sources, sources):
                made[place] = make(sources[place])
        else:
            known = dict(zip(map(id, self._sources), self._made, strict=True))
            made = [known[id(one)] if id(one) in known else make(one) for one in sources]
        self._sources, self._made, self._under = sources, made, under
        return list(made)


def others(before: Sequence[object], now: Sequence[object]) -> list[int]:
    """The places where another object is now; both are of one length."""
    pairs = zip(before, now, strict=True)
    return [place for place, (old, new) in enumerate(pairs) if old is not new]
