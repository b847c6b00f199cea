"""Half-open TCP connections that no route explains: found and deleted over netlink.

conntrack keeps a connection whose SYN was never answered for two minutes after its last SYN, and
with it where that was sent. So the client's next SYN from the same port, its own retransmission
first of all, would reach the version that has lost the port, which is the very one that hangs.

An answer may be on its way when an entry is read, and its client would wait a second for its next
SYN. So an entry goes where it was unanswered at an earlier look already, and is asked for once
more right before: docs/decisions/0057-half-open-connections-are-decided-anew.md.
"""

from __future__ import annotations

import socket
from collections.abc import Set
from contextlib import suppress
from pathlib import Path

from alongside.domain.errors import StepFailed
from alongside.domain.port import Protocol
from alongside.router.connections import tcp_state
from alongside.router.conntrack import (
    GET,
    LENGTH,
    NFGENMSG,
    delete,
    entries,
    host_addresses,
    name_of,
)
from alongside.router.flows import Routes
from alongside.router.netlink import (
    NETLINK_NETFILTER,
    Interrupted,
    ask,
    attribute,
    open_netlink,
)
from alongside.router.protocol import Ruleset

_SYN_SENT = 1  # nf_conntrack_tcp.h

# linux/netfilter/nfnetlink_conntrack.h
_CTA_STATUS = 3
_CTA_STATUS_MASK = 26
_SEEN_REPLY = (1 << 1).to_bytes(4, "big")  # IPS_SEEN_REPLY
# One dump of both families: each walks the whole table, which with 100,000 answered connections
# takes 50 ms. A kernel that does not know this filter hands out all, and the state says which.
_UNANSWERED = [
    bytes(4) + attribute(_CTA_STATUS, bytes(4)) + attribute(_CTA_STATUS_MASK, _SEEN_REPLY)
]


def clean_half_open(
    wanted: Ruleset, seen: Set[bytes], namespace: Path | None = None
) -> frozenset[bytes]:
    """Delete those of `seen` that are still unanswered and that no route of `wanted` explains.
    Returns the others that are so now: what to hand in as `seen` a moment later.

    Raises StepFailed where the kernel refuses.
    """
    found: set[bytes] = set()
    try:
        routes = Routes(Protocol.TCP, wanted, host_addresses(namespace))
        with open_netlink(NETLINK_NETFILTER, namespace=namespace) as channel:
            with suppress(Interrupted):  # one that just came or went may be missing
                for flow, entry in entries(channel, socket.IPPROTO_TCP, _UNANSWERED):
                    if _is_half_open(entry) and routes.is_stale(flow):
                        found.add(name_of(entry))
            for name in found & seen:
                # One after the other: what is between the two questions is microseconds.
                entry_now = ask(channel, GET, name)
                if entry_now and name_of(entry_now) == name and _is_half_open(entry_now):
                    delete(channel, [name])
    except OSError as error:
        raise StepFailed(
            f"Connections that no version has answered could not be removed from conntrack: "
            f"{error.strerror}.",
            hint="Clients that were connecting at the switch may stay with the old version until "
            "they have been silent for net.netfilter.nf_conntrack_tcp_timeout_syn_sent seconds.",
        ) from error
    return frozenset(found - seen)


def _is_half_open(entry: bytes) -> bool:
    rest = NFGENMSG + 2 * LENGTH[entry[0]]
    return tcp_state(entry, rest, len(entry)) == _SYN_SENT
