"""What a table of ours says, read back from the kernel: which port leads to whom.

The comments have the names (`dns@1.0.0 53/udp 30/100`); the guard's maps have the subnets of every
instance, routed or not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from alongside.domain.errors import AlongsideError
from alongside.domain.port import Port, parse_port
from alongside.domain.route import Assign
from alongside.router.compile import BRIDGES, chain_name
from alongside.router.table import Listing

_COMMENT = re.compile(r' comment "(?P<name>.+) (?P<port>\S+/(?:tcp|udp))(?: (?P<part>\d+)/\d+)?"$')
_DNAT = re.compile(r"\bdnat ip6? to \[?([0-9a-f.:]+?)\]?:(\d+)(?: |$)")
_REDIRECT = re.compile(r"\bredirect to :(\d+)(?: |$)")
_NOBODY = "nobody"
_NO_WAY = "no way from loopback"


@dataclass(frozen=True, slots=True)
class Led:
    """A public port, and what it leads to by name, with weights; no one: it rejects."""

    port: Port
    shares: tuple[tuple[str, int], ...]
    assign: Assign
    # Where the rules for packets from elsewhere lead: for what is no version of a service.
    number: int = 0
    address: IPv4Address | IPv6Address | None = None
    on_host: bool = False


@dataclass(frozen=True, slots=True)
class Told:
    """All of it. `subnets4`, `subnets6`: of every instance that there is, by its bridge."""

    ports: tuple[Led, ...] = ()
    subnets4: Mapping[str, IPv4Network] | None = None
    subnets6: Mapping[str, IPv6Network] | None = None
    bridges: frozenset[str] = frozenset()
    proxied: bool = True


def read_table(listing: Listing) -> Told:
    """What cannot be understood is left out: it is not ours."""
    return Told(
        ports=tuple(_ports(listing)),
        subnets4={name: IPv4Network(subnet) for name, subnet in _guarded(listing, "guard4")},
        subnets6={name: IPv6Network(subnet) for name, subnet in _guarded(listing, "guard6")},
        bridges=frozenset(key.strip('"') for key in _elements(listing, BRIDGES)),
        proxied="instances4" not in listing.collections,
    )


def _ports(listing: Listing) -> Iterator[Led]:
    for name, chain in listing.chains.items():
        if not name.startswith("port-"):
            continue
        found = [match for rule in chain.rules if (match := _COMMENT.search(rule))]
        if not found:
            continue
        try:
            port = parse_port(found[0]["port"])
        except AlongsideError:
            continue
        # Without the engine's proxy nothing leads to one on ::1, and nothing names it.
        named = any(match["name"] != _NO_WAY for match in found)
        if chain_name(port) == name and named:
            yield _led(port, chain.rules)


def _led(port: Port, rules: tuple[str, ...]) -> Led:
    shares: dict[str, int] = {}
    number, address, by_client, on_host = 0, None, False, False
    for rule in rules:
        match = _COMMENT.search(rule)
        if match is None or match["name"] in (_NOBODY, _NO_WAY):
            continue
        shares[match["name"]] = int(match["part"] or 1)
        by_client |= "jhash " in rule
        from_loopback = "ip daddr 127.0.0.1 " in rule or "ip6 daddr ::1 " in rule
        if far := _DNAT.search(rule):
            if from_loopback:
                on_host = True
            elif "iifname @" not in rule:
                number, address = int(far[2]), ip_address(far[1])
        elif (here := _REDIRECT.search(rule)) and not from_loopback:
            number = int(here[1])
    assign = Assign.CLIENT if by_client else Assign.RANDOM
    return Led(port, tuple(shares.items()), assign, number, address, on_host)


def _guarded(listing: Listing, name: str) -> Iterator[tuple[str, str]]:
    for subnet, verdict in _elements(listing, name).items():
        bridge = verdict.removeprefix("goto guard-")
        if bridge not in (verdict, "proxy"):
            yield bridge, subnet


def _elements(listing: Listing, name: str) -> Mapping[str, str]:
    collection = listing.collections.get(name)
    return collection.elements if collection else {}
