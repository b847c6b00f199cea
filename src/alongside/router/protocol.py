"""The seam between what is wanted of the host's ports and the kernel."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Set
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Protocol as Seam
from typing import TypeVar

from alongside.domain.instance import Subnet
from alongside.domain.port import Port, Protocol
from alongside.domain.route import Assign
from alongside.router.table import Listing

K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class InstanceTarget:
    """One instance as the far end of a route.

    Packets from outside and from the host go to `ipv4`/`ipv6` and `port`, the container's own;
    packets from containers, and from loopback, go to `local_port` (on the subnet's `gateway4` or
    `proxy6`, and on loopback), where the engine's proxy answers. Where there is none (see Ruleset)
    they go to the container, too.
    """

    name: str  # dns@1.0.0, for comments and for people
    subnet: Subnet
    ipv4: IPv4Address
    ipv6: IPv6Address
    port: int
    local_port: int


@dataclass(frozen=True, slots=True)
class HostTarget:
    """What listens on the host itself, on all its addresses: an instance in the host's network,
    or a program that is no container."""

    name: str
    port: int


@dataclass(frozen=True, slots=True)
class AddressTarget:
    """What listens on an address somewhere on the host, in a network that is not ours.

    The other family's packets are rejected. So are packets from loopback where the address is
    not the host's own (`on_host`): to leave loopback they would need route_localnet
    (CVE-2020-8558).
    """

    name: str
    address: IPv4Address | IPv6Address
    port: int
    on_host: bool = False


Target = InstanceTarget | HostTarget | AddressTarget


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
    # Those of them that a program of the host's own network listens on, whose engine does not
    # keep them on loopback.
    host_ports: frozenset[tuple[Protocol, int]] = frozenset()
    # Whether the engine's proxy answers on local ports: with "userland-proxy": false none does.
    proxied: bool = True


@dataclass(frozen=True, slots=True)
class FarEnd:
    """Where connections end: a port of an instance at its own addresses, or, where there are none
    (the host's network), at any of the host's."""

    protocol: Protocol
    port: int
    addresses: tuple[IPv4Address | IPv6Address, ...] = ()


@dataclass(frozen=True, slots=True)
class Connections:
    """How many there are: TCP connections that are not over for either side, and UDP flows that
    were answered."""

    tcp: int = 0
    udp: int = 0


@dataclass(frozen=True, slots=True)
class Transaction:
    """What one `nft -f -` would run: the very text, and nothing else. Empty text: no change.

    A switch is committed without nft: to the same rules, byte for byte (`router.batch`)."""

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
        returns how many."""
        ...

    async def clean_half_open(self, wanted: Ruleset, seen: Set[bytes]) -> frozenset[bytes]:
        """Delete conntrack's entries of TCP connections that were never answered, that no route
        of `wanted` explains, and that an earlier look has `seen`; an established connection is
        never touched. Returns the others that are so now, to hand in a moment later: an answer
        may be on its way to one that is new. Raises StepFailed where the kernel refuses."""
        ...

    async def connections(self, far_ends: Mapping[K, Collection[FarEnd]]) -> dict[K, Connections]:
        """How many connections live on each one's far ends, whoever made them: clients, containers
        through the engine's proxy, and our own questions too (a UDP one for half a minute).
        Raises StepFailed where the kernel refuses."""
        ...

    async def intact(self) -> bool:
        """Whether the table is, rule by rule, what was last applied."""
        ...

    async def listing(self) -> Listing | None:
        """The table as the kernel has it; None where there is none. Changes nothing."""
        ...

    async def remove(self) -> None:
        """Take the table out of the kernel."""
        ...
