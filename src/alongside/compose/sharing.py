"""What the versions of a service share: dependencies and volumes. It is said, never guessed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from alongside.compose.schema import KEY, ServiceSettings, SharingSettings, read
from alongside.domain.errors import InvalidInput
from alongside.domain.service import Dependency, Sharing, Volume

Model = Mapping[str, Any]


def is_shared(name: str, raw: Model) -> bool | None:
    """What `x-alongside.shared` of a service says; None if nothing."""
    place = f"service {name}"
    if raw.get("build"):
        return read(ServiceSettings, place, raw.get(KEY)).shared
    return read(SharingSettings, place, raw.get(KEY)).shared


def dependencies(name: str, model: Model) -> tuple[Dependency, ...]:
    """Every service that runs because this one does, in its own project or in the shared one.

    What a shared dependency needs belongs to the shared project and is not listed.

    Raises InvalidInput for what is not said, or cannot be.
    """
    services: Mapping[str, Model] = model["services"]
    found: dict[str, Dependency] = {}
    for dependency in reached(name, services, beyond=lambda one: not is_shared(one, services[one])):
        raw = services[dependency]
        shared = is_shared(dependency, raw)
        if raw.get("build"):
            _check_built(name, dependency, shared)
            _check_singleton(name, dependency, raw)
        elif shared is None:
            raise InvalidInput(
                f"{name} depends on {dependency}, and nothing says whether its versions share it.",
                hint=f"Add to service {dependency} `{KEY}: {{shared: true}}` for one that all "
                "versions use, or `{shared: false}` for one of its own beside each version.",
            )
        if shared:
            _check_shared(dependency, services)
        sharing = Sharing.SHARED if shared else Sharing.OWN
        found[dependency] = Dependency(dependency, sharing, built=bool(raw.get("build")))
    return tuple(found.values())


def reached(
    name: str, services: Mapping[str, Model], beyond: Callable[[str], bool]
) -> Iterator[str]:
    """The services that `name` depends on, near ones first, each once; and what one of them
    depends on, where `beyond` says so of it."""
    queue, seen = list(services[name].get("depends_on") or ()), {name}
    while queue:
        dependency = queue.pop(0)
        # Compose itself refuses one that is not there, unless it is `required: false`.
        if dependency in seen or dependency not in services:
            continue
        seen.add(dependency)
        yield dependency
        if beyond(dependency):
            queue += services[dependency].get("depends_on") or ()


def _check_built(name: str, dependency: str, shared: bool | None) -> None:
    if shared is False:
        return
    what = "cannot be shared" if shared else "nothing says how its versions use it"
    raise InvalidInput(
        f"{name} depends on {dependency}, which has `build:` and so has versions itself; {what}.",
        hint=f"Add to service {dependency} `{KEY}: {{shared: false}}` for a copy beside each "
        f"version of {name}, built from the same tag; or take it out of depends_on and reach the "
        f"version that has its ports by a public port (extra_hosts: host.docker.internal:"
        "host-gateway).",
    )


def _check_singleton(name: str, dependency: str, raw: Model) -> None:
    if read(ServiceSettings, f"service {dependency}", raw.get(KEY)).workload != "singleton":
        return
    raise InvalidInput(
        f"{name} depends on {dependency}, which is a singleton: a copy beside each version of "
        f"{name} would be a second one.",
        hint=f"Take {dependency} out of depends_on, and reach it by a public port "
        "(extra_hosts: host.docker.internal:host-gateway).",
    )


def _check_shared(dependency: str, services: Mapping[str, Model]) -> None:
    """What a shared service needs runs once as well."""
    for needed in reached(dependency, services, beyond=lambda _: True):
        raw = services[needed]
        if raw.get("build") or is_shared(needed, raw) is False:
            why = "has versions" if raw.get("build") else "is one for each version"
            raise InvalidInput(
                f"{dependency} is shared by all versions, and depends on {needed}, which {why}.",
                hint=f"Say {KEY}: {{shared: false}} of {dependency}, or take {needed} out of its "
                "depends_on.",
            )


def volumes(own: Sequence[str], shared: Iterable[str], model: Model) -> tuple[Volume, ...]:
    """The named volumes of the services that run once a version, `own`.

    Raises InvalidInput for what is not said, and for one that `shared` services mount too, and
    that is said to be each version's own.
    """
    declared: Mapping[str, Model | None] = model.get("volumes") or {}
    services: Mapping[str, Model] = model["services"]
    elsewhere = {name: service for service in shared for name in mounted(services[service])}
    found: dict[str, Volume] = {}
    for service in own:
        for name in mounted(services[service]):
            volume = declared.get(name) or {}
            if name in found or volume.get("external"):
                continue  # an external one is there once, and somebody else's
            said = read(SharingSettings, f"volume {name}", volume.get(KEY)).shared
            if said is None:
                raise InvalidInput(
                    f"{service} mounts the volume {name}, and nothing says whether versions "
                    "share it.",
                    hint=f"Add to volume {name} `{KEY}: {{shared: true}}` for one volume that all "
                    "versions read and write, or `{shared: false}` for one of its own, empty at "
                    "first, for each version.",
                )
            if not said and name in elsewhere:
                raise InvalidInput(
                    f"The volume {name} is said to be each version's own, and {elsewhere[name]}, "
                    "which all versions share, mounts it too.",
                    hint=f"Say {KEY}: {{shared: true}} of the volume.",
                )
            sharing = Sharing.SHARED if said else Sharing.OWN
            found[name] = Volume(name, sharing, _fixed_name(name, volume, model))
    return tuple(found.values())


def unnamed_shared(model: Model) -> list[str]:
    """The volumes that are said to be shared, and that have no name of the person's own."""
    return [
        name
        for name, volume in (model.get("volumes") or {}).items()
        if volume
        and not volume.get("external")
        and not _fixed_name(name, volume, model)
        and read(SharingSettings, f"volume {name}", volume.get(KEY)).shared
    ]


def mounted(raw: Model) -> list[str]:
    """The named volumes that a service mounts. An anonymous one is the container's alone."""
    names = []
    for mount in raw.get("volumes") or ():
        if isinstance(mount, Mapping):
            source = mount.get("source") if mount.get("type") == "volume" else None
        else:  # the short form, which `docker compose config` has made long already
            source, colon, _ = str(mount).partition(":")
            source = source if colon and source[:1] not in ("/", ".", "~") else None
        if source:
            names.append(str(source))
    return names


def _fixed_name(name: str, volume: Model, model: Model) -> str:
    """Compose names each volume; PROJECT_NAME is what it says where the person says nothing."""
    given = str(volume.get("name") or "")
    return "" if given == f"{model.get('name', '')}_{name}" else given
