"""Assignments: a public port given to whatever listens elsewhere on the host, container or not."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from alongside.domain.errors import InvalidInput
from alongside.domain.port import Port, Protocol, can_be_public, check_number

Address = IPv4Address | IPv6Address

_ADDRESS = r"(?:(\[[^\]]+\]|\d+\.\d+\.\d+\.\d+):)?"
_NUMBERS = r"(\d{1,5})(?:-(\d{1,5}))?"
_FORM = re.compile(rf"{_ADDRESS}{_NUMBERS}:{_ADDRESS}{_NUMBERS}(?:/(\w+))?")
_HINT = (
    "Write PUBLIC:LISTENS/PROTOCOL, as in 80:50080/tcp; either side may have an ADDRESS: before "
    "it, and be a range."
)


@dataclass(frozen=True, slots=True)
class Assignment:
    """`port` reaches `number` on the host, or on an `address` of a network that is not ours.

    `on_host`: the address is the host's own.
    """

    port: Port
    number: int
    address: Address | None = None
    on_host: bool = False

    def __post_init__(self) -> None:
        check_number(self.number)

    @property
    def target(self) -> str:
        """`50080`, `192.0.2.9:50080`, `[2001:db8::9]:50080`."""
        if self.address is None:
            return str(self.number)
        bare = str(self.address)
        return f"[{bare}]:{self.number}" if self.address.version == 6 else f"{bare}:{self.number}"

    def __str__(self) -> str:
        return f"{self.port} -> {self.target}"


def parse_assignments(text: str) -> tuple[Assignment, ...]:
    """`80:50080/tcp`, `53:10.0.3.2:5353/udp`, `192.0.2.7:80:8080`, `7000-7010:17000-17010/udp`.

    Raises InvalidInput.
    """
    match = _FORM.fullmatch(text)
    if match is None:
        raise InvalidInput(f"{text!r} does not say which port is given to what.", hint=_HINT)
    bound, first, last, address, to_first, to_last, protocol = match.groups()
    public = _range(text, first, last)
    listens = _range(text, to_first, to_last)
    if len(public) != len(listens):
        raise InvalidInput(
            f"{text!r} gives {len(public)} ports to {len(listens)}.",
            hint="Ranges have the same length on both sides: 7000-7010:17000-17010.",
        )
    where, to = _address(text, bound), _address(text, address)
    _check(text, where, to, public, listens)
    kind = _protocol(text, protocol or "tcp")
    return tuple(
        Assignment(Port(kind, number, where), other, to)
        for number, other in zip(public, listens, strict=True)
    )


def _range(text: str, first: str, last: str | None) -> range:
    begin, end = int(first), int(last or first)
    check_number(begin)
    check_number(end)
    if end < begin:
        raise InvalidInput(f"{text!r} has a range that goes downwards.", hint=_HINT)
    return range(begin, end + 1)


def _protocol(text: str, name: str) -> Protocol:
    try:
        return Protocol(name.lower())
    except ValueError:
        raise InvalidInput(
            f"{text!r} has the protocol {name}, which cannot be assigned.",
            hint="Ports are tcp or udp.",
        ) from None


def _address(text: str, said: str | None) -> Address | None:
    if said is None:
        return None
    try:
        address = ip_address(said.strip("[]"))
    except ValueError:
        raise InvalidInput(f"{said} in {text!r} is not an address.", hint=_HINT) from None
    return None if address.is_unspecified else address


def _check(
    text: str, where: Address | None, to: Address | None, public: range, listens: range
) -> None:
    if where is not None and not can_be_public(where):
        raise InvalidInput(
            f"{text!r}: of loopback only 127.0.0.1 and ::1 are routed.",
            hint="Name one of these, another address of the host, or none for all of them.",
        )
    if to is None:
        if public == listens:
            raise InvalidInput(
                f"{text!r} gives the port to itself.",
                hint="What listens on the public port itself needs no assignment.",
            )
        return
    if to.is_loopback:
        raise InvalidInput(
            f"{text!r}: what listens on {to} alone cannot be reached from other machines "
            "(that would take route_localnet, CVE-2020-8558).",
            hint=f"Let it listen on all addresses, and leave {to} out.",
        )
    if where is not None and where.version != to.version:
        raise InvalidInput(
            f"{text!r}: a packet to {where} cannot be sent on to {to}, which is of the other "
            "IP version.",
            hint="Name two addresses of the same version.",
        )
