"""Files of a tag's tree that services mount, and an override that has them mounted elsewhere."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from alongside.compose.merge import Override

Model = Mapping[str, Any]

# Where a file lies: by the service that mounts it, and its path within the tree.
Place = Callable[[str, PurePosixPath], Path]

_FILES = ("configs", "secrets")


def mounted_from(
    services: Iterable[str], model: Model, *, tree: Path, folder: Path
) -> dict[str, list[PurePosixPath]]:
    """What each of the services mounts of `tree`: bind mounts, and configs and secrets that are
    files. Paths of the model that are relative are so to `folder`."""
    return {
        service: list(
            dict.fromkeys(
                path
                for source in _sources(model["services"][service], model)
                if (path := _within(source, tree, folder)) is not None
            )
        )
        for service in services
    }


def relocated(
    services: Iterable[str], model: Model, place: Place, *, tree: Path, folder: Path
) -> dict[str, dict[str, Any]]:
    """Sections of an override file, by which the services mount those from `place`."""
    document: dict[str, dict[str, Any]] = {"services": {}, **{kind: {} for kind in _FILES}}
    for service in services:
        raw = model["services"][service]
        mounts = raw.get("volumes") or ()
        if any(_within(one, tree, folder) is not None for one in _binds(mounts)):
            moved = [_moved(one, service, place, tree, folder) for one in mounts]
            document["services"][service] = {"volumes": Override(moved)}
        for kind in _FILES:
            for name, file in _files(kind, raw, model):
                path = _within(file, tree, folder)
                if path is not None:
                    document[kind].setdefault(name, {"file": str(place(service, path))})
    return document


def _moved(mount: Any, service: str, place: Place, tree: Path, folder: Path) -> Any:
    if not _is_bind(mount):
        return mount
    path = _within(_text(mount["source"]), tree, folder)
    if path is None:
        return _written_anew(mount)
    return {**_written_anew(mount), "source": str(place(service, path))}


def _sources(raw: Model, model: Model) -> Iterable[str]:
    yield from _binds(raw.get("volumes") or ())
    for kind in _FILES:
        yield from (file for _, file in _files(kind, raw, model))


def _files(kind: str, raw: Model, model: Model) -> Iterable[tuple[str, str]]:
    """The service's configs or secrets that are files: name and path."""
    declared = model.get(kind) or {}
    for one in raw.get(kind) or ():
        name = one["source"] if isinstance(one, Mapping) else str(one)
        file = (declared.get(name) or {}).get("file")
        if file:
            yield name, _text(file)


def _binds(mounts: Iterable[Any]) -> Iterable[str]:
    return (_text(mount["source"]) for mount in mounts if _is_bind(mount))


def _is_bind(mount: Any) -> bool:
    return isinstance(mount, Mapping) and mount.get("type") == "bind" and bool(mount.get("source"))


def _text(value: object) -> str:
    """`config` writes `$` so that it can be read in again."""
    return str(value).replace("$$", "$")


def _written_anew(value: Any) -> Any:
    """What is dumped has its `$` doubled again."""
    if isinstance(value, Mapping):
        return {key: _written_anew(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_written_anew(one) for one in value]
    return _text(value) if isinstance(value, str) else value


def _within(source: str, tree: Path, folder: Path) -> PurePosixPath | None:
    path = Path(os.path.normpath(folder / source))
    return PurePosixPath(path.relative_to(tree)) if path.is_relative_to(tree) else None
