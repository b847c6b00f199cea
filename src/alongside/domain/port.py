"""Ports: what clients reach, and where an instance listens."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_address

from alongside.domain.errors import InvalidInput


class Protocol(StrEnum):
    TCP = "tcp"
    UDP = "udp"


@dataclass(frozen=True, slots=True)
class Port:
    """A public port: what clients reach on the host. `address` None is any address of the host."""

    protocol: Protocol
    number: int
    address: IPv4Address | IPv6Address | None = None

    def __post_init__(self) -> None:
        check_number(self.number)

    def __str__(self) -> str:
        """`53/udp`, `192.0.2.7:80/tcp`, `[2001:db8::1]:80/tcp`."""
        where = ""
        if self.address is not None:
            bare = str(self.address)
            where = f"[{bare}]:" if self.address.version == 6 else f"{bare}:"
        return f"{where}{self.number}/{self.protocol}"

    @property
    def sort_key(self) -> tuple[int, str, str]:
        return (self.number, self.protocol.value, str(self.address or ""))

    def overlaps(self, other: Port) -> bool:
        """Whether a packet could be meant for both."""
        return (
            self.protocol is other.protocol
            and self.number == other.number
            and (self.address is None or other.address is None or self.address == other.address)
        )


@dataclass(frozen=True, slots=True)
class Publish:
    """One line of a service's `ports:`: the public port, and the container's port behind it."""

    port: Port
    target: int

    def __post_init__(self) -> None:
        check_number(self.target)


def check_number(number: int) -> None:
    if not 1 <= number <= 65535:
        raise InvalidInput(
            f"{number} is not a port number.", hint="Port numbers go from 1 to 65535."
        )


def can_be_public(address: IPv4Address | IPv6Address) -> bool:
    """Of loopback only 127.0.0.1 and ::1 are routed: a resolver on 127.0.0.53 keeps its port."""
    return not address.is_loopback or str(address) in ("127.0.0.1", "::1")


def parse_port(text: str) -> Port:
    """`53/udp`, `80` (TCP), `192.0.2.7:80/tcp`, `[2001:db8::1]:80`.

    Raises InvalidInput.
    """
    rest, _, protocol = text.partition("/")
    host, separator, number = rest.rpartition(":")
    try:
        address = ip_address(host.removeprefix("[").removesuffix("]")) if separator else None
        return Port(Protocol(protocol or "tcp"), int(number), address)
    except ValueError:
        raise InvalidInput(
            f"{text!r} is not a port.",
            hint="Write NUMBER/tcp or NUMBER/udp, with ADDRESS: before it for one address only.",
        ) from None


def parse_ports(text: str) -> tuple[Port, ...]:
    """As `parse_port`, and a range of numbers: `7000-7010/udp`. Raises InvalidInput."""
    match = re.fullmatch(r"(.*?)(\d+)-(\d+)(/\w+)?", text)
    if match is None:
        return (parse_port(text),)
    before, first, last, protocol = match.groups()
    if int(first) > int(last):
        raise InvalidInput(f"{text!r} goes downwards.", hint="A range goes upwards: 7000-7010/tcp.")
    numbers = range(int(first), min(int(last), 65536) + 1)
    return tuple(parse_port(f"{before}{number}{protocol or ''}") for number in numbers)
