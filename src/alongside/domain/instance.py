"""Instances: a container of a release, with the address and the local ports that it keeps."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from alongside.domain.port import Protocol
from alongside.domain.version import Version


@dataclass(frozen=True, slots=True)
class Subnet:
    """An instance's own bridge network. The gateway is the host's address on that bridge."""

    bridge: str  # interface name, at most 15 bytes
    ipv4: IPv4Network
    ipv6: IPv6Network

    @property
    def gateway4(self) -> IPv4Address:
        return self.ipv4[1]

    @property
    def gateway6(self) -> IPv6Address:
        return self.ipv6[1]

    @property
    def proxy6(self) -> IPv6Address:
        """Where the engine's proxy takes packets from containers over IPv6: the host's own
        address in the last /64 of its ULA prefix, on the loopback interface.

        The bridge's gateway serves IPv4. For IPv6 it cannot: until the bridge's first port is
        up its address is tentative, and Docker 20.10 binds its proxy before that.
        """
        return proxy_address(self.ipv6.supernet(new_prefix=48))

    @property
    def address4(self) -> IPv4Address:
        """Where the instance itself stands; its dependencies get later addresses."""
        return self.ipv4[2]

    @property
    def address6(self) -> IPv6Address:
        return self.ipv6[2]


@dataclass(frozen=True, slots=True)
class LocalPort:
    """A port of the instance for people and probes, on loopback and on its bridge's gateway.

    The same number serves IPv4 and IPv6.
    """

    protocol: Protocol
    target: int  # the container's port
    number: int  # the host's port


@dataclass(frozen=True, slots=True)
class Instance:
    service: str
    version: Version
    subnet: Subnet
    local_ports: tuple[LocalPort, ...]
    ordinal: int = 1
    singleton: bool = False

    @property
    def name(self) -> str:
        """The container's name: `dns-1.0.0`, and `dns-1.0.0-2` for the second; a singleton's is
        `scheduler-current`, whatever its version."""
        if self.singleton:
            return f"{self.service}-current"
        suffix = "" if self.ordinal == 1 else f"-{self.ordinal}"
        return f"{self.service}-{self.version}{suffix}"

    @property
    def project(self) -> str:
        """Compose's project name. It cannot hold dots or capitals, so a hash tells apart
        what the readable part cannot: `1.2.0` and `1-2-0` are two versions."""
        return f"{slug(self.service)}-{slug(str(self.version))}-{self._digest(8)}"

    @property
    def network(self) -> str:
        """The name of its own Docker network.

        A container on several networks has its default route on the one whose name comes first
        in the alphabet (libnetwork, where no priority is given), and only its address there can
        be a target: the digit keeps ours before every other.
        """
        return f"0-{self.project}"

    def numbers(self) -> dict[str, str]:
        """What a program in the host's network is told: `PORT`, the number to listen on in place
        of its first port, and `PORT_53` for each."""
        found = {f"PORT_{local.target}": str(local.number) for local in self.local_ports}
        return {"PORT": next(iter(found.values()))} | found if found else {}

    def _digest(self, length: int) -> str:
        return digest(self.service, str(self.version), self.ordinal, length)

    def local_port(self, protocol: Protocol, target: int) -> int | None:
        for local in self.local_ports:
            if (local.protocol, local.target) == (protocol, target):
                return local.number
        return None


def proxy_address(prefix: IPv6Network) -> IPv6Address:
    """`Subnet.proxy6` of every subnet in the host's ULA prefix."""
    return prefix[(0xFFFF << 64) + 1]


def digest(service: str, version: str, ordinal: int, length: int) -> str:
    return hashlib.sha256(f"{service}@{version}#{ordinal}".encode()).hexdigest()[:length]


def bridge_name(service: str, version: Version, ordinal: int = 1) -> str:
    """The interface name of an instance's bridge, within the kernel's 15 bytes."""
    return f"al-{digest(service, str(version), ordinal, 10)}"


def slug(text: str) -> str:
    """Lower-case letters, digits and hyphens only, never empty, starting with one of the first."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "x"
