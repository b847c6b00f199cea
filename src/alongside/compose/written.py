"""What the services of a compose file may write to: volumes, and folders and files of the host."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from alongside.compose.schema import KEY

Model = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Written:
    """`volume` is the engine's name; `source` a path on the host, of a volume too where it
    stands for a folder there (`o: bind`)."""

    volume: str = ""
    source: str = ""


def written(model: Model, name: str) -> Iterator[Written]:
    """By a container of one service, of a model as `docker compose config` has it. Anonymous
    volumes are a container's own, and what is mounted read-only is not written to."""
    for mount in _mounts(model, name, seen=set()):
        source = str(mount.get("source") or "")
        if mount.get("read_only") or not source:
            continue
        if mount.get("type") == "bind":
            yield Written(source=source)
        elif mount.get("type") == "volume":
            declared = (model.get("volumes") or {}).get(source) or {}
            options = declared.get("driver_opts") or {}
            bound = "bind" in str(options.get("o", "")).split(",")
            yield Written(
                volume=str(declared.get("name") or source),
                source=str(options.get("device") or "") if bound else "",
            )


def _mounts(model: Model, name: str, seen: set[str]) -> Iterator[Model]:
    """Its own, and those that it has from other services of the file (`volumes_from`)."""
    seen.add(name)
    raw = model["services"].get(name) or {}
    yield from raw.get("volumes") or ()
    for entry in raw.get("volumes_from") or ():
        other, _, mode = str(entry).partition(":")
        if other in model["services"] and other not in seen and mode != "ro":
            yield from _mounts(model, other, seen)


def said_shared(model: Model) -> frozenset[str]:
    """The volumes, by the engine's names, of which the file says that versions share them."""
    volumes = (model.get("volumes") or {}).items()
    return frozenset(
        str(raw.get("name") or name)
        for name, raw in ((name, raw or {}) for name, raw in volumes)
        if (raw.get(KEY) or {}).get("shared") is True
    )


def with_needed(model: Model, services: Iterable[str], without: Container[str] = ()) -> list[str]:
    """The services, and all that Compose starts before them, but for those `without`."""
    queue, found = list(services), dict[str, None]()
    while queue:
        name = queue.pop(0)
        if name in found or name not in model["services"]:
            continue
        found[name] = None
        needed = model["services"][name].get("depends_on") or ()
        queue += [one for one in needed if one not in without]
    return list(found)
