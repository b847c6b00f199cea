"""A compose file as `docker compose config` would print it, as far as the fake goes.

Interpolation, the merge of several files with `!override` and `!reset`, and the short forms that
Compose writes out long: build, ports, depends_on, volumes, networks, labels.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from alongside.domain.errors import InvalidInput

Json = dict[str, Any]

_VARIABLE = re.compile(
    r"\$(?:(?P<escaped>\$)|(?P<bare>[A-Za-z_]\w*)"
    r"|\{(?P<name>[A-Za-z_]\w*)(?:(?P<how>:?[-?])(?P<other>[^}]*))?\})"
)
_PORT = re.compile(
    r"(?:(?:(?P<host>\[[^]]+]|[\d.]+):)?(?P<published>\d+)(?:-(?P<last>\d+))?:)?"
    r"(?P<target>\d+)(?:-\d+)?(?:/(?P<protocol>tcp|udp))?"
)


class _Override:
    def __init__(self, value: Any) -> None:
        self.value = value


class _Reset:
    pass


class _Loader(yaml.SafeLoader):
    pass


def _construct_override(loader: yaml.SafeLoader, node: yaml.Node) -> _Override:
    if isinstance(node, yaml.MappingNode):
        return _Override(loader.construct_mapping(node, deep=True))
    if isinstance(node, yaml.SequenceNode):
        return _Override(loader.construct_sequence(node, deep=True))
    return _Override(node.value)


_Loader.add_constructor("!override", _construct_override)
_Loader.add_constructor("!reset", lambda loader, node: _Reset())


def load(name: str, files: Sequence[Path], environment: Mapping[str, str]) -> Json:
    """Raises InvalidInput in words like Compose's."""
    merged: Any = {}
    for file in files:
        try:
            raw = yaml.load(file.read_text(), _Loader)  # noqa: S506 - a SafeLoader
        except FileNotFoundError:
            raise _invalid(files, f"open {file}: no such file or directory") from None
        except yaml.YAMLError as error:
            raise _invalid(files, f"yaml: {error}") from None
        merged = _merge(merged, _long(_interpolated(raw, environment, files)))
    model: Json = _plain(merged)
    for service, raw in (model.get("services") or {}).items():
        _complete(service, raw, files)
    return _with_names(name, model)


def _long(document: Json) -> Json:
    """One file with its short forms written out, as two files can be merged only then."""
    for raw in (document.get("services") or {}).values():
        if isinstance(raw, _Reset):
            continue
        for key, form in _FORMS.items():
            value = raw.get(key)
            if isinstance(value, _Override):
                raw[key] = _Override(form(value.value))
            elif value is not None and not isinstance(value, _Reset):
                raw[key] = form(value)
    return document


def _complete(name: str, raw: Json, files: Sequence[Path]) -> None:
    build = raw.get("build")
    if not raw.get("image") and not build:
        raise _invalid(
            files,
            f'service "{name}" has neither an image nor a build context specified: '
            "invalid compose project",
        )
    if build and "dockerfile_inline" not in build:
        build.setdefault("dockerfile", "Dockerfile")
    raw.setdefault("networks", {"default": None})


def _build(raw: Any) -> Json:
    build = {"context": raw} if isinstance(raw, str) else raw
    if "labels" in build:
        build["labels"] = _mapping(build["labels"])
    return build


def _ports(raw: Sequence[Any]) -> list[Json]:
    return [
        port for one in raw for port in (_port(str(one)) if not isinstance(one, dict) else [one])
    ]


def _port(text: str) -> list[Json]:
    match = _PORT.fullmatch(text)
    if match is None:
        raise InvalidInput(f"The compose file is not valid: invalid containerPort: {text}")
    first = int(match["published"] or 0)
    ports = []
    for offset in range(int(match["last"] or first) - first + 1):
        port: Json = {"mode": "ingress", "target": int(match["target"]) + offset}
        if match["host"]:
            port["host_ip"] = match["host"].strip("[]")
        if first:
            port["published"] = str(first + offset)
        ports.append(port | {"protocol": match["protocol"] or "tcp"})
    return ports


def _volumes(raw: Sequence[Any]) -> list[Json]:
    return [_volume(one) if isinstance(one, str) else one for one in raw]


def _volume(text: str) -> Json:
    source, _, rest = text.partition(":")
    if not rest:
        return {"type": "volume", "target": source}
    target, _, mode = rest.partition(":")
    kind = "bind" if source.startswith((".", "/", "~")) else "volume"
    return {"type": kind, "source": source, "target": target} | (
        {"read_only": True} if mode == "ro" else {}
    )


def _depends(raw: Any) -> Json:
    if isinstance(raw, dict):
        return raw
    return {name: {"condition": "service_started", "required": True} for name in raw}


def _networks(raw: Any) -> Json:
    return raw if isinstance(raw, dict) else dict.fromkeys(raw)


def _mapping(raw: Any) -> Json:
    if isinstance(raw, dict):
        return {key: str(value) for key, value in raw.items()}
    return dict(one.partition("=")[::2] for one in raw)


_FORMS: dict[str, Callable[[Any], Any]] = {
    "build": _build,
    "ports": _ports,
    "volumes": _volumes,
    "depends_on": _depends,
    "networks": _networks,
    "labels": _mapping,
}


def _with_names(name: str, model: Json) -> Json:
    services = model.get("services") or {}
    used = {network for raw in services.values() for network in raw["networks"]}
    declared = model.get("networks") or {}
    networks = {one: {"name": f"{name}_{one}", **(declared.get(one) or {})} for one in sorted(used)}
    volumes = {
        one: {"name": f"{name}_{one}", **(raw or {})}
        for one, raw in (model.get("volumes") or {}).items()
    }
    return {"name": name, **model, "networks": networks} | ({"volumes": volumes} if volumes else {})


def _merge(old: Any, new: Any) -> Any:
    if isinstance(new, _Override | _Reset):
        return new
    if isinstance(old, dict) and isinstance(new, dict):
        return old | {key: _merge(old[key], new[key]) if key in old else new[key] for key in new}
    if isinstance(old, list) and isinstance(new, list):
        return [*old, *new]
    return new


def _plain(value: Any) -> Any:
    if isinstance(value, _Override):
        return _plain(value.value)
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items() if not isinstance(one, _Reset)}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value


def _interpolated(value: Any, environment: Mapping[str, str], files: Sequence[Path]) -> Any:
    def put(match: re.Match[str]) -> str:
        if match["escaped"]:
            return "$$"  # `config` prints it so that it can be read in again
        name, how, other = match["bare"] or match["name"], match["how"] or "", match["other"]
        given = environment.get(name)
        if given is not None and (given or not how.startswith(":")):
            return given
        if how.endswith("?"):
            raise _invalid(files, f"required variable {name} is missing a value: {other}")
        return other or ""

    if isinstance(value, str):
        return _VARIABLE.sub(put, value)
    if isinstance(value, _Override):
        return _Override(_interpolated(value.value, environment, files))
    if isinstance(value, dict):
        return {key: _interpolated(one, environment, files) for key, one in value.items()}
    if isinstance(value, list):
        return [_interpolated(one, environment, files) for one in value]
    return value


def _invalid(files: Sequence[Path], said: str) -> InvalidInput:
    return InvalidInput(
        f"{files[0].name} is not a valid compose file: {said}",
        hint="`docker compose config` says the same beside the file.",
    )
