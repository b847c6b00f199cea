"""The override files: what alongside adds to a person's compose file, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import yaml

from alongside.domain.instance import Instance, slug
from alongside.domain.release import Release
from alongside.domain.service import Service, Sharing
from alongside.domain.version import Version
from alongside.engine.protocol import (
    LABEL_COMMIT,
    LABEL_ORDINAL,
    LABEL_REPOSITORY,
    LABEL_SERVICE,
    LABEL_VERSION,
)

_SHARED_NETWORK = "alongside-shared"


class _Override:
    """A value that takes the place of the person's own, where Compose would merge them."""

    def __init__(self, value: object) -> None:
        self.value = value


class _Reset:
    """The person's own value is taken out."""


class _Dumper(yaml.SafeDumper):
    pass


def _represent_override(dumper: yaml.SafeDumper, override: _Override) -> yaml.Node:
    node = dumper.represent_data(override.value)
    node.tag = "!override"
    return node


def _represent_reset(dumper: yaml.SafeDumper, _: _Reset) -> yaml.Node:
    return dumper.represent_scalar("!reset", "null", style="")


_Dumper.add_representer(_Override, _represent_override)
_Dumper.add_representer(_Reset, _represent_reset)


def build_override(
    service: Service,
    version: Version,
    *,
    commit: str,
    source: str,
    repository: str,
    created: datetime,
) -> str:
    """For the build: the image's name, and labels that say what it is (OCI image specification,
    annotations) and suffice to find it again."""
    labels = {
        "org.opencontainers.image.version": str(version),
        "org.opencontainers.image.revision": commit,
        "org.opencontainers.image.created": created.isoformat(timespec="seconds"),
        "org.opencontainers.image.source": source,
        LABEL_SERVICE: service.name,
        LABEL_VERSION: str(version),
        LABEL_COMMIT: commit,
        LABEL_REPOSITORY: repository,
    }
    return _dump(
        {
            "services": {
                service.name: {
                    "image": f"{service.image}:{version}",
                    "build": {"labels": labels},
                }
            }
        }
    )


def override(release: Release, instance: Instance, model: Mapping[str, Any]) -> str:
    """For one instance: its image by ID, its name, its own network and address, its local ports.

    `model` is Compose's own model of the release's compose file.
    """
    spec = release.spec
    services: dict[str, Any] = {
        name: {"container_name": _Reset(), "ports": _Reset()}
        for name in (one.name for one in spec.depends if one.sharing is Sharing.OWN)
    }
    for name in services:
        services[name] |= _without_shared(spec, model["services"][name])
    services[spec.name] = _released(release, instance, model["services"][spec.name])
    networks: dict[str, Any] = {"default": _network(instance)}
    if _shared_names(spec):
        networks[_SHARED_NETWORK] = {
            "external": True,
            "name": shared_network(release.repository),
        }
        for settings in services.values():
            settings.setdefault("networks", {})[_SHARED_NETWORK] = {}
    return _dump(
        {
            "services": services,
            "networks": networks,
            "volumes": _volume_names(spec, release.repository, instance.project),
        }
    )


def _released(release: Release, instance: Instance, raw: Mapping[str, Any]) -> dict[str, Any]:
    subnet = instance.subnet
    # On loopback for people and probes; on addresses of the host's own for packets from containers.
    # Publishing also makes the engine accept forwarded packets to the container's port.
    addresses = ["127.0.0.1", "[::1]", str(subnet.gateway4), f"[{subnet.proxy6}]"]
    ports = [
        f"{address}:{local.number}:{local.target}/{local.protocol}"
        for local in instance.local_ports
        for address in addresses
    ]
    return {
        "image": release.image_id,
        "build": _Reset(),
        "pull_policy": "never",
        "container_name": instance.name,
        "labels": {
            LABEL_SERVICE: release.service,
            LABEL_VERSION: str(release.version),
            LABEL_COMMIT: release.commit,
            LABEL_REPOSITORY: release.repository,
            LABEL_ORDINAL: str(instance.ordinal),
        },
        "ports": _Override(ports) if ports else _Reset(),
        "networks": {
            "default": {
                "ipv4_address": str(subnet.address4),
                "ipv6_address": str(subnet.address6),
            }
        },
        **_without_shared(release.spec, raw),
    }


def _without_shared(spec: Service, raw: Mapping[str, Any]) -> dict[str, Any]:
    """What is shared runs in a project of its own, so this one does not wait for it."""
    depends = raw.get("depends_on") or {}
    shared = _shared_names(spec)
    if not shared & set(depends):
        return {}
    kept = {name: condition for name, condition in depends.items() if name not in shared}
    return {"depends_on": _Override(kept) if kept else _Reset()}


def _network(instance: Instance) -> dict[str, Any]:
    subnet = instance.subnet
    return {
        "name": instance.network,
        "external": _Reset(),
        "driver": "bridge",
        "driver_opts": {"com.docker.network.bridge.name": subnet.bridge},
        "enable_ipv6": True,
        "ipam": _Override(
            {
                "config": [
                    {"subnet": str(subnet.ipv4), "gateway": str(subnet.gateway4)},
                    {"subnet": str(subnet.ipv6), "gateway": str(subnet.gateway6)},
                ]
            }
        ),
    }


def shared_name(repository: str) -> str:
    """The Compose project of what all versions of a repository share."""
    return f"{slug(repository)}-shared"


def shared_network(repository: str) -> str:
    return f"{shared_name(repository)}_default"


def shared_override(release: Release) -> str:
    """For the shared services' project: a network that instances can join."""
    return _dump(
        {
            "networks": {"default": {"name": shared_network(release.repository)}},
            "volumes": _volume_names(release.spec, release.repository, None),
        }
    )


def _shared_names(spec: Service) -> set[str]:
    return {one.name for one in spec.depends if one.sharing is Sharing.SHARED}


def _volume_names(spec: Service, repository: str, project: str | None) -> dict[str, Any]:
    """Shared volumes have one name for the repository, own ones the instance's."""
    return {
        volume.name: {"name": f"{slug(repository)}_{volume.name}"}
        if volume.sharing is Sharing.SHARED
        else {"name": f"{project}_{volume.name}"}
        for volume in spec.volumes
        if project is not None or volume.sharing is Sharing.SHARED
    }


def _dump(document: dict[str, Any]) -> str:
    return yaml.dump(
        {key: value for key, value in document.items() if value},
        Dumper=_Dumper,
        sort_keys=False,
        default_flow_style=False,
    )
