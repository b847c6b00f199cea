"""Rules of nftables and of iptables as one kind of value, and the way of a packet through them.

Not every rule can be understood: a match that is not known here counts as one that the packet
does not meet, and what it might have let through is remembered as a doubt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Literal

from alongside.domain.port import Protocol

Address = IPv4Address | IPv6Address
Key = Literal[
    "family",
    "in",
    "out",
    "from",
    "to",
    "protocol",
    "number",
    "state",
    "status",
    "bridged",  # to a network of the engine's
    "type",
]
Hook = Literal["prerouting", "input", "forward"]

# What ends a packet's way, or takes it another. Not `accept`: later base chains see it still.
STOPS = frozenset({"drop", "reject"})
TAKES = frozenset({"dnat", "redirect", "tproxy", "notrack"})
_DEPTH = 16  # the kernel's own limit of jumps (NFT_JUMP_STACK_SIZE)


@dataclass(frozen=True, slots=True)
class Match:
    """`key` None is one that is not understood. Values are texts: `eth*`, `10.0.0.0/8`, `80`,
    `8000-8010`, `new`, `tcp`."""

    key: Key | None
    values: tuple[str, ...] = ()
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """`verdict` is "" where the rule lets go on; `target` is the chain of a jump or goto."""

    matches: tuple[Match, ...]
    verdict: str
    target: str = ""
    name: str = ""  # for people: `handle 8`, or iptables' own text


@dataclass(frozen=True, slots=True)
class Base:
    """A base chain, and the chains of its table by name."""

    family: str  # ip, ip6, inet
    table: str
    chain: str
    hook: Hook
    kind: str  # filter, nat
    priority: int
    policy: str
    chains: Mapping[str, tuple[Rule, ...]]
    by: Literal["nft", "iptables", "iptables-legacy"] = "nft"

    @property
    def command(self) -> str:
        """Which of iptables' commands keeps it."""
        legacy = "-legacy" if self.by == "iptables-legacy" else ""
        return f"{'ip6tables' if self.family == 'ip6' else 'iptables'}{legacy}"

    def __str__(self) -> str:
        if self.by == "nft":
            return f"chain {self.chain} of table {self.family} {self.table}"
        return f"{self.command}' chain {self.chain} (table {self.table})"


@dataclass(frozen=True, slots=True)
class Packet:
    """The first one of a stranger's connection, unless `state` says otherwise."""

    protocol: Protocol
    to: Address
    number: int  # the destination's port
    came_in: str  # interface; "" where it is not known
    goes_out: str = ""
    here: bool = True  # `to` is an address of the host's own
    translated: bool = False  # by our DNAT
    state: str = "new"


@dataclass(frozen=True, slots=True)
class Fate:
    """Where a packet's way ended. `doubt`: a rule that is not understood may have let it pass."""

    verdict: str
    base: Base
    chain: str
    rule: Rule | None  # None: the base chain's policy
    doubt: bool = False

    def __str__(self) -> str:
        if self.rule is None:
            return f"the policy {self.verdict} of {self.base}"
        inside = "" if self.chain == self.base.chain else f" (chain {self.chain})"
        return f"`{self.verdict}` in {self.base}{inside}, {self.rule.name}"


def fate(base: Base, packet: Packet) -> Fate | None:
    """How the base chain stops or takes the packet; None where it lets it go on."""
    if base.family in ("ip", "ip6") and (base.family == "ip6") != (packet.to.version == 6):
        return None
    way = _Way(base, packet)
    found = way.through(base.chain, 0)
    if found is not None:
        return found if found.verdict in STOPS | TAKES else None
    if base.policy in STOPS:
        return Fate(base.policy, base, base.chain, None, way.doubt)
    return None


class _Way:
    def __init__(self, base: Base, packet: Packet) -> None:
        self.base, self.packet = base, packet
        self.doubt = False

    def through(self, chain: str, depth: int) -> Fate | None:
        """None: its end was reached."""
        for rule in self.base.chains.get(chain, ()):
            met = _all(_meets(match, self.packet) for match in rule.matches)
            if met is None:
                self.doubt |= rule.verdict in ("accept", "jump", "goto", "?")
            if not met or not rule.verdict:
                continue
            if rule.verdict == "return":
                return None
            if rule.verdict == "?" or (rule.target and rule.target not in self.base.chains):
                self.doubt = True  # an extension that is not known here
                continue
            if rule.verdict not in ("jump", "goto"):
                return Fate(rule.verdict, self.base, chain, rule, self.doubt)
            if depth < _DEPTH:
                found = self.through(rule.target, depth + 1)
                if found is not None or rule.verdict == "goto":
                    return found
        return None


def _all(each: Iterable[bool | None]) -> bool | None:
    """Of three values: False wins, then not known."""
    answers = list(each)
    return False if False in answers else None if None in answers else True


def _meets(match: Match, packet: Packet) -> bool | None:
    if match.key is None:
        return None
    met = _MEETS[match.key](match.values, packet)
    return met if met is None else met is not match.negated


def _interface(values: Iterable[str], name: str) -> bool | None:
    if not name:
        return None
    return any(
        name.startswith(one[:-1]) if one.endswith(("*", "+")) else name == one for one in values
    )


def _from(values: tuple[str, ...], packet: Packet) -> bool | None:
    """A stranger comes from anywhere: only what names everybody surely means them."""
    everybody = {"0.0.0.0/0", "::/0"}
    return True if everybody & set(values) else None


def _to(values: Iterable[str], packet: Packet) -> bool | None:
    met: list[bool | None] = [_holds(one, packet.to) for one in values]
    return True if True in met else None if None in met else False


def _holds(text: str, address: Address) -> bool | None:
    try:
        first, dash, last = text.partition("-")
        if dash:
            low, high = ip_address(first), ip_address(last)
            return low.version == address.version and int(low) <= int(address) <= int(high)
        network: IPv4Network | IPv6Network = ip_network(text, strict=False)
    except ValueError:
        return None  # a name
    return address.version == network.version and address in network


def _number(values: Iterable[str], packet: Packet) -> bool | None:
    for one in values:
        first, _, last = one.partition("-")
        if not (first.isdigit() and (last or first).isdigit()):
            return None  # a service's name
        if int(first) <= packet.number <= int(last or first):
            return True
    return False


_MEETS: Mapping[Key, Callable[[tuple[str, ...], Packet], bool | None]] = {
    "family": lambda values, packet: f"{packet.to.version}" in values,
    "in": lambda values, packet: _interface(values, packet.came_in),
    "out": lambda values, packet: _interface(values, packet.goes_out),
    "from": _from,
    "to": _to,
    "protocol": lambda values, packet: packet.protocol.value in values,
    "number": _number,
    # iptables has a state of that name, nft a status.
    "state": lambda values, packet: (
        packet.state in values or (packet.translated and "dnat" in values)
    ),
    "status": lambda values, packet: packet.translated and "dnat" in values,
    "bridged": lambda _, packet: bool(packet.goes_out),
    "type": lambda values, packet: ("local" if packet.here else "unicast") in values,
}
