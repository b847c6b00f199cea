"""Instances without an engine: bridges, namespaces behind them, and sockets that say who they are.

    with Host() as host, Stage(host, instances=3) as stage:
        stage.subnets, stage.target(0, 53)     as the router's Ruleset wants them
        stage.answer(port, …)                  listen everywhere that an engine would
        stage.ask(stage.outside, address, port, Protocol.TCP)   -> Answer, or what happened

The host does what an engine would: it forwards, masquerades what leaves an instance's subnet, and
drops what goes from one bridge to another.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address
from pathlib import Path

from alongside.domain.instance import Subnet
from alongside.domain.port import Protocol
from alongside.router.protocol import InstanceTarget
from support.host import Host, _this_run
from support.namespace import Namespace
from support.remains import Remains

_KINDS = {Protocol.TCP: socket.SOCK_STREAM, Protocol.UDP: socket.SOCK_DGRAM}


@dataclass(frozen=True)
class Answer:
    """Who answered (`10.213.0.2:53`, in the way that str gives addresses), and whom it saw."""

    who: str
    saw: str


REFUSED = "refused"
SILENCE = "silence"
Outcome = Answer | str


class Answers(threading.Thread):
    """One thread that answers on many sockets, each with its own name and the peer's address."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.delay = 0.0  # seconds before a datagram is answered
        self._selector = selectors.DefaultSelector()
        self._wake, self._woken = socket.socketpair()
        self._selector.register(self._woken, selectors.EVENT_READ, None)
        self._ending = False
        self._late: list[tuple[float, socket.socket, bytes, object]] = []

    def add(self, listener: socket.socket, name: str) -> None:
        listener.setblocking(False)
        self._selector.register(listener, selectors.EVENT_READ, name)
        self._wake.send(b"x")

    def run(self) -> None:
        while not self._ending:
            timeout = max(0.0, self._late[0][0] - time.monotonic()) if self._late else None
            for key, _ in self._selector.select(timeout):
                if key.data is None:
                    self._woken.recv(4096)
                else:
                    with contextlib.suppress(OSError):
                        self._answer(key.fileobj, key.data)  # type: ignore[arg-type]
            while self._late and self._late[0][0] <= time.monotonic():
                _, listener, answer, peer = self._late.pop(0)
                with contextlib.suppress(OSError):
                    listener.sendto(answer, peer)  # type: ignore[arg-type]

    def _answer(self, listener: socket.socket, name: str) -> None:
        if listener.type == socket.SOCK_STREAM:
            connection, peer = listener.accept()
            with connection:
                connection.sendall(f"{name} {plain(peer[0])}".encode())
            return
        _, peer = listener.recvfrom(4096)
        answer = f"{name} {plain(peer[0])}".encode()
        if self.delay:
            self._late.append((time.monotonic() + self.delay, listener, answer, peer))
        else:
            listener.sendto(answer, peer)

    def settle(self) -> None:
        """Until the last late answer is sent, and none is late from here on."""
        self.delay = 0.0
        while self._late:
            time.sleep(0.005)

    def close(self) -> None:
        self._ending = True
        self._wake.send(b"x")
        self.join()
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        self._selector.close()
        self._wake.close()


def plain(address: str) -> str:
    """Without a zone, and IPv4 as IPv4 where a dual-stack socket saw it."""
    found = ip_address(address.partition("%")[0])
    return str(getattr(found, "ipv4_mapped", None) or found)


def name_of(address: object, port: int) -> str:
    return f"{address}:{port}"


class Stage:
    def __init__(self, host: Host, instances: int = 3) -> None:
        self.host = host
        self.outside: Namespace = host.client
        self.subnets = tuple(_subnet(number) for number in range(instances))
        names = [f"{host.name}-i{number}" for number in (*range(instances), 98, 99)]
        self._entry = f"{host.name}-pretend"
        self._remains = Remains(tuple(names), (), self._entry)
        _this_run().record(self._entry, self._remains)
        self.inside = [self._instance(subnet, number) for number, subnet in enumerate(self.subnets)]
        self.neighbour = self._container(self.subnets[0], 98, 3)  # a dependency of the first
        self.foreign_bridge = "br-foreign"
        self.foreign = self._instance(
            Subnet(
                self.foreign_bridge,
                IPv4Network("172.30.0.0/24"),
                IPv6Network("fd00:30:0:1::/64"),
            ),
            99,
        )
        self.answers = Answers()
        self.answers.start()
        self._be_an_engine()

    # -- making --------------------------------------------------------------------------

    def _instance(self, subnet: Subnet, number: int) -> Namespace:
        for line in (
            f"link add {subnet.bridge} type bridge",
            f"address add {subnet.gateway4}/{subnet.ipv4.prefixlen} dev {subnet.bridge}",
            f"address add {subnet.gateway6}/{subnet.ipv6.prefixlen} dev {subnet.bridge} nodad",
            f"link set {subnet.bridge} up",
            f"address replace {subnet.proxy6}/128 dev lo nodad",
        ):
            self.host.run(["ip", *line.split()])
        return self._container(subnet, number, 2)

    def _container(self, subnet: Subnet, number: int, place: int) -> Namespace:
        """One on the subnet's bridge, at its second, third, … address."""
        inside = Namespace(f"{self.host.name}-i{number}")
        for line in (
            f"netns add {inside.name}",
            f"link add v{number} type veth peer name eth0 netns {inside.name}",
            f"link set v{number} master {subnet.bridge}",
            f"link set v{number} up",
        ):
            self.host.run(["ip", *line.split()])
        for line in (
            "link set lo up",
            f"address add {subnet.ipv4[place]}/{subnet.ipv4.prefixlen} dev eth0",
            f"address add {subnet.ipv6[place]}/{subnet.ipv6.prefixlen} dev eth0 nodad",
            "link set eth0 up",
            f"route add default via {subnet.gateway4}",
            f"route add default via {subnet.gateway6}",
        ):
            inside.run(["ip", *line.split()])
        return inside

    def bridge_netfilter(self, on: bool) -> None:
        """Whether frames between two ports of one bridge pass the IP hooks, too. Engines switch
        it on in some set-ups and not in others."""
        with self.host.inside():
            for name in ("bridge-nf-call-iptables", "bridge-nf-call-ip6tables"):
                Path("/proc/sys/net/bridge", name).write_text("1" if on else "0")

    def _be_an_engine(self) -> None:
        with self.host.inside():
            for name in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
                Path("/proc/sys/net", name).write_text("1")
            # The kernel sends a peer one "port unreachable" a second; tests ask faster.
            for name in ("ipv4/icmp_ratelimit", "ipv6/icmp/ratelimit"):
                Path("/proc/sys/net", name).write_text("0")
        every = [*(subnet.bridge for subnet in self.subnets), self.foreign_bridge]
        isolation = "\n".join(
            f'iifname "{one}" oifname "{other}" drop'
            for one in every
            for other in every
            if other != one
        )
        masquerade = "\n".join(
            f'{family} saddr {network} oifname != "{subnet.bridge}" masquerade'
            for subnet in self.subnets
            for family, network in (("ip", subnet.ipv4), ("ip6", subnet.ipv6))
        )
        self.host.nft(f"""table inet engine {{
            chain forward {{
                type filter hook forward priority 0
                {isolation}
            }}
            chain postrouting {{
                type nat hook postrouting priority 100
                {masquerade}
            }}
        }}""")

    # -- what the router is told -----------------------------------------------------------

    def target(self, number: int, port: int) -> InstanceTarget:
        subnet = self.subnets[number]
        return InstanceTarget(
            f"dns@1.{number}.0",
            subnet,
            subnet.address4,
            subnet.address6,
            port,
            local_port(number, port),
        )

    # -- who answers -----------------------------------------------------------------------

    def answer(self, port: int, *protocols: Protocol) -> None:
        """On each instance's port, and on the local ports that an engine would hold for it."""
        for number, (subnet, inside) in enumerate(zip(self.subnets, self.inside, strict=True)):
            for protocol in protocols:
                for address in (subnet.address4, subnet.address6):
                    self.listen(inside, str(address), port, protocol)
                local = local_port(number, port)
                for near in ("127.0.0.1", "::1", str(subnet.gateway4), str(subnet.proxy6)):
                    self.listen(self.host, near, local, protocol)

    def answer_as_host(self, addresses: Iterable[str], port: int, *protocols: Protocol) -> None:
        """A program of the host's own: what reaches it was not routed. One socket an address: a
        datagram's answer must come from where the question went."""
        for protocol in protocols:
            for address in addresses:
                self.listen(self.host, address, port, protocol, name="host")

    def listen(
        self, where: Namespace, address: str, port: int, protocol: Protocol, name: str = ""
    ) -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        listener = where.socket(family, _KINDS[protocol])
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        if protocol is Protocol.TCP:
            listener.listen(1024)
        self.answers.add(listener, name or name_of(address, port))

    def ask(
        self,
        where: Namespace,
        address: object,
        port: int,
        protocol: Protocol,
        *,
        timeout: float = 0.4,
        source: str = "",
    ) -> Outcome:
        text = str(address)
        family = socket.AF_INET6 if ":" in text else socket.AF_INET
        with where.socket(family, _KINDS[protocol]) as asking:
            asking.settimeout(timeout)
            try:
                if source:
                    asking.bind((source, 0))
                asking.connect((text, port))
                if protocol is Protocol.UDP:
                    asking.send(b"?")
                who, _, saw = asking.recv(4096).decode().partition(" ")
            except (ConnectionRefusedError, PermissionError):
                # EPERM is what a sender on the host itself gets for a datagram that is rejected.
                return REFUSED
            except (TimeoutError, OSError):
                return SILENCE
            return Answer(who, saw)

    def close(self) -> None:
        self.answers.close()
        for inside in (*self.inside, self.neighbour, self.foreign):
            inside.close()
        self._remains.remove()
        _this_run().forget(self._entry)

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _subnet(number: int) -> Subnet:
    return Subnet(
        f"al-{number:010x}",
        IPv4Network(f"10.213.0.{16 * number}/28"),
        IPv6Network(f"fd00:a1:51de:{number:x}::/64"),
    )


def local_port(number: int, port: int) -> int:
    """Some local port of its own for each instance and container port."""
    return 20000 + 1000 * number + port % 1000
