"""The seam between what is wanted of the host's ports and the kernel."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Protocol as Seam

from alongside.domain.instance import Subnet
from alongside.domain.port import Port
from alongside.domain.route import Assign


@dataclass(frozen=True, slots=True)
class Target:
    """One instance as the far end of a route.

    Packets from outside and from the host go to `ipv4`/`ipv6` and `port`, the container's own;
    packets from containers, and from loopback, go to `local_port` (on the subnet's `gateway4` or
    `proxy6`, and on loopback), where the engine's proxy answers.
    """

    name: str  # dns@1.0.0, for comments and for people
    subnet: Subnet
    ipv4: IPv4Address
    ipv6: IPv6Address
    port: int
    local_port: int


@dataclass(frozen=True, slots=True)
class Choice:
    target: Target
    weight: int


@dataclass(frozen=True, slots=True)
class RoutedPort:
    """A public port and the instances behind it. No choices: a reject, not silence."""

    port: Port
    choices: tuple[Choice, ...]
    assign: Assign = Assign.RANDOM


@dataclass(frozen=True, slots=True)
class Ruleset:
    """All that is wanted of the kernel, as one value."""

    ports: tuple[RoutedPort, ...] = ()
    subnets: tuple[Subnet, ...] = ()  # of every instance that exists, routed or not: the guard
    container_bridges: frozenset[str] = frozenset()  # every bridge of the engine, ours or not
    local_ports: frozenset[int] = frozenset()  # of every instance that exists, routed or not


@dataclass(frozen=True, slots=True)
class Transaction:
    """What one `nft -f -` would run: the very text, and nothing else. Empty text: no change."""

    text: str


class Router(Seam):
    """The kernel's half of a switch. One table, `inet alongside`, and only that."""

    async def plan(self, wanted: Ruleset) -> Transaction:
        """The transaction that takes the kernel from what it has to what is wanted."""
        ...

    async def apply(self, wanted: Ruleset) -> Transaction:
        """Plan and commit, as one kernel transaction; idempotent. Raises StepFailed with nft's
        own words, and then nothing has changed."""
        ...

    async def clean_udp(self, wanted: Ruleset) -> int:
        """Delete conntrack's UDP entries, both directions, that no route of `wanted` explains;
        returns how many. TCP is never touched."""
        ...

    async def intact(self) -> bool:
        """Whether the table is, rule by rule, what was last applied."""
        ...

    async def remove(self) -> None:
        """Take the table out of the kernel."""
        ...
