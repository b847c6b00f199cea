"""Routes: which versions a port reaches, and in what parts."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from alongside.domain.errors import InvalidInput
from alongside.domain.port import Port
from alongside.domain.version import Version


class Assign(StrEnum):
    """How a new client gets its version, where a split has more than one."""

    RANDOM = "random"  # each connection anew
    CLIENT = "client"  # by a hash of the client's address: the same client, the same version


@dataclass(frozen=True, slots=True)
class Share:
    version: Version
    weight: int


@dataclass(frozen=True, slots=True)
class Split:
    """Versions with weights. One version with all the weight is the simple case; none rejects."""

    shares: tuple[Share, ...]
    assign: Assign = Assign.RANDOM

    def __post_init__(self) -> None:
        if any(share.weight < 1 for share in self.shares):
            raise InvalidInput("A weight is a whole number of at least 1.")
        if len({share.version for share in self.shares}) != len(self.shares):
            raise InvalidInput("A split names each version once.")

    @classmethod
    def all_to(cls, version: Version) -> Split:
        return cls((Share(version, 1),))

    @property
    def versions(self) -> tuple[Version, ...]:
        return tuple(share.version for share in self.shares)


@dataclass(frozen=True, slots=True)
class Follows:
    """The range that chooses a route's version, and the container's port that it leads to."""

    range: str
    target: int


@dataclass(frozen=True, slots=True)
class Route:
    """A port of the host, the service that has it, and the versions behind it.

    `follows`: a port beside the service's own (`x-alongside.also`), which is switched by itself.
    """

    port: Port
    service: str
    split: Split
    follows: Follows | None = None
