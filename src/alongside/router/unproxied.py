"""What the table has besides where the engine runs no proxy ("userland-proxy": false).

What the proxy would have taken goes straight to the container then, and two kinds of it would not
come back: from loopback, whose address means another host to whoever gets it; and from the
container's own bridge, where the answer would go straight to the one who asked, from an address
that he did not ask.

An engine that runs its proxy again takes the chain away, which makes the table anew: the engine was
restarted for it, and its containers with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network
from typing import Literal

from alongside.domain.instance import Subnet
from alongside.router.rules import Among, Family, From, IsRedirected, Masquerade, Rule
from alongside.router.table import Chain, Collection, Hook

_FAMILIES: tuple[Family, Family] = (4, 6)
_LOOPBACK = IPv4Network("127.0.0.0/8")


def masquerades() -> Chain:
    """By addresses, not by interface: where bridges call the IP hooks, a packet that goes back
    where it came from has no incoming interface here."""
    return Chain(
        "postrouting",
        Hook("nat", "postrouting", 90),  # the engine's own masquerading is at 100
        (
            Rule((From(_LOOPBACK), _end("daddr", 4)), Masquerade(), "from loopback"),
            *(
                Rule(
                    # Without `dnat` a neighbour that asks the container itself would be hidden.
                    (IsRedirected(), _end("saddr", family), _end("daddr", family)),
                    Masquerade(),
                    "back to the bridge that it came from",
                )
                for family in _FAMILIES
            ),
        ),
    )


def instances(subnets: Sequence[Subnet]) -> list[Collection]:
    """The subnets of all instances, as a set a family."""
    return [
        Collection(
            "set", _name(4), "ipv4_addr", "interval", {str(one.ipv4): "" for one in subnets}
        ),
        Collection(
            "set", _name(6), "ipv6_addr", "interval", {str(one.ipv6): "" for one in subnets}
        ),
    ]


def _end(end: Literal["saddr", "daddr"], family: Family) -> Among:
    return Among(family, end, _name(family))


def _name(family: Family) -> str:
    return f"instances{family}"
