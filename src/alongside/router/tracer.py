"""Where a packet lands: a walk through the table's rules as data, as the kernel would take it.

It knows hooks, priorities, named sets and maps, and that nat is decided once, for a connection's
first packet. It knows nothing of ports, splits or instances: those it can only find in the rules.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_address, ip_network

from alongside.domain.port import Protocol
from alongside.router.jhash import jhash, scale
from alongside.router.rules import (
    Accept,
    Among,
    ClientHash,
    Dnat,
    Draw,
    Drop,
    From,
    FromSet,
    Goto,
    IPAddress,
    IsKnown,
    IsNew,
    IsRedirected,
    Lookup,
    Masquerade,
    Match,
    NotFrom,
    OfFamily,
    OfProtocol,
    Redirect,
    Reject,
    Rule,
    SourceIn,
    To,
    ToHost,
    ToPorts,
)
from alongside.router.table import Chain, Table


@dataclass(frozen=True, slots=True)
class Packet:
    """`interface` is where it came in; None: the host itself made it. `draws` are the 32-bit
    random numbers that `numgen` gets, one after the other, the last again and again."""

    source: IPAddress
    destination: IPAddress
    protocol: Protocol
    port: int
    interface: str | None = None
    source_port: int = 40000
    new: bool = True
    draws: Sequence[int] = field(default=(0,))

    def __post_init__(self) -> None:
        if self.source.version != self.destination.version:
            raise ValueError("a packet is of one family")


@dataclass(frozen=True, slots=True)
class Delivered:
    address: IPAddress
    port: int
    by: str  # the deciding rule's comment


@dataclass(frozen=True, slots=True)
class Rejected:
    """By a TCP reset, or an ICMP message."""

    reset: bool


@dataclass(frozen=True, slots=True)
class Dropped:
    by: str


@dataclass(frozen=True, slots=True)
class Untouched:
    """It goes where it would have gone without the table."""


Landing = Delivered | Rejected | Dropped | Untouched
_LOOPBACK: dict[int, IPAddress] = {4: ip_address("127.0.0.1"), 6: ip_address("::1")}


def trace(table: Table | None, packet: Packet, host: frozenset[IPAddress]) -> Landing:
    """`host`: the host's own addresses; what is loopback need not be among them."""
    return _Walk(table or Table({}, {}), packet, host).land()


class _Walk:
    def __init__(self, table: Table, packet: Packet, host: frozenset[IPAddress]) -> None:
        self._table = table
        self._packet = packet
        self._host = host
        self._draws = iter(packet.draws)
        self._last = 0
        self._nat_done = not packet.new  # nat is decided once a connection
        self._delivered: Delivered | None = None

    def land(self) -> Landing:
        hooks = self._incoming if self._packet.interface else self._outgoing
        for hook in hooks():
            for chain, nat in self._base_chains(hook):
                if nat and self._nat_done:
                    continue
                landing = self._chain(chain)
                if isinstance(landing, Dropped | Rejected):
                    return landing
                if isinstance(landing, Delivered):
                    self._delivered, self._nat_done = landing, True
                    self._packet = replace(
                        self._packet, destination=landing.address, port=landing.port
                    )
            # Where no rule matched, nat notes just that: what leaves output as it was is not
            # looked at again when it comes back in by lo.
            self._nat_done = True
        return self._delivered or Untouched()

    def _incoming(self) -> Iterator[str]:
        yield "prerouting"
        if not self._is_local(self._packet.destination):
            yield "forward"

    def _outgoing(self) -> Iterator[str]:
        yield "output"
        if self._is_local(self._packet.destination):
            # It comes back in by lo.
            self._packet = replace(self._packet, interface="lo")
            yield "prerouting"

    def _base_chains(self, hook: str) -> list[tuple[Chain, bool]]:
        found = [
            (one.hook.priority, one.hook.kind == "nat", one)
            for one in self._table.chains.values()
            if one.hook and one.hook.name == hook
        ]
        return [(one, nat) for _, nat, one in sorted(found, key=lambda three: three[0])]

    def _chain(self, chain: Chain) -> Landing:
        for rule in chain.rules:
            if all(map(self._matches, rule.matches)):
                landing = self._verdict(rule)
                if landing:
                    return landing
        return Untouched()

    def _verdict(self, rule: Rule) -> Landing | None:  # noqa: PLR0911 -- one a kind
        """None goes on with the next rule."""
        match rule.verdict:
            case Dnat(address, port):
                if address.version != self._packet.destination.version:
                    raise ValueError(f"{rule} would be run for another family's packet")
                return Delivered(address, port, rule.comment)
            case Redirect(port):
                here = self._packet.interface is None
                address = _LOOPBACK[self._packet.destination.version]
                return Delivered(address if here else self._packet.destination, port, rule.comment)
            case Masquerade():
                raise ValueError("where a packet lands is decided before postrouting")
            case Goto(chain):
                return self._chain(self._table.chains[chain])
            case Lookup(key, name):
                return self._look_up(key, name)
            case Accept():
                return Untouched()
            case Drop():
                return Dropped(rule.comment)
            case Reject(reset=reset):
                return Rejected(reset)

    def _look_up(self, key: str, name: str) -> Landing | None:
        fields = [self._field(one) for one in key.split(" . ")]
        if None in fields:
            return None  # an ip key of an ip6 packet
        collection = self._table.collections[name]
        wanted = " . ".join(map(str, fields))
        if "interval" in collection.flags:
            address = ip_address(wanted)
            within = (one for one in collection.elements if address in ip_network(one))
            verdict = collection.elements.get(next(within, ""))
        else:
            verdict = collection.elements.get(wanted)
        if verdict is None:
            return None
        if verdict == "accept":
            return Untouched()
        return self._chain(self._table.chains[verdict.removeprefix("goto ")])

    def _field(self, name: str) -> object:
        packet = self._packet
        if name in ("ip daddr", "ip6 daddr"):
            version = 4 if name == "ip daddr" else 6
            return packet.destination if packet.destination.version == version else None
        return {"meta l4proto": packet.protocol, "th dport": packet.port}[name]

    def _matches(self, match: Match) -> bool:  # noqa: PLR0911, PLR0912 -- one a kind
        packet = self._packet
        match match:
            case FromSet(name):
                return f'"{packet.interface}"' in self._table.collections[name].elements
            case NotFrom(interface):
                return packet.interface is not None and packet.interface != interface
            case OfFamily(family):
                return packet.destination.version == family
            case OfProtocol(protocol):
                return packet.protocol is protocol
            case To(destination, negated):
                same = packet.destination.version == destination.version
                return same and (packet.destination in ip_network(destination)) is not negated
            case ToHost():
                return self._is_local(packet.destination)
            case ToPorts(name):
                key = f"{packet.protocol} . {packet.port}"
                return key in self._table.collections[name].elements
            case IsNew():
                return packet.new
            case IsKnown():
                return not packet.new
            case SourceIn(family, name):
                key = f"{packet.source} . {packet.source_port}"
                udp = packet.protocol is Protocol.UDP and packet.source.version == family
                return udp and key in self._table.collections[name].elements
            case From(source):
                return packet.source in source
            case Among(_, end, name):
                address = packet.source if end == "saddr" else packet.destination
                return any(address in ip_network(one) for one in self._elements(name))
            case IsRedirected():
                return self._delivered is not None
            case Draw(of, below):
                self._last = next(self._draws, self._last)
                return scale(self._last, of) < below
            case ClientHash(family, of, below, seed):
                same = packet.source.version == family
                return same and scale(jhash(packet.source.packed, seed), of) < below

    def _elements(self, name: str) -> Iterator[str]:
        yield from self._table.collections[name].elements

    def _is_local(self, address: IPAddress) -> bool:
        return address.is_loopback or address in self._host
