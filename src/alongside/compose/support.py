"""What a compose file can say and alongside does not run, refused before anything is built."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from alongside.compose.schema import KEY
from alongside.domain.errors import InvalidInput
from alongside.domain.service import ReadyKind, Service, Sharing, Workload

Model = Mapping[str, Any]

MAX_OWN = 7  # the dynamic half of an instance's subnet (see override.py), its broadcast aside

# Docker's rule for a container's name, which begins with the service's.
_CONTAINER_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")


def check_supported(service: Service, model: Model) -> None:
    """Raises InvalidInput."""
    check_workload(service)
    if not _CONTAINER_NAME.fullmatch(service.name):
        raise InvalidInput(
            f"{service.name!r} cannot begin the name of a container.",
            hint="Give the service a name that starts with a letter or a digit.",
        )
    if service.also and service.workload is Workload.SINGLETON:
        raise InvalidInput(
            f"{KEY}.also of service {service.name} gives ports to other versions of it, and it is "
            "a singleton, of which one version runs.",
            hint="Leave `also` out, or `workload: singleton`.",
        )
    own = [one.name for one in service.depends if one.sharing is Sharing.OWN]
    shared = {one.name for one in service.depends if one.sharing is Sharing.SHARED}
    if len(own) > MAX_OWN:
        raise InvalidInput(
            f"{service.name} has {len(own)} dependencies of its own beside each version, and its "
            f"network has room for {MAX_OWN}.",
            hint=f"Say {KEY}: {{shared: true}} of those that versions can share.",
        )
    _check_replicas(service.name, model["services"][service.name])
    if service.host_network:
        _check_host_network(service, own)
    else:
        _check_network_mode(service.name, model["services"][service.name])
    for name in shared:
        _check_reachable(name, model["services"][name])
    for name in [service.name, *own]:
        _check_address(name, model["services"][name])
        _check_links(name, model["services"][name], shared)
    _check_subnets([service.name, *own], model)


def check_workload(service: Service) -> None:
    if service.workload is Workload.REPLICATED:
        raise InvalidInput(
            f"{KEY}.workload of service {service.name} is {service.workload}, which this version "
            "of alongside does not run yet.",
            hint="It runs switched (leave it out) and singleton.",
        )


def _check_replicas(name: str, raw: Model) -> None:
    for key, replicas in (
        ("deploy.replicas", (raw.get("deploy") or {}).get("replicas")),
        ("scale", raw.get("scale")),
    ):
        if replicas is not None and str(replicas) != "1":
            raise InvalidInput(
                f"{key} of service {name} is {replicas}; a version has one instance.",
                hint=f"Leave {key} out.",
            )


def _check_network_mode(name: str, raw: Model) -> None:
    mode = raw.get("network_mode")
    if mode:
        raise InvalidInput(
            f"network_mode of service {name} is {mode}, so it would have no address of its own "
            "for a port to reach.",
            hint="Leave network_mode out, so that each version has a network of its own, or say "
            "host, and let it listen on the number in PORT.",
        )


def _check_host_network(service: Service, own: list[str]) -> None:
    if own:
        raise InvalidInput(
            f"{service.name} is in the host's network, where it cannot reach {own[0]} by its name, "
            "and a copy of it beside each version has no port of the host.",
            hint=f"Say {KEY}: {{shared: true}} of {own[0]} and publish its port, or leave "
            "network_mode out.",
        )
    asked, protocol = service.ready.port, service.ready.protocol
    if service.ready.kind is not ReadyKind.DNS:
        protocol = "tcp"
    known = {(one.target, one.port.protocol.value) for one in service.ports}
    if asked and (asked, protocol) not in known:
        raise InvalidInput(
            f"{KEY}.ready of service {service.name} asks {asked}/{protocol}, which is not in its "
            "ports; in the host's network two versions cannot both listen there.",
            hint="Ask one of its ports: each version is given another number for each of them.",
        )


def _check_reachable(name: str, raw: Model) -> None:
    if raw.get("network_mode"):
        raise InvalidInput(
            f"network_mode of service {name} is {raw['network_mode']}, and versions reach what "
            "they share by its name on a network.",
            hint="Leave network_mode out.",
        )


def _check_address(name: str, raw: Model) -> None:
    networks = raw.get("networks")
    for network, settings in networks.items() if isinstance(networks, Mapping) else ():
        for key in ("ipv4_address", "ipv6_address", "mac_address"):
            if settings and settings.get(key):
                raise InvalidInput(
                    f"{key} of service {name} on the network {network} is {settings[key]}, and two "
                    "versions beside each other cannot both have it.",
                    hint=f"Leave {key} out; each version has a fixed address of its own.",
                )


def _check_links(name: str, raw: Model, shared: set[str]) -> None:
    """What is shared runs in another project, where Compose can link nothing to it."""
    said = [("links", str(link).partition(":")[0]) for link in raw.get("links") or ()]
    said += [("volumes_from", str(one).partition(":")[0]) for one in raw.get("volumes_from") or ()]
    for key in ("network_mode", "ipc", "pid"):
        kind, _, other = str(raw.get(key) or "").partition(":")
        if kind == "service":
            said.append((key, other))
    for key, other in said:
        if other in shared:
            raise InvalidInput(
                f"{key} of service {name} names {other}, which all versions share.",
                hint=f"Leave it out; {other} has its name on the network without it."
                if key == "links"
                else f"Leave it out, or say {KEY}: {{shared: false}} of {other}.",
            )


def _check_subnets(names: list[str], model: Model) -> None:
    """Networks beside the default one are made once a version."""
    networks: Mapping[str, Model] = model.get("networks") or {}
    used = {key for name in names for key in model["services"][name].get("networks") or ()}
    for key in sorted(used - {"default"}):
        network = networks.get(key) or {}
        fixed = [one for one in (network.get("ipam") or {}).get("config") or () if "subnet" in one]
        if fixed and not network.get("external"):
            raise InvalidInput(
                f"The network {key} has the fixed subnet {fixed[0]['subnet']}, and each version "
                "has a network of that name.",
                hint="Leave its ipam out, or make it `external: true` for one that all share.",
            )
