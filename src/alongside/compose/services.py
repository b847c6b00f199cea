"""From Compose's own model to the services that have versions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from alongside.compose.also import also_of
from alongside.compose.policies import policies
from alongside.compose.ports import check_distinct, publishes
from alongside.compose.readiness import readiness
from alongside.compose.schema import KEY, ServiceSettings, SharingSettings, read
from alongside.compose.sharing import dependencies, volumes
from alongside.compose.support import check_supported
from alongside.domain.errors import InvalidInput
from alongside.domain.port import Publish
from alongside.domain.service import Service, Sharing, Workload

Model = Mapping[str, Any]

# A repository as in distribution's reference grammar, the host's part read more freely.
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"(?:[A-Za-z0-9.\[\]:-]+/)?{_PART}(?:/{_PART})*")


def services_from(model: Model, *, file: str = "") -> tuple[Service, ...]:
    """The released services (those with `build:`) of a model as `docker compose config` has it.

    `file` is the compose file's name, for the errors.

    Raises InvalidInput for what is wrong, and for what is not said and cannot be guessed.
    """
    try:
        return _services(model)
    except InvalidInput as error:
        if not file:
            raise
        raise InvalidInput(f"{file}: {error.message}", hint=error.hint) from error


def _services(model: Model) -> tuple[Service, ...]:
    raw_services: Mapping[str, Model] = model.get("services") or {}
    _check_places(model)
    found = tuple(
        _service(name, raw, model) for name, raw in raw_services.items() if raw.get("build")
    )
    for service in found:
        check_supported(service, model)
    shared = dict.fromkeys(
        one.name for service in found for one in service.depends if one.sharing is Sharing.SHARED
    )
    # A shared dependency binds what it publishes itself, but only what has a number.
    bound = [(name, publishes(f"service {name}", _numbered(raw_services[name]))) for name in shared]
    check_distinct([*((service.name, _public(service)) for service in found), *bound])
    return found


def _public(service: Service) -> list[Publish]:
    return [*service.ports, *(Publish(one.port, one.target) for one in service.also)]


def _service(name: str, raw: Model, model: Model) -> Service:
    place = f"service {name}"
    settings = read(ServiceSettings, place, raw.get(KEY))
    ports = publishes(place, raw.get("ports") or ())
    depends = dependencies(name, model)
    own = [name, *(one.name for one in depends if one.sharing is Sharing.OWN)]
    shared = [one.name for one in depends if one.sharing is Sharing.SHARED]
    policy = policies(place, settings)
    return Service(
        name=name,
        image=_repository(place, str(raw.get("image") or name)),
        ports=ports,
        ready=readiness(place, settings.ready, raw, ports),
        workload=Workload(settings.workload),
        tags=tuple(settings.tags),
        depends=depends,
        volumes=volumes(own, shared, model),
        also=also_of(place, settings.also, ports),
        host_network=raw.get("network_mode") == "host",
        linked=tuple(settings.linked),
        before=settings.before or (),
        watch=policy.watch,
        drain=policy.drain,
        standby=policy.standby,
        retention=policy.retention,
        follow=policy.follow,
        save=settings.save,
    )


def _check_places(model: Model) -> None:
    """Everything that is said, also of what no released service uses."""
    if KEY in model:
        raise InvalidInput(
            f"{KEY} stands at the top of the compose file, where it means nothing.",
            hint=f"Write {KEY} on a service, or on a named volume.",
        )
    for section in ("networks", "configs", "secrets"):
        for name, raw in (model.get(section) or {}).items():
            if KEY in (raw or {}):
                raise InvalidInput(
                    f"{KEY} stands on {name} of {section}, where it means nothing.",
                    hint=f"Write {KEY} on a service, or on a named volume.",
                )
    for name, raw in (model.get("services") or {}).items():
        kind = ServiceSettings if raw.get("build") else SharingSettings
        read(kind, f"service {name}", raw.get(KEY))
    for name, raw in (model.get("volumes") or {}).items():
        read(SharingSettings, f"volume {name}", (raw or {}).get(KEY))


def _numbered(raw: Model) -> list[object]:
    ports = raw.get("ports") or ()
    return [one for one in ports if isinstance(one, Mapping) and one.get("published")]


def _repository(place: str, image: str) -> str:
    """`repo/dns:1.0.0` -> `repo/dns`; the port in `host:5000/dns` stays."""
    if "@" in image:
        raise InvalidInput(
            f"image of {place} is {image}, by digest, and it is to be built.",
            hint="Leave the digest out.",
        )
    head, slash, last = image.rpartition("/")
    repository = f"{head}{slash}{last.partition(':')[0]}"
    if not _REPOSITORY.fullmatch(repository):
        raise InvalidInput(
            f"image of {place} is {repository}, which cannot be the name of an image.",
            hint="Write `image:` with a name in lower-case letters, digits, '.', '_' and '-', "
            "for example repo/dns.",
        )
    return repository
