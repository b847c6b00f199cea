"""`ports:` of a service, in each of the forms that Compose has for it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from alongside.domain.errors import InvalidInput
from alongside.domain.port import Port, Protocol, Publish, can_be_public

# [ADDRESS:][PUBLISHED:]TARGET[/PROTOCOL], numbers or ranges; an IPv6 address in brackets or not.
_SHORT = re.compile(
    r"(?:(?:(?P<address>\[[^\]]*\]|[^/]*?):)?(?P<published>[\d-]*):)?"
    r"(?P<target>[\d-]+)(?:/(?P<protocol>\w+))?"
)
_RANGE = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?")


def publishes(place: str, entries: Iterable[object]) -> tuple[Publish, ...]:
    """The ports of a service, each once and in order.

    What is not published (`"53/udp"`) is public under the container's own number. `0.0.0.0` and
    `::` are any address of the host, of both families; another address is that address alone.

    Raises InvalidInput.
    """
    found = dict.fromkeys(one for entry in entries for one in _entry(place, entry))
    return tuple(found)


def _entry(place: str, entry: object) -> list[Publish]:
    """One line of `ports:`; `docker compose config` has made short forms long already, and
    divided ranges of equal length."""
    if isinstance(entry, Mapping):
        fields: Mapping[str, Any] = entry
    else:
        match = _SHORT.fullmatch(str(entry))
        if match is None:
            raise InvalidInput(
                f"{place} has {entry!r} in ports, which is not a port.",
                hint="Write PUBLIC:CONTAINER, with ADDRESS: before it or /udp after it.",
            )
        fields = {**match.groupdict(), "host_ip": (match["address"] or "").strip("[]")}
    said = str(fields.get("target") or "")
    targets = _numbers(place, said)
    published = str(fields.get("published") or said)
    numbers = _numbers(place, published)
    if len(numbers) != len(targets):
        raise InvalidInput(
            f"{place} publishes {published} for {said} in ports: {_count(numbers)} for "
            f"{_count(targets)}.",
            hint="Publish one number a port, or ranges of the same length: 7000-7010:7000-7010.",
        )
    protocol = _protocol(place, fields.get("protocol") or "tcp")
    address = _address(place, fields.get("host_ip") or "")
    return [
        Publish(Port(protocol, number, address), target)
        for number, target in zip(numbers, targets, strict=True)
    ]


def _numbers(place: str, text: str) -> range:
    match = _RANGE.fullmatch(text)
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not 1 <= first <= last <= 65535:
        raise InvalidInput(
            f"{place} has {text or 'no number'} in ports, which is not a port number or a range.",
            hint="Port numbers go from 1 to 65535; a range goes upwards: 7000-7010.",
        )
    return range(first, last + 1)


def _protocol(place: str, text: str) -> Protocol:
    try:
        return Protocol(text.lower())
    except ValueError:
        raise InvalidInput(
            f"{place} has a port with the protocol {text}, which cannot be switched.",
            hint="Ports are tcp or udp.",
        ) from None


def _address(place: str, text: str) -> IPv4Address | IPv6Address | None:
    if not text:
        return None
    try:
        address = ip_address(text)
    except ValueError:
        raise InvalidInput(
            f"{place} has a port on {text!r}, which is not an address of a host.",
            hint="Write an IPv4 or IPv6 address of the host, or none for all of them.",
        ) from None
    if not can_be_public(address):
        raise InvalidInput(
            f"{place} has a port on {address}, and of loopback only 127.0.0.1 and ::1 are routed.",
            hint="Name 127.0.0.1 or ::1, another address of the host, or none for all of them.",
        )
    return None if address.is_unspecified else address


def _count(numbers: range) -> str:
    return "one number" if len(numbers) == 1 else f"{len(numbers)} numbers"


def check_distinct(services: Iterable[tuple[str, Iterable[Publish]]]) -> None:
    """Raises InvalidInput where one packet could be meant for two of the ports."""
    seen: list[tuple[str, Publish]] = []
    for name, ports in services:
        for one in ports:
            for other, taken in seen:
                if not taken.port.overlaps(one.port):
                    continue
                if other != name:
                    raise InvalidInput(
                        f"{other} and {name} both publish {one.port}"
                        + (f" ({other} as {taken.port})" if taken.port != one.port else "")
                        + ", and a port has one service.",
                        hint="Give one of them another public port.",
                    )
                raise InvalidInput(
                    f"{name} publishes {one.port} for {one.target} and {taken.port} for "
                    f"{taken.target}: a packet could be meant for both.",
                    hint="Give one of them another public port.",
                )
            seen.append((name, one))
