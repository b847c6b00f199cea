"""From Compose's own model to the services that have versions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

from alongside.compose.schema import (
    KEY,
    DependencySettings,
    ReadySettings,
    ServiceSettings,
    read,
)
from alongside.domain.errors import InvalidInput
from alongside.domain.port import Port, Protocol, Publish
from alongside.domain.service import (
    Dependency,
    Ready,
    ReadyKind,
    Service,
    Sharing,
    Volume,
    Workload,
)

Model = Mapping[str, Any]


def services_from(model: Model) -> tuple[Service, ...]:
    """The released services (those with `build:`) of a model as `docker compose config` has it.

    Raises InvalidInput for what is wrong, and for what is not said and cannot be guessed.
    """
    services: Mapping[str, Model] = model.get("services") or {}
    if KEY in model:
        raise InvalidInput(
            f"{KEY} stands at the top of the compose file, where it means nothing.",
            hint=f"Write {KEY} on a service, or on a named volume.",
        )
    found = tuple(_service(name, raw, model) for name, raw in services.items() if raw.get("build"))
    for name, raw in services.items():
        if not raw.get("build"):
            read(DependencySettings, f"service {name}", raw.get(KEY))
    _check_ports(found)
    return found


def _service(name: str, raw: Model, model: Model) -> Service:
    place = f"service {name}"
    settings = read(ServiceSettings, place, raw.get(KEY))
    _check_supported(name, raw, settings)
    ports = tuple(_publish(place, port) for port in raw.get("ports") or ())
    depends = tuple(_dependencies(name, model))
    own = [name, *(one.name for one in depends if one.sharing is Sharing.OWN)]
    return Service(
        name=name,
        image=_repository(place, raw.get("image") or name),
        ports=ports,
        ready=_ready(place, settings.ready, raw, ports),
        workload=Workload(settings.workload),
        tags=tuple(settings.tags),
        depends=depends,
        volumes=tuple(_volumes(own, model)),
        linked=tuple(settings.linked),
    )


def _check_supported(name: str, raw: Model, settings: ServiceSettings) -> None:
    if settings.workload != "switched":
        raise InvalidInput(
            f"{KEY}.workload of service {name} is {settings.workload}, which this version of "
            "alongside does not run yet.",
            hint="Leave it out: switched is what it runs.",
        )
    mode = str(raw.get("network_mode") or "")
    if mode and mode != "bridge":
        raise InvalidInput(
            f"Service {name} has network_mode: {mode}, so it has no address of its own that a "
            "port could be given to.",
            hint="Leave network_mode out; alongside gives each version a network of its own.",
        )
    replicas = (raw.get("deploy") or {}).get("replicas") or raw.get("scale") or 1
    if int(replicas) != 1:
        raise InvalidInput(
            f"Service {name} asks for {replicas} replicas; alongside runs one instance a version.",
            hint="Leave deploy.replicas and scale out.",
        )


def _publish(place: str, raw: Model) -> Publish:
    target = int(raw["target"])
    published = str(raw.get("published") or target)
    if not published.isdigit():
        raise InvalidInput(
            f"{place} publishes {published} for port {target}: more numbers than ports.",
            hint="Publish one number a port, or ranges of the same length.",
        )
    try:
        protocol = Protocol(raw.get("protocol") or "tcp")
        address = ip_address(raw["host_ip"]) if raw.get("host_ip") else None
    except ValueError as error:
        raise InvalidInput(f"{place} publishes port {target}: {error}.") from None
    if address is not None and address.is_unspecified:
        address = None
    return Publish(Port(protocol, int(published), address), target)


def _check_ports(services: Iterable[Service]) -> None:
    seen: list[tuple[str, Port]] = []
    for service in services:
        for port in dict.fromkeys(publish.port for publish in service.ports):
            for other, taken in seen:
                if taken.overlaps(port):
                    raise InvalidInput(
                        f"{other} and {service.name} both publish {port}, and a port has one "
                        "service."
                        if other != service.name
                        else f"{service.name} publishes {port} and {taken}, which overlap.",
                        hint="Give one of them another public port.",
                    )
            seen.append((service.name, port))


def _dependencies(name: str, model: Model) -> Iterator[Dependency]:
    """Everything that the service depends on, directly or not, each once."""
    services: Mapping[str, Model] = model["services"]
    queue, seen = list(services[name].get("depends_on") or ()), {name}
    while queue:
        dependency = queue.pop(0)
        if dependency in seen:
            continue
        seen.add(dependency)
        raw = services[dependency]
        place = f"service {dependency}"
        shared = (
            read(ServiceSettings, place, raw.get(KEY)).shared
            if raw.get("build")
            else read(DependencySettings, place, raw.get(KEY)).shared
        )
        if shared is None:
            raise InvalidInput(
                f"{name} depends on {dependency}, and nothing says whether its versions share it.",
                hint=f"Add to service {dependency}: {KEY}: {{shared: true}} for one that all "
                f"versions use, or {{shared: false}} for one of its own beside each version.",
            )
        if shared and raw.get("build"):
            raise InvalidInput(
                f"{name} depends on {dependency}, which has versions itself and cannot be shared.",
                hint=f"Say {KEY}: {{shared: false}} on {dependency} for a copy from the same tag; "
                f"or leave it out of depends_on and reach it by its public port.",
            )
        yield Dependency(dependency, Sharing.SHARED if shared else Sharing.OWN)
        if not shared:
            queue += raw.get("depends_on") or ()


def _volumes(services: Iterable[str], model: Model) -> Iterator[Volume]:
    """The named volumes of services that run once a version."""
    declared: Mapping[str, Model | None] = model.get("volumes") or {}
    seen = set()
    for service in services:
        for mount in model["services"][service].get("volumes") or ():
            name = mount.get("source")
            volume = declared.get(name) or {}
            if mount.get("type") != "volume" or not name or name in seen:
                continue
            seen.add(name)
            if volume.get("external"):
                continue  # it is there once, and somebody else's
            shared = read(DependencySettings, f"volume {name}", volume.get(KEY)).shared
            if shared is None:
                raise InvalidInput(
                    f"{service} mounts the volume {name}, and nothing says whether versions "
                    "share it.",
                    hint=f"Add to volume {name}: {KEY}: {{shared: true}} for one volume that all "
                    "versions write to, or {shared: false} for an empty one of its own for each "
                    "version.",
                )
            yield Volume(name, Sharing.SHARED if shared else Sharing.OWN)


def _ready(
    place: str, given: ReadySettings | None, raw: Model, ports: tuple[Publish, ...]
) -> Ready:
    healthcheck = raw.get("healthcheck") or {}
    has_health = bool(healthcheck) and not healthcheck.get("disable")
    tcp = next((one.target for one in ports if one.port.protocol is Protocol.TCP), 0)
    settings = given or ReadySettings()

    def ask(ready: Ready) -> Ready:
        return replace(ready, timeout=settings.timeout, interval=settings.interval)

    asked = [
        name
        for name in ("tcp", "http", "dns", "health", "running")
        if getattr(settings, name) is not None
    ]
    if len(asked) > 1:
        raise InvalidInput(
            f"{KEY}.ready of {place} asks for {' and '.join(asked)}; it takes one of them."
        )
    if settings.http is not None:
        port = settings.port or tcp
        if not port:
            raise InvalidInput(f"{KEY}.ready of {place} has http, but no port to ask.")
        return ask(Ready(ReadyKind.HTTP, port=port, path=settings.http, status=settings.status))
    if settings.dns is not None:
        port = settings.port or 53
        return ask(Ready(ReadyKind.DNS, port=port, name=settings.dns, protocol=settings.protocol))
    if settings.health and not has_health:
        raise InvalidInput(
            f"{KEY}.ready of {place} is health, but the service has no healthcheck.",
            hint="Add `healthcheck:` to the service, or ask by tcp, http or dns.",
        )
    if settings.health or (not asked and has_health):
        return ask(Ready(ReadyKind.HEALTH))
    if settings.tcp or (not asked and tcp):
        return ask(Ready(ReadyKind.TCP, port=settings.tcp or tcp))
    return ask(Ready(ReadyKind.RUNNING))


def _repository(place: str, image: str) -> str:
    """`repo/dns:1.0.0` -> `repo/dns`; the port in `host:5000/dns` stays."""
    if "@" in image:
        raise InvalidInput(
            f"{place} names its image by digest ({image}), and it is to be built.",
            hint="Leave the digest out.",
        )
    head, slash, last = image.rpartition("/")
    return f"{head}{slash}{last.partition(':')[0]}"
