"""From the ruleset that is wanted to the table that says so: the intent, rule by rule.

    hook         priority  chain       does
    prerouting       -150  guard       keeps outsiders off instances and off loopback
    prerouting       -110  prerouting  public ports to instances
    output           -110  output      the same for the host's own packets
    forward           -10  forward     drops late UDP replies of targets switched away from
    postrouting        90  postrouting where the engine runs no proxy: what would not come back

-110 comes before Docker's nat chains (-100), and the first mapping wins. nat chains see a
connection's first packet only, and the guard lets known connections through in its first rule:
for that it stands after connection tracking (-200), and before nat, so that it sees packets as
they were sent. Ahead of it, at -300, each packet's look at the guard was 2 to 3 % of a request.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from ipaddress import IPv4Address, IPv4Network, IPv6Address

from alongside.domain.errors import InvalidInput
from alongside.domain.port import Port, Protocol, check_number
from alongside.domain.route import Assign
from alongside.made import Each, Made, others
from alongside.router import unproxied
from alongside.router.protocol import (
    AddressTarget,
    Choice,
    HostTarget,
    InstanceTarget,
    RoutedPort,
    Ruleset,
    Target,
)
from alongside.router.rules import (
    COMMENT_MAX,
    Accept,
    ClientHash,
    Dnat,
    Draw,
    Drop,
    Family,
    FromSet,
    Goto,
    IsKnown,
    IsNew,
    Lookup,
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
from alongside.router.table import Chain, Collection, Hook, Table

SCHEMA = "schema-1"  # an empty chain; a table with another number is made anew
BRIDGES = "bridges"
GUARD_PROXY = "guard-proxy"
HOST_PORTS = "host-ports"

_LOOPBACK: dict[int, IPv4Address | IPv6Address] = {
    4: IPv4Address("127.0.0.1"),
    6: IPv6Address("::1"),
}
_LOOPBACK_NET = IPv4Network("127.0.0.0/8")
_FAMILIES: tuple[Family, Family] = (4, 6)
_ADDRESS_TYPE = {4: "ipv4_addr", 6: "ipv6_addr"}
_PORT_TYPE = "inet_proto . inet_service : verdict"
_PORT_KEY = "meta l4proto . th dport"


def compile_table(ruleset: Ruleset) -> Table:
    """Raises InvalidInput for a name or number that the table cannot hold."""
    sources = (*ruleset.subnets, ruleset.container_bridges, ruleset.host_ports, ruleset.proxied)
    fixed = _FIXED.of(None, sources, partial(_fixed, ruleset))
    return _LATEST.of(fixed, ruleset.ports, ruleset.proxied)


class _Latest:
    """The table that was compiled last. A switch changes the rules of a few chains, and then
    nothing else is looked at."""

    def __init__(self) -> None:
        self._fixed: _Fixed | None = None
        self._ports: tuple[RoutedPort, ...] = ()
        self._table = Table({}, {})

    def of(self, fixed: _Fixed, ports: tuple[RoutedPort, ...], proxied: bool) -> Table:
        """What is `proxied` is a part of what is fixed, too."""
        changed = self._changed(ports) if fixed is self._fixed else None
        if changed is None:
            table = _whole(fixed, ports, proxied)
        else:
            table = self._table.with_chains([_port_chain(one, proxied) for one in changed])
        self._fixed, self._ports, self._table = fixed, ports, table
        return table

    def _changed(self, ports: tuple[RoutedPort, ...]) -> list[RoutedPort] | None:
        """Those that lead elsewhere now; None where there are others than before."""
        if len(ports) != len(self._ports):
            return None
        places = others(self._ports, ports)
        same = all(self._ports[place].port == ports[place].port for place in places)
        return [ports[place] for place in places] if same else None


def _whole(fixed: _Fixed, ports: tuple[RoutedPort, ...], proxied: bool) -> Table:
    chains = [*fixed[0], *_CHAINS[proxied].of(ports, partial(_port_chain, proxied=proxied))]
    by_name = {chain.name: chain for chain in chains}
    if len(by_name) != len(chains):
        raise InvalidInput("A port or a bridge is in the ruleset twice.")
    collections = [*fixed[1], *_dispatch_maps([one.port for one in ports]), *RETIRED.values()]
    return Table(by_name, {one.name: one for one in collections})


def _fixed(ruleset: Ruleset) -> _Fixed:
    """What does not depend on the ports: a switch leaves it as it is."""
    host_ports = {f"{protocol} . {number}": "" for protocol, number in sorted(ruleset.host_ports)}
    direct = [] if ruleset.proxied else [unproxied.masquerades()]
    return [*_skeleton(), *direct, *_guards(ruleset)], [
        Collection("set", BRIDGES, "ifname", elements=_bridges(ruleset)),
        Collection("set", HOST_PORTS, "inet_proto . inet_service", elements=host_ports),
        *_guard_maps(ruleset),
        *([] if ruleset.proxied else unproxied.instances(ruleset.subnets)),
    ]


_Fixed = tuple[list[Chain], list[Collection]]
_FIXED: Made[_Fixed] = Made()
_CHAINS: dict[bool, Each[RoutedPort, Chain]] = {True: Each(), False: Each()}
_LATEST = _Latest()


def chain_name(port: Port) -> str:
    """`port-53-udp`, `port-192.0.2.7-80-tcp`. A chain's name cannot hold colons."""
    where = f"{port.address}-".replace(":", "_") if port.address else ""
    return f"port-{where}{port.number}-{port.protocol}"


def retired(family: int) -> str:
    return f"retired{family}"


RETIRED = {
    retired(family): Collection(
        "set", retired(family), f"{_ADDRESS_TYPE[family]} . inet_service", "timeout"
    )
    for family in _FAMILIES
}


def _skeleton() -> list[Chain]:
    other_loopback = Rule(
        # A resolver on 127.0.0.53 keeps its port: only 127.0.0.1 and ::1 are ours.
        (To(_LOOPBACK_NET), To(_LOOPBACK[4], negated=True)),
        Accept(),
    )
    to_host = Rule((ToHost(),), Goto("dispatch"))
    return [
        Chain(SCHEMA),
        Chain(
            "guard",
            Hook("filter", "prerouting", -150),
            (
                Rule((IsKnown(),), Accept()),
                Rule((NotFrom("lo"), To(_LOOPBACK_NET)), Drop(), "loopback is the host's own"),
                Rule((NotFrom("lo"), To(_LOOPBACK[6])), Drop(), "loopback is the host's own"),
                # Before nat: what was sent to a public port still has that port here.
                Rule(
                    (NotFrom("lo"), ToHost(), ToPorts(HOST_PORTS)),
                    Drop(),
                    "local ports are the host's own",
                ),
                Rule((), Lookup("ip daddr", "guard4")),
                Rule((), Lookup("ip6 daddr", "guard6")),
            ),
        ),
        Chain("prerouting", Hook("nat", "prerouting", -110), (to_host,)),
        Chain("output", Hook("nat", "output", -110), (other_loopback, to_host)),
        Chain(
            "dispatch",  # ports bound to an address before those of any address
            rules=(
                Rule((), Lookup(f"ip daddr . {_PORT_KEY}", "ports4")),
                Rule((), Lookup(f"ip6 daddr . {_PORT_KEY}", "ports6")),
                Rule((), Lookup(_PORT_KEY, "ports")),
            ),
        ),
        Chain(
            "forward",
            Hook("filter", "forward", -10),
            (
                Rule((IsKnown(),), Accept()),
                *(
                    Rule((IsNew(), SourceIn(family, retired(family))), Drop(), "late replies")
                    for family in _FAMILIES
                ),
            ),
        ),
    ]


def _dispatch_maps(ports: Sequence[Port]) -> list[Collection]:
    any_address: dict[str, str] = {}
    bound: dict[int, dict[str, str]] = {4: {}, 6: {}}
    for port in ports:
        key, verdict = f"{port.protocol} . {port.number}", f"goto {chain_name(port)}"
        if port.address is None:
            any_address[key] = verdict
        else:
            bound[port.address.version][f"{port.address} . {key}"] = verdict
    return [
        Collection("map", "ports", _PORT_TYPE, elements=any_address),
        *(
            Collection(
                "map",
                f"ports{family}",
                f"{_ADDRESS_TYPE[family]} . {_PORT_TYPE}",
                elements=bound[family],
            )
            for family in _FAMILIES
        ),
    ]


# The guard.


def _guards(ruleset: Ruleset) -> Iterator[Chain]:
    for subnet in ruleset.subnets:
        yield _guard(subnet.bridge)
    if ruleset.subnets:
        own = Rule((NotFrom("lo"),), Drop(), "the proxy's address is the host's own")
        yield Chain(GUARD_PROXY, rules=(own,))


@lru_cache(maxsize=16_384)
def _guard(bridge: str) -> Chain:
    own = (NotFrom(_interface(bridge)), NotFrom("lo"))
    return Chain(f"guard-{bridge}", rules=(Rule(own, Drop(), f"{bridge} keeps its own subnet"),))


def _guard_maps(ruleset: Ruleset) -> list[Collection]:
    """Address to the chain that knows its bridge.

    A map of intervals and a chain a bridge, not one set of `ip daddr . iifname`: intervals
    concatenated with interface names are beyond nft 1.0.6 with older kernels.
    """
    own = [(one, f"goto guard-{one.bridge}") for one in ruleset.subnets]
    by_family: dict[Family, dict[str, str]] = {
        4: {str(subnet.ipv4): verdict for subnet, verdict in own},
        6: {str(subnet.ipv6): verdict for subnet, verdict in own}
        | {str(subnet.proxy6): f"goto {GUARD_PROXY}" for subnet in ruleset.subnets},
    }
    return [
        Collection(
            "map",
            f"guard{family}",
            f"{_ADDRESS_TYPE[family]} : verdict",
            "interval",
            by_family[family],
        )
        for family in _FAMILIES
    ]


def _bridges(ruleset: Ruleset) -> dict[str, str]:
    names = ruleset.container_bridges | {subnet.bridge for subnet in ruleset.subnets}
    return {f'"{_interface(name)}"': "" for name in sorted(names)}


@lru_cache(maxsize=16_384)
def _interface(name: str) -> str:
    if not name or len(name.encode()) > 15 or any(one in '"\\*/' or one.isspace() for one in name):
        raise InvalidInput(
            f"{name!r} cannot be an interface's name in the table.",
            hint='Names have at most 15 bytes, none of them a space, a quote, "\\", "*" or "/".',
        )
    return name


# One port.


def _port_chain(routed: RoutedPort, proxied: bool) -> Chain:
    return Chain(chain_name(routed.port), rules=_port_rules(routed, proxied))


def _port_rules(routed: RoutedPort, proxied: bool) -> tuple[Rule, ...]:
    """Immediate rules only: a rule with a set or map of its own loses packets when replaced,
    since a packet in the old rule looks the old set up in the new generation (design.md)."""
    if not routed.choices:
        return (_reject(routed.port),)
    bound = routed.port.address
    families: tuple[Family, ...] = _FAMILIES
    if bound is not None:
        families = (4,) if bound.version == 4 else (6,)
    rules: list[Rule] = []
    if proxied and (bound is None or not bound.is_loopback):
        rules += [rule for family in families for rule in _from_containers(routed, family)]
    if bound is None or bound.is_loopback:
        rules += [rule for family in families for rule in _from_loopback(routed, family, proxied)]
    if bound is None or not bound.is_loopback:
        rules += [rule for family in families for rule in _from_elsewhere(routed, family)]
    if any(isinstance(choice.target, AddressTarget) for choice in routed.choices):
        rules.append(_reject(routed.port))  # what found no way to it
    return tuple(rules)


def _reject(port: Port) -> Rule:
    """In nat, before Docker's: an empty chain would let its rules for the port, or a program on
    the host, have the packet. `reject` stands in prerouting since kernel 5.9."""
    return Rule((OfProtocol(port.protocol),), _rejection(port), f"nobody {port}")


def _rejection(port: Port, family: Family | None = None) -> Reject:
    return Reject(port.protocol is Protocol.TCP, family)


def _from_containers(routed: RoutedPort, family: Family) -> Iterator[Rule]:
    """To an instance by its gateway's local port: DNAT across bridges dies in Docker's isolation
    chains."""
    for choice, part in _parts(routed, family):
        target = choice.target
        if not isinstance(target, InstanceTarget):
            continue  # as from elsewhere
        gateway = target.subnet.gateway4 if family == 4 else target.subnet.proxy6
        matches = (FromSet(BRIDGES), *_of(family, part))
        yield _rule(routed, choice, matches, part, Dnat(gateway, target.local_port))


def _from_loopback(routed: RoutedPort, family: Family, proxied: bool) -> Iterator[Rule]:
    """By redirect, which unlike DNAT to an instance needs no route_localnet (CVE-2020-8558). An
    engine without its proxy sets it on its bridges itself, for IPv4; nothing leads from ::1 to
    another interface."""
    here = (To(_LOOPBACK[family]),)
    for choice, part in _parts(routed, family):
        match choice.target:
            case InstanceTarget(ipv4=address, port=port) if not proxied:
                if family == 4:
                    yield _rule(routed, choice, here, part, Dnat(address, port))
                else:
                    yield _no_way(routed.port, here, part, family)
            case InstanceTarget(local_port=port) | HostTarget(port=port):
                yield _rule(routed, choice, here, part, Redirect(port))
            case AddressTarget(address=address, port=port, on_host=True):
                if address.version == family:
                    yield _rule(routed, choice, here, part, Dnat(address, port))
            case AddressTarget():
                yield _no_way(routed.port, here, part, family)


def _no_way(port: Port, here: tuple[Match, ...], part: _Part, family: Family) -> Rule:
    matches = (*here, OfProtocol(port.protocol), *((part,) if part else ()))
    return Rule(matches, _rejection(port, family), f"no way from loopback {port}")


def _from_elsewhere(routed: RoutedPort, family: Family) -> Iterator[Rule]:
    for choice, part in _parts(routed, family):
        of = _of(family, part)
        match choice.target:
            case InstanceTarget(ipv4=ipv4, ipv6=ipv6, port=port):
                verdict: Dnat | Redirect = Dnat(ipv4 if family == 4 else ipv6, port)
            case HostTarget(port=port):
                verdict = Redirect(port)
            case AddressTarget(address=address, port=port):
                if address.version != family:
                    continue
                verdict = Dnat(address, port)
        yield _rule(routed, choice, of, part, verdict)


_Part = Draw | ClientHash | None


def _of(family: Family, part: _Part) -> tuple[Match, ...]:
    """nft drops `meta nfproto` before a key that implies it, and the hash's does."""
    return () if isinstance(part, ClientHash) else (OfFamily(family),)


def _parts(routed: RoutedPort, family: Family) -> Iterator[tuple[Choice, _Part]]:
    """Each choice with the comparison that gives it its part.

    A random draw is made anew in each rule, so each takes its weight of what is left over; a
    client's hash is the same in each, so each compares with the sum so far. The last takes all.
    """
    total = sum(choice.weight for choice in routed.choices)
    passed = 0
    for choice in routed.choices:
        left = total - passed
        passed += choice.weight
        if passed == total:
            yield choice, None
        elif routed.assign is Assign.CLIENT:
            yield choice, ClientHash(family, total, passed)
        else:
            yield choice, Draw(left, choice.weight)


def _rule(
    routed: RoutedPort,
    choice: Choice,
    matches: tuple[Match, ...],
    part: _Part,
    verdict: Dnat | Redirect,
) -> Rule:
    check_number(verdict.port)
    # nat takes a port only where the protocol is known: without it the rule does not parse.
    all_of = (*matches, OfProtocol(routed.port.protocol), *((part,) if part else ()))
    return Rule(all_of, verdict, _comment(routed, choice))


def _comment(routed: RoutedPort, choice: Choice) -> str:
    """`dns@1.0.0 53/udp`, and in a split `dns@1.0.0 53/udp 30/100`."""
    about = str(routed.port)
    if len(routed.choices) > 1:
        about += f" {choice.weight}/{sum(one.weight for one in routed.choices)}"
    name = _printable(choice.target)
    return f"{name[: COMMENT_MAX - len(about) - 1]} {about}"


def _printable(target: Target) -> str:
    if not target.name.isascii() or not target.name.isprintable() or '"' in target.name:
        raise InvalidInput(f"{target.name!r} cannot be a target's name in the table.")
    return target.name
