"""Which conntrack entries no route explains: decided from what conntrack has and what is routed.

A reconciler, as kube-proxy's clean-up is, for the same reason: events are lost in a crash, the
table of connections is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from alongside.domain.port import Protocol
from alongside.router.protocol import (
    AddressTarget,
    HostTarget,
    InstanceTarget,
    Ruleset,
    Target,
)

LOOPBACK = (IPv4Address("127.0.0.1"), IPv6Address("::1"))

_End = tuple[bytes, int]  # address as on the wire, port


class Flow(NamedTuple):
    """A conntrack entry: the first packet's addresses, and those that an answer would have."""

    source: bytes
    source_port: int
    destination: bytes
    destination_port: int
    reply_source: bytes
    reply_source_port: int
    reply_destination: bytes
    reply_destination_port: int

    @property
    def destination_rewritten(self) -> bool:
        return (self.reply_source, self.reply_source_port) != (
            self.destination,
            self.destination_port,
        )

    @property
    def source_rewritten(self) -> bool:
        return (self.reply_destination, self.reply_destination_port) != (
            self.source,
            self.source_port,
        )


class Routes:
    """A ruleset's ports of one protocol in a form that 100,000 comparisons cost little in.

    `host`: the addresses of the host's own. Of loopback only 127.0.0.1 and ::1 count; what
    else is in 127.0.0.0/8 is never routed.
    """

    def __init__(
        self, protocol: Protocol, ruleset: Ruleset, host: Iterable[IPv4Address | IPv6Address]
    ) -> None:
        self._protocol = protocol
        self._proxied = ruleset.proxied
        self._host = {one.packed for one in (*host, *LOOPBACK) if not _other_loopback(one)}
        self._any: dict[int, frozenset[_End]] = {}
        self._bound: dict[_End, frozenset[_End]] = {}
        for routed in ruleset.ports:
            if routed.port.protocol is not protocol:
                continue
            ends = frozenset(end for one in routed.choices for end in self._far_ends(one.target))
            if routed.port.address is None:
                self._any[routed.port.number] = ends
            else:
                self._bound[routed.port.address.packed, routed.port.number] = ends
        self._local_ports = ruleset.local_ports
        self._host_ports = {
            number for listening, number in ruleset.host_ports if listening is protocol
        }
        self._proxies = {one.packed for one in LOOPBACK}
        self._proxies |= {subnet.proxy6.packed for subnet in ruleset.subnets}
        # By netmask, so that 1,000 subnets of one size are one look-up.
        self._subnets: dict[tuple[int, int], set[int]] = {}
        for subnet in ruleset.subnets:
            for network in (subnet.ipv4, subnet.ipv6):
                size = (network.max_prefixlen // 8, int(network.netmask))
                self._subnets.setdefault(size, set()).add(int(network.network_address))

    def _far_ends(self, target: Target) -> Iterator[_End]:
        match target:
            case InstanceTarget(subnet=subnet, local_port=local_port):
                yield target.ipv4.packed, target.port
                yield target.ipv6.packed, target.port
                if not self._proxied:
                    return
                yield subnet.gateway4.packed, local_port
                yield subnet.proxy6.packed, local_port
                yield from ((one.packed, local_port) for one in LOOPBACK)
            case HostTarget(port=port):
                yield from ((address, port) for address in self._host)
            case AddressTarget(address=address, port=port):
                yield address.packed, port

    def is_stale(self, flow: Flow) -> bool:
        if flow.destination in self._host:
            ends = self._ends(flow.destination, flow.destination_port)
            if ends is not None:
                # Also what was made before the port was routed: its far end is the host itself.
                return (flow.reply_source, flow.reply_source_port) not in ends
            return self._was_routed(flow)
        if self._protocol is Protocol.TCP:
            return False  # conntrack begins no entry with a late SYN-ACK
        # A late reply, tracked as a flow of its own: the client's next packet would be its answer.
        ends = self._ends(flow.reply_destination, flow.reply_destination_port)
        return (
            ends is not None
            and flow.source_rewritten
            and flow.reply_destination in self._host
            and (flow.source, flow.source_port) not in ends
            and self._is_instance(flow.source)
        )

    def _ends(self, address: bytes, port: int) -> frozenset[_End] | None:
        bound = self._bound.get((address, port))
        return self._any.get(port) if bound is None else bound

    def _was_routed(self, flow: Flow) -> bool:
        """To an instance by way of a port that is routed no more, and not by a local port, which
        is the engine's to publish."""
        if not flow.destination_rewritten or flow.destination_port in self._local_ports:
            return False
        if self._is_instance(flow.reply_source):
            return True
        here = self._host if flow.reply_source_port in self._host_ports else self._proxies
        return flow.reply_source in here and flow.reply_source_port in self._local_ports

    def _is_instance(self, address: bytes) -> bool:
        number = int.from_bytes(address, "big")
        return any(
            length == len(address) and number & mask in networks
            for (length, mask), networks in self._subnets.items()
        )


def _other_loopback(address: IPv4Address | IPv6Address) -> bool:
    return address.is_loopback and address not in LOOPBACK
