"""The override files: what alongside adds to a person's compose file, and nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterable, Mapping
from datetime import datetime
from ipaddress import IPv6Network
from typing import Any

from alongside.compose.merge import Override, Reset, dump
from alongside.compose.sharing import mounted
from alongside.domain.image_names import copy_name, former_copy_name, held_name
from alongside.domain.instance import Instance, slug
from alongside.domain.release import Release
from alongside.domain.service import Dependency, Service, Sharing
from alongside.domain.version import Version
from alongside.engine.protocol import (
    LABEL_COMMIT,
    LABEL_COMPOSE_FILE,
    LABEL_ORDINAL,
    LABEL_REPOSITORY,
    LABEL_SERVICE,
    LABEL_TREE,
    LABEL_VERSION,
)

Model = Mapping[str, Any]

ONCE = "before"  # LABEL_ORDINAL of a container that is no instance
_SHARED_NETWORK = "alongside-shared"


def build_override(
    service: Service,
    version: Version,
    *,
    commit: str,
    source: str,
    repository: str,
    created: datetime,
    others: Iterable[str] = (),
    tree: str = "",
    compose_file: str = "",
) -> str:
    """For the build: names of ours for the images, and labels that say what they are (OCI image
    specification, annotations) and suffice to make a release again from its tree. The person's
    own names, and those of `build.tags`, are not the build's to give: they may be another image's.
    `others`: what else the file builds, which Compose may build on the way
    (`additional_contexts`)."""
    labels = {
        "org.opencontainers.image.version": str(version),
        "org.opencontainers.image.revision": commit,
        "org.opencontainers.image.created": created.isoformat(timespec="seconds"),
        "org.opencontainers.image.source": source,
    }
    release = {
        LABEL_SERVICE: service.name,
        LABEL_VERSION: str(version),
        LABEL_COMMIT: commit,
        LABEL_REPOSITORY: repository,
    }
    if tree:
        release |= {LABEL_TREE: tree, LABEL_COMPOSE_FILE: compose_file}
    services: dict[str, Any] = {
        service.name: {
            "image": held_name(service.name, version),
            "build": {"labels": labels | release, "tags": Reset()},
        }
    }
    for one in _copies(service):
        services[one.name] = {
            "image": copy_name(service.name, one.name, version),
            "build": {"labels": labels, "tags": Reset()},
        }
    for name in others:
        if name not in services:
            image = copy_name(service.name, name, version)
            services[name] = {"image": image, "build": {"tags": Reset()}}
    return dump({"services": services})


def build_targets(service: Service) -> list[str]:
    """The services that are built for a release: itself, and what it has a copy of."""
    return [service.name, *(one.name for one in _copies(service))]


def held_names(service: Service, version: Version) -> list[str]:
    """Names of ours for all images that are built for a release: its own first, then those of
    what it has a copy of."""
    copies = [copy_name(service.name, one.name, version) for one in _copies(service)]
    return [held_name(service.name, version), *copies]


def former_copies(release: Release) -> dict[str, str]:
    """The names of its copies, by those that the first alongside gave them."""
    return {
        former_copy_name(release, one.name): copy_name(release.service, one.name, release.version)
        for one in _copies(release.spec)
    }


def _copies(service: Service) -> list[Dependency]:
    return [one for one in service.depends if one.built]


def override(
    release: Release,
    instance: Instance,
    model: Model,
    *,
    removing: bool = False,
    ipv6: bool = True,
    single: bool = False,
) -> str:
    """For one instance: its image by ID, its name, its own network and address, its local ports.

    `model` is Compose's own model of the release's compose file. What the instance does not run
    is taken out of it: Compose 2.26 makes every network of a file, used or not, and the engine
    has addresses for 31. `removing`: for taking the project down, volumes included; what is
    shared is out of its reach then. `ipv6`: whether this host has it. `single`: publish on one
    address of each IP family alone.
    """
    released = _released(release, instance, ipv6, single)
    return _document(release, instance, model, released, removing=removing, ipv6=ipv6)


def once_override(release: Release, instance: Instance, model: Model, *, ipv6: bool = True) -> str:
    """For a container of the released service that runs one command, beside the instance: with its
    image, network, dependencies and volumes, and nothing that is there once: no name, no ports, no
    address of its own (it gets one as dependencies do), in the host's network no numbers.

    The network is defined as in `override`, or Compose would make it anew under the instance.
    """
    once: dict[str, Any] = {
        **_pinned(release, ordinal=ONCE),
        "container_name": Reset(),
        "ports": Reset(),
        "restart": "no",
    }
    if not release.spec.host_network:
        once["networks"] = {"default": {}}
    return _document(release, instance, model, once, ipv6=ipv6)


def _document(
    release: Release,
    instance: Instance,
    model: Model,
    released: dict[str, Any],
    *,
    removing: bool = False,
    ipv6: bool,
) -> str:
    spec = release.spec
    services: dict[str, Any] = {
        one.name: _own_dependency(release, one, model["services"][one.name])
        for one in spec.depends
        if one.sharing is Sharing.OWN
    }
    services[spec.name] = released | _without_shared(spec, model["services"][spec.name])
    networks: dict[str, Any] = {} if spec.host_network else {"default": _network(instance, ipv6)}
    if _shared(spec):
        networks[_SHARED_NETWORK] = {"external": True, "name": shared_network(release.repository)}
        for name, settings in services.items():
            _join(settings, model["services"][name])
    volumes = _volumes(release, instance, removing=removing)
    run = [model["services"][name] for name in services]
    joined = {network for raw in run for network in raw.get("networks") or ()}
    kept = {volume for raw in run for volume in mounted(raw)}
    return dump(
        {
            "services": services | _without(model, "services", services),
            "networks": networks | _without(model, "networks", {"default", *joined}),
            "volumes": volumes | _without(model, "volumes", kept),
        }
    )


def _without(model: Model, section: str, kept: Container[str]) -> dict[str, Reset]:
    return {name: Reset() for name in model.get(section) or () if name not in kept}


def _join(settings: dict[str, Any], raw: Model) -> None:
    """Put a service on the shared network, beside those that it is on: one that names none is on
    the default network, and only as long as it names none."""
    if raw.get("network_mode"):
        return
    networks = settings.setdefault("networks", {})
    if "default" in (raw.get("networks") or {}):
        networks.setdefault("default", {})
    networks[_SHARED_NETWORK] = {}


def _volumes(release: Release, instance: Instance, *, removing: bool) -> dict[str, Any]:
    """`down --volumes` removes a project's volumes by their names, whoever else uses them, and
    leaves only external ones. (For `up` a shared one is not: Compose makes it then.)"""
    own = {
        volume.name: {"name": f"{instance.project}_{volume.name}"}
        for volume in release.spec.volumes
        if volume.sharing is Sharing.OWN
    }
    shared = {
        name: Override({"external": True, **named}) if removing else named
        for name, named in _shared_volumes(release).items()
    }
    return own | shared


def own_volumes(release: Release, instance: Instance) -> set[str]:
    """The engine's names of the volumes that are the version's own."""
    return {
        f"{instance.project}_{volume.name}"
        for volume in release.spec.volumes
        if volume.sharing is Sharing.OWN
    }


def _released(release: Release, instance: Instance, ipv6: bool, single: bool) -> dict[str, Any]:
    subnet = instance.subnet
    # On loopback for people and probes; on addresses of the host's own for packets from containers.
    # Publishing also makes the engine accept forwarded packets to the container's port.
    addresses = ["127.0.0.1"] if single else ["127.0.0.1", str(subnet.gateway4)]
    place = {"ipv4_address": str(subnet.address4)}
    if ipv6:
        # Without a proxy [::1] answers nobody.
        addresses += [*([] if single else ["[::1]"]), f"[{subnet.proxy6}]"]
        place["ipv6_address"] = str(subnet.address6)
    ports = [
        f"{address}:{local.number}:{local.target}/{local.protocol}"
        for local in instance.local_ports
        for address in addresses
    ]
    where: dict[str, Any] = {
        "ports": Override(ports) if ports else Reset(),
        "networks": {"default": place},
    }
    if release.spec.host_network:
        where = {"ports": Reset(), "environment": instance.numbers()}
    return {
        **_pinned(release, ordinal=str(instance.ordinal)),
        "container_name": instance.name,
        **where,
    }


def _pinned(release: Release, *, ordinal: str) -> dict[str, Any]:
    """The very image of the release, and labels that say whose the container is."""
    return {
        "image": release.image_id,
        "build": Reset(),
        "pull_policy": "never",
        "labels": {
            LABEL_SERVICE: release.service,
            LABEL_VERSION: str(release.version),
            LABEL_COMMIT: release.commit,
            LABEL_REPOSITORY: release.repository,
            LABEL_ORDINAL: ordinal,
        },
    }


def _own_dependency(release: Release, dependency: Dependency, raw: Model) -> dict[str, Any]:
    """Names and ports of the host are there once, and an instance beside another has neither."""
    settings: dict[str, Any] = {"container_name": Reset(), "ports": Reset()}
    if dependency.built:
        settings |= {
            "image": copy_name(release.service, dependency.name, release.version),
            "build": Reset(),
            "pull_policy": "never",
        }
    return settings | _without_shared(release.spec, raw)


def _without_shared(spec: Service, raw: Model) -> dict[str, Any]:
    """What is shared runs in a project of its own, so this one does not wait for it."""
    depends = raw.get("depends_on") or {}
    shared = {one.name for one in _shared(spec)}
    if not shared & set(depends):
        return {}
    kept = {name: condition for name, condition in depends.items() if name not in shared}
    return {"depends_on": Override(kept) if kept else Reset()}


def _network(instance: Instance, ipv6: bool) -> dict[str, Any]:
    """The instance's own network.

    The engine gives addresses out from the first free one, in start order, and dependencies
    start first: without `ip_range` one of them gets the address that is to be the instance's.
    """
    subnet = instance.subnet
    *_, upper4 = subnet.ipv4.subnets()
    upper6 = IPv6Network((int(subnet.ipv6.network_address) + (1 << 16), 112))
    pools: list[tuple[object, ...]] = [(subnet.ipv4, subnet.gateway4, upper4)]
    if ipv6:
        pools.append((subnet.ipv6, subnet.gateway6, upper6))
    return {
        "name": instance.network,
        "external": Reset(),
        "driver": "bridge",
        "driver_opts": {"com.docker.network.bridge.name": subnet.bridge},
        "enable_ipv6": ipv6,
        "ipam": Override(
            {
                "config": [
                    {"subnet": str(all_), "gateway": str(gateway), "ip_range": str(dynamic)}
                    for all_, gateway, dynamic in pools
                ]
            }
        ),
    }


def shared_name(repository: str) -> str:
    """The Compose project of what all versions of a repository share."""
    name = slug(repository)
    if name != repository:  # `App` and `app` are two repositories
        name += f"-{hashlib.sha256(repository.encode()).hexdigest()[:8]}"
    return f"{name}-shared"


def shared_network(repository: str) -> str:
    return f"{shared_name(repository)}_default"


def shared_override(
    release: Release, moved: Mapping[str, Any] | None = None, volumes: Iterable[str] = ()
) -> str:
    """For the shared services' project: each of them on a network that instances can join.
    `moved`: sections by which they have their files elsewhere than in the release's tree.
    `volumes`: those that no version mounts, and that have their name for the repository too."""
    moved = moved or {}
    services: dict[str, dict[str, Any]] = {
        one.name: {"networks": {"default": {}}} for one in _shared(release.spec)
    }
    for name, settings in moved.get("services", {}).items():
        services[name] = services.get(name, {}) | settings
    also = {name: {"name": volume_name(release, name)} for name in volumes}
    return dump(
        {
            **moved,
            "services": services,
            "networks": {
                "default": {"name": shared_network(release.repository), "external": Reset()}
            },
            "volumes": also | _shared_volumes(release),
        }
    )


def volume_names(release: Release, instance: Instance | None) -> dict[str, str]:
    """The engine's names of the file's volumes, as far as the override files give them: in the
    project of an instance, or of what is shared."""
    given = _volumes(release, instance, removing=False) if instance else _shared_volumes(release)
    return {name: named["name"] for name, named in given.items()}


def volume_name(release: Release, name: str) -> str:
    """Of a volume that the versions of a repository share, for the engine."""
    return f"{shared_name(release.repository).removesuffix('-shared')}_{name}"


def _shared(spec: Service) -> list[Dependency]:
    return [one for one in spec.depends if one.sharing is Sharing.SHARED]


def _shared_volumes(release: Release) -> dict[str, dict[str, str]]:
    """One name for the repository, or the person's own."""
    return {
        volume.name: {"name": volume.fixed or volume_name(release, volume.name)}
        for volume in release.spec.volumes
        if volume.sharing is Sharing.SHARED
    }
