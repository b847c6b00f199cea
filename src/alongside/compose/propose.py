"""The lines that a compose file lacks, for a person to add."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from alongside.compose.schema import KEY, SharingSettings, read
from alongside.compose.sharing import is_shared, mounted, reached

Model = Mapping[str, Any]

_DEPENDENCY = (True, "one for all versions; false: one of its own beside each version")
_BUILT = (False, "each version gets a copy of it from its own tag")
_VOLUME = (True, "one for all versions; false: an empty one of its own for each version")


def propose(model: Model) -> str:
    """YAML to merge into the compose file, each line with the choice that it makes; empty where
    nothing is left to say. What it proposes keeps data in one place, as Compose alone does.

    Raises InvalidInput for what is said wrongly.
    """
    services: Mapping[str, Model] = model.get("services") or {}
    declared: Mapping[str, Model | None] = model.get("volumes") or {}
    lines: dict[str, dict[str, tuple[bool, str]]] = {"services": {}, "volumes": {}}
    for name, raw in services.items():
        if not raw.get("build"):
            continue
        once_a_version = [name]
        for dependency in reached(name, services, beyond=lambda one: not _shared(one, services)):
            if is_shared(dependency, services[dependency]) is None:
                built = services[dependency].get("build")
                lines["services"][dependency] = _BUILT if built else _DEPENDENCY
            if not _shared(dependency, services):
                once_a_version.append(dependency)
        for volume in (one for own in once_a_version for one in mounted(services[own])):
            settings = declared.get(volume) or {}
            if settings.get("external"):
                continue
            if read(SharingSettings, f"volume {volume}", settings.get(KEY)).shared is None:
                lines["volumes"][volume] = _VOLUME
    return "".join(
        f"{section}:\n"
        + "".join(
            f"  {name}:\n    {KEY}:\n      shared: {str(choice).lower()}  # {why}\n"
            for name, (choice, why) in names.items()
        )
        for section, names in lines.items()
        if names
    )


def _shared(name: str, services: Mapping[str, Model]) -> bool:
    """As said, or as it is proposed here."""
    said = is_shared(name, services[name])
    return not services[name].get("build") if said is None else said
