"""Reading an override file of ours back: what it says of an instance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

import yaml

from alongside.domain.instance import LocalPort
from alongside.domain.port import Protocol
from alongside.domain.version import Version
from alongside.engine.protocol import LABEL_ORDINAL, LABEL_SERVICE, LABEL_VERSION


@dataclass(frozen=True, slots=True)
class Described:
    """An instance as its override file describes it. The file outlives the instance."""

    service: str
    version: Version
    ordinal: int
    local_ports: tuple[LocalPort, ...]  # of one in the host's network: none, see `numbers`
    numbers: Mapping[int, int]  # the container's port -> the number that it was told
    ipv4: IPv4Network | None = None
    ipv6: IPv6Network | None = None


class _Loader(yaml.SafeLoader):
    """Of `!override` the value; of `!reset` nothing."""


def _tagged(loader: yaml.SafeLoader, tag: str, node: yaml.Node) -> Any:
    if tag == "reset":
        return None
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return loader.construct_object(node)


_Loader.add_multi_constructor("!", _tagged)


def read_override(text: str) -> Described | None:
    """None where it is not an instance's. Raises ValueError, yaml.YAMLError for another file."""
    document = yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe one with two tags more
    services = (document or {}).get("services") or {}
    for raw in services.values():
        labels = (raw or {}).get("labels") or {}
        ordinal = str(labels.get(LABEL_ORDINAL, ""))
        if not ordinal.isdecimal():
            continue
        told = {
            int(name.removeprefix("PORT_")): int(number)
            for name, number in (raw.get("environment") or {}).items()
            if name.removeprefix("PORT_").isdecimal()
        }
        ipv4, ipv6 = _subnets(document)
        return Described(
            service=_plain(labels[LABEL_SERVICE]),
            version=Version(_plain(labels[LABEL_VERSION])),
            ordinal=int(ordinal),
            local_ports=tuple(dict.fromkeys(map(_local_port, raw.get("ports") or ()))),
            numbers=told,
            ipv4=ipv4,
            ipv6=ipv6,
        )
    return None


def _local_port(text: str) -> LocalPort:
    """`127.0.0.1:20000:53/udp`, `[::1]:20000:53/udp`."""
    place, _, protocol = text.partition("/")
    _, number, target = place.rsplit(":", 2)
    return LocalPort(Protocol(protocol), int(target), int(number))


def _subnets(document: Mapping[str, Any]) -> tuple[IPv4Network | None, IPv6Network | None]:
    network = (document.get("networks") or {}).get("default") or {}
    found = [ip_network(one["subnet"]) for one in (network.get("ipam") or {}).get("config") or ()]
    ipv4 = next((one for one in found if isinstance(one, IPv4Network)), None)
    return ipv4, next((one for one in found if isinstance(one, IPv6Network)), None)


def _plain(text: object) -> str:
    return str(text).replace("$$", "$")
