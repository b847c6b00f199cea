"""The Engine API's JSON, as values."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address, ip_network
from typing import Any
from typing import Protocol as Seam

from alongside.domain.port import Protocol
from alongside.engine.protocol import (
    Container,
    EngineInfo,
    Event,
    Image,
    Mount,
    Network,
    Published,
)

Json = Mapping[str, Any]


class Row(Seam):
    """A row of a list, as aiodocker wraps it."""

    def __getitem__(self, key: str, /) -> Any: ...


# The name option of bridges; without it Docker names them itself (libnetwork, bridge driver).
_BRIDGE_NAME = "com.docker.network.bridge.name"
_COMPOSE_PROJECT = "com.docker.compose.project"


def engine(found: Json, api: str) -> EngineInfo:
    """From `GET /info`, asked in that version of the API."""
    pools = [ip_network(one["Base"]) for one in found.get("DefaultAddressPools") or ()]
    return EngineInfo(
        version=found["ServerVersion"],
        api=api,
        operating_system=found["OperatingSystem"],
        root=found["DockerRootDir"],
        live_restore=bool(found.get("LiveRestoreEnabled")),
        rootless="name=rootless" in (found.get("SecurityOptions") or ()),
        firewall=(found.get("FirewallBackend") or {}).get("Driver", ""),
        pools=tuple(one for one in pools if isinstance(one, IPv4Network)),
    )


def container(found: Json) -> Container:
    """From `GET /containers/{id}/json`."""
    state = found["State"]
    health = state.get("Health") or {}
    networks = found["NetworkSettings"]["Networks"] or {}
    return Container(
        id=found["Id"],
        name=found["Name"].removeprefix("/"),
        image_id=found["Image"],
        state=state["Status"],
        health="" if health.get("Status") == "none" else health.get("Status", ""),
        health_output=_last_output(health),
        exit_code=state["ExitCode"],
        restarts=found["RestartCount"],
        pid=state["Pid"],
        started=_time(state["StartedAt"]),
        finished=_time(state["FinishedAt"]),
        image=found["Config"].get("Image") or "",
        oom=bool(state.get("OOMKilled")),
        # The engine says them in another order each time.
        mounts=tuple(sorted(map(_mount, found.get("Mounts") or ()), key=lambda one: one.target)),
        labels=found["Config"]["Labels"] or {},
        networks={name: one.get("NetworkID") or "" for name, one in networks.items()},
        ipv4={
            name: IPv4Address(one["IPAddress"])
            for name, one in networks.items()
            if one.get("IPAddress")
        },
        ipv6={
            name: IPv6Address(one["GlobalIPv6Address"])
            for name, one in networks.items()
            if one.get("GlobalIPv6Address")
        },
    )


def _mount(found: Json) -> Mount:
    return Mount(
        kind=found["Type"],
        source=found.get("Source") or "",
        target=found["Destination"],
        volume=found.get("Name") or "",
        writable=bool(found.get("RW")),
    )


def image(found: Json) -> Image:
    """From `GET /images/{name}/json`."""
    labels = (found.get("Config") or {}).get("Labels") or {}
    return Image(found["Id"], _tags(found), labels, found["Size"])


def listed_image(found: Json) -> Image:
    """From `GET /images/json`."""
    return Image(found["Id"], _tags(found), found.get("Labels") or {}, found["Size"])


def published(listed: Row) -> Iterator[Published]:
    """From one of `GET /containers/json`."""
    for port in listed["Ports"] or ():
        # No PublicPort: exposed only.
        if not port.get("PublicPort") or port["Type"] not in list(Protocol):
            continue
        yield Published(
            container=_own_name(listed["Names"]),
            protocol=Protocol(port["Type"]),
            address=ip_address(port.get("IP") or "0.0.0.0"),  # noqa: S104 - read, not bound
            number=port["PublicPort"],
            project=(listed["Labels"] or {}).get(_COMPOSE_PROJECT, ""),
        )


def network(found: Json) -> Network:
    """From one of `GET /networks`."""
    bridge = ""
    if found["Driver"] == "bridge":
        bridge = (found.get("Options") or {}).get(_BRIDGE_NAME) or f"br-{found['Id'][:12]}"
    return Network(found["Name"], found["Driver"], bridge, found["Id"])


def event(line: str) -> Event:
    """From a line of `GET /events`."""
    found = json.loads(line)
    attributes = found["Actor"].get("Attributes") or {}
    # An image's name is its reference; without a tag only the ID is there.
    name = attributes.get("name") or found["Actor"].get("ID", "")
    return Event(found["Type"], found["Action"], name, attributes)


def moment(line: str) -> float:
    """When the event of such a line was, in seconds since 1970 by the engine's clock."""
    found = json.loads(line)
    return float(found.get("timeNano", 0)) / 1e9 or float(found.get("time", 0))


def _tags(found: Json) -> tuple[str, ...]:
    # Before engine 25 an untagged image's list may hold one tag, <none>:<none>.
    return tuple(tag for tag in found.get("RepoTags") or () if not tag.startswith("<none>"))


def _own_name(names: list[str]) -> str:
    """A container that others link to has more names, `/other/alias`."""
    return min(names, key=lambda name: name.count("/")).removeprefix("/")


def _last_output(health: Json) -> str:
    log = health.get("Log") or []
    return str(log[-1].get("Output", "")).strip() if log else ""


def _time(text: str) -> datetime | None:
    """RFC 3339 with nanoseconds; a container that never started has the year 1."""
    return None if text.startswith("0001-") else datetime.fromisoformat(text)
