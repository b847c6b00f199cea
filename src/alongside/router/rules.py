"""nftables rules as data. `str()` of each value is its nft text, spelled as `nft list` prints it.

The text is what the kernel runs, and the data is what the packet tracer interprets: there is one
description of a rule, never two. The spelling follows nft 1.0.6, so that a listing can be compared
with what was written; `meta nfproto` is left out where nft 1.0.6 leaves it out (before `ip` keys).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Literal

from alongside.domain.port import Protocol

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network
Family = Literal[4, 6]

# A fixed seed: without one the kernel draws another for each rule, and the same client would get
# another version after each switch.
HASH_SEED = 0x61C88647

# NFTNL_UDATA_COMMENT_MAXLEN of libnftnl, the closing NUL aside.
COMMENT_MAX = 127


def ip(family: Family) -> str:
    return "ip" if family == 4 else "ip6"


# What a packet is asked. All of a rule's matches must hold.


@dataclass(frozen=True, slots=True)
class FromSet:
    """It came in by one of the interfaces of a named set. Never true in the output hook."""

    name: str

    def __str__(self) -> str:
        return f"iifname @{self.name}"


@dataclass(frozen=True, slots=True)
class NotFrom:
    interface: str

    def __str__(self) -> str:
        return f'iifname != "{self.interface}"'


@dataclass(frozen=True, slots=True)
class OfFamily:
    family: Family

    def __str__(self) -> str:
        return f"meta nfproto ipv{self.family}"


@dataclass(frozen=True, slots=True)
class OfProtocol:
    protocol: Protocol

    def __str__(self) -> str:
        return f"meta l4proto {self.protocol}"


@dataclass(frozen=True, slots=True)
class To:
    destination: IPAddress | IPNetwork
    negated: bool = False

    def __str__(self) -> str:
        family: Family = 4 if self.destination.version == 4 else 6
        return f"{ip(family)} daddr {'!= ' if self.negated else ''}{self.destination}"


@dataclass(frozen=True, slots=True)
class ToHost:
    """To an address of the host's own, loopback among them."""

    def __str__(self) -> str:
        return "fib daddr type local"


@dataclass(frozen=True, slots=True)
class ToPorts:
    """To a protocol and port of a named set."""

    name: str

    def __str__(self) -> str:
        return f"meta l4proto . th dport @{self.name}"


@dataclass(frozen=True, slots=True)
class IsNew:
    """The first packet of a connection, or of a UDP flow that conntrack does not know."""

    def __str__(self) -> str:
        return "ct state new"


@dataclass(frozen=True, slots=True)
class IsKnown:
    """A later packet of a connection or flow, or an ICMP message about one."""

    def __str__(self) -> str:
        return "ct state established,related"


@dataclass(frozen=True, slots=True)
class SourceIn:
    """UDP from an address and port of a named set."""

    family: Family
    name: str

    def __str__(self) -> str:
        return f"{ip(self.family)} saddr . udp sport @{self.name}"


@dataclass(frozen=True, slots=True)
class From:
    source: IPNetwork

    def __str__(self) -> str:
        return f"{ip(4 if self.source.version == 4 else 6)} saddr {self.source}"


@dataclass(frozen=True, slots=True)
class Among:
    """From, or to, an address of a named set."""

    family: Family
    end: Literal["saddr", "daddr"]
    name: str

    def __str__(self) -> str:
        return f"{ip(self.family)} {self.end} @{self.name}"


@dataclass(frozen=True, slots=True)
class IsRedirected:
    """Its destination is not the one that it was sent to."""

    def __str__(self) -> str:
        return "ct status dnat"


@dataclass(frozen=True, slots=True)
class Draw:
    """A random number out of `of` is below `below`. Each rule draws anew."""

    of: int
    below: int

    def __str__(self) -> str:
        return f"numgen random mod {self.of} < {self.below}"


@dataclass(frozen=True, slots=True)
class ClientHash:
    """The client's address, hashed to a number out of `of`, is below `below`. Each rule gets
    the same number for the same client."""

    family: Family
    of: int
    below: int
    seed: int = HASH_SEED

    def __str__(self) -> str:
        source = f"{ip(self.family)} saddr"
        return f"jhash {source} mod {self.of} seed {self.seed:#x} < {self.below}"


Match = (
    FromSet
    | NotFrom
    | OfFamily
    | OfProtocol
    | To
    | ToHost
    | ToPorts
    | IsNew
    | IsKnown
    | SourceIn
    | From
    | Among
    | IsRedirected
    | Draw
    | ClientHash
)


# What becomes of it.


@dataclass(frozen=True, slots=True)
class Dnat:
    address: IPAddress
    port: int

    def __str__(self) -> str:
        if self.address.version == 4:
            return f"dnat ip to {self.address}:{self.port}"
        return f"dnat ip6 to [{self.address}]:{self.port}"


@dataclass(frozen=True, slots=True)
class Redirect:
    """To the host itself: in the output hook to 127.0.0.1 or ::1."""

    port: int

    def __str__(self) -> str:
        return f"redirect to :{self.port}"


@dataclass(frozen=True, slots=True)
class Masquerade:
    """Its source becomes the host's own address on the interface that it leaves by."""

    def __str__(self) -> str:
        return "masquerade"


@dataclass(frozen=True, slots=True)
class Goto:
    chain: str

    def __str__(self) -> str:
        return f"goto {self.chain}"


@dataclass(frozen=True, slots=True)
class Lookup:
    """A named verdict map decides; what it does not hold goes on with the next rule."""

    key: str  # nft's key expression
    name: str

    def __str__(self) -> str:
        return f"{self.key} vmap @{self.name}"


@dataclass(frozen=True, slots=True)
class Accept:
    """The end of this base chain; later ones of the same hook still run."""

    def __str__(self) -> str:
        return "accept"


@dataclass(frozen=True, slots=True)
class Drop:
    def __str__(self) -> str:
        return "drop"


@dataclass(frozen=True, slots=True)
class Reject:
    """A TCP reset, or ICMP's port unreachable; nft names the ICMP of a rule of one family."""

    reset: bool
    family: Family | None = None

    def __str__(self) -> str:
        if self.reset:
            return "reject with tcp reset"
        if self.family is None:
            return "reject"
        return f"reject with icmp{'' if self.family == 4 else 'v6'} port-unreachable"


Verdict = Dnat | Redirect | Masquerade | Goto | Lookup | Accept | Drop | Reject


Shape = tuple[type, ...]  # what kind of rule it is, numbers and names aside


@dataclass(frozen=True)
class Rule:
    matches: tuple[Match, ...]
    verdict: Verdict
    comment: str = ""

    @property
    def shape(self) -> Shape:
        return (*map(type, self.matches), type(self.verdict))

    def __str__(self) -> str:
        return self._text

    @cached_property
    def _text(self) -> str:
        words = [*map(str, self.matches), str(self.verdict)]
        if self.comment:
            words.append(f'comment "{self.comment}"')
        return " ".join(words)
