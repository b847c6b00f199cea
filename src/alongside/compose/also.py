"""`also:` of a service: further public ports, each for the versions of a range."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from alongside.compose.schema import KEY
from alongside.domain.errors import InvalidInput
from alongside.domain.port import Port, Protocol, Publish
from alongside.domain.range import check_range
from alongside.domain.service import Also

_PORT = re.compile(r"(\d{1,5})(?::(\d{1,5}))?(?:/(tcp|udp))?")


def also_of(place: str, said: Mapping[str, str], ports: Iterable[Publish]) -> tuple[Also, ...]:
    """`{"8053": "^1"}`, `{"8053:53/udp": "~1.2"}`. The container's port may be left out where the
    service has one alone, the protocol where it is as that port's. Raises InvalidInput."""
    own = list(dict.fromkeys((one.target, one.port.protocol) for one in ports))
    found: list[Also] = []
    for key, text in said.items():
        check_range(text)
        found += [Also(port, target, text) for port, target in _ports(place, key, own)]
    return tuple(found)


def _ports(place: str, key: str, own: list[tuple[int, Protocol]]) -> Iterable[tuple[Port, int]]:
    match = _PORT.fullmatch(key)
    if match is None:
        raise InvalidInput(
            f"{KEY}.also of {place} names the port {key!r}, which cannot be meant.",
            hint='Write "PUBLIC" or "PUBLIC:CONTAINER/PROTOCOL", in quotation marks: '
            'also: {"8053": "^1"}.',
        )
    public, container, protocol = match.groups()
    targets = {target for target, _ in own}
    if container is None and len(targets) != 1:
        has = f"has {len(targets)} ports of its own" if targets else "publishes no port"
        raise InvalidInput(
            f"{KEY}.also of {place} names {key}, and {place} {has}.",
            hint=f'Say which one it leads to: "{public}:CONTAINER".',
        )
    target = int(container) if container else targets.pop()
    kinds = [kind for number, kind in own if number == target and protocol in (None, kind.value)]
    if not kinds:
        raise InvalidInput(
            f"{KEY}.also of {place} leads {key} to {target}{f'/{protocol}' if protocol else ''}, "
            "which is not in its ports.",
            hint="Name a container's port that the service publishes.",
        )
    return [(Port(kind, int(public)), target) for kind in kinds]
