"""`x-alongside`, key by key. Unknown keys are errors that name the nearest known one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from alongside.domain.duration import parse_duration
from alongside.domain.errors import InvalidInput
from alongside.domain.nearest import nearest

KEY = "x-alongside"
DOCS = "docs/x-alongside.md has every key with an example."


def _seconds(value: object) -> object:
    """`90`, or Compose's own `1m30s`; days too, as in `30d`."""
    if isinstance(value, str) and value[:1].isdigit():
        with suppress(InvalidInput):
            return parse_duration(value)
    return _number(value)


def _number(value: object) -> object:
    if isinstance(value, bool):  # which pydantic would take for 1
        raise ValueError("should be a number")
    return value


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _texts(value: object) -> object:
    """YAML makes numbers of `8053:` and of `1`."""
    if not isinstance(value, Mapping):
        return value
    # Not of 1.10, which has become 1.1: what is no whole number is to be in quotation marks.
    return {str(key): str(one) if type(one) is int else one for key, one in value.items()}


def _words(value: object) -> object:
    return {value: True} if value in ("health", "running") else value


def _drained(value: object) -> object:
    if isinstance(value, str) and not value[:1].isdigit() and value not in ("none", "forever"):
        raise ValueError("should be a duration (30s), none or forever")
    return None if value == "forever" else 0.0 if value == "none" else value


def _watched(value: object) -> object:
    if value == "none":
        return {"for": 0}
    return value if isinstance(value, Mapping | WatchSettings) else {"for": value}


def _plain(value: object) -> object:
    """Compose's own model writes `$` as `$$`, as the file does, so that it can be read in again."""
    return value.replace("$$", "$") if isinstance(value, str) else value


def _command(value: object) -> object:
    """A text is for the shell, as in Compose."""
    if isinstance(value, str):
        return ("sh", "-c", value) if value.strip() else ()
    return value


Text = Annotated[str, BeforeValidator(_plain)]
Command = Annotated[tuple[Text, ...], BeforeValidator(_command), Field(min_length=1)]
Number = Annotated[int, BeforeValidator(_number)]
PortNumber = Annotated[Number, Field(ge=1, le=65535)]
Seconds = Annotated[float, BeforeValidator(_seconds)]
DrainSeconds = Annotated[Seconds, Field(ge=0, le=7 * 86400)]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ReadySettings(_Settings):
    """`ready:`. One of the first seven, and what goes with it."""

    health: Literal[True] | None = None
    tcp: PortNumber | None = None
    http: Text | None = None
    dns: str | None = Field(default=None, min_length=1, max_length=253)
    exec: Command | None = None
    command: Command | None = None
    running: Literal[True] | None = None
    port: PortNumber | None = None
    status: Annotated[Number, Field(ge=100, le=599)] = 200
    body: Annotated[Text, Field(min_length=1)] | None = None
    protocol: Literal["udp", "tcp"] = "udp"
    timeout: Annotated[Seconds, Field(gt=0, le=3600)] = 60.0
    interval: Annotated[Seconds, Field(ge=0.05, le=60)] = 0.2

    @field_validator("http")
    @classmethod
    def _is_path(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"/[!-~]*", value):
            raise ValueError("should be a path that starts with a slash, like /health")
        return value


class WatchSettings(_Settings):
    """`watch:`. A duration alone is `for`."""

    length: Annotated[Seconds, Field(ge=0, le=86400, alias="for")] = 30.0
    every: Annotated[Seconds, Field(ge=0.05, le=3600)] = 1.0
    failures: Annotated[Number, Field(ge=1, le=100)] = 3
    within: Annotated[Seconds, Field(gt=0, le=60)] = 2.0


class StandbySettings(_Settings):
    """`standby:`."""

    keep: Annotated[Number, Field(ge=0, le=100)] = 1
    kept_as: Annotated[Literal["running", "paused", "stopped"], Field(alias="as")] = "running"


class ServiceSettings(_Settings):
    """`x-alongside` on a service that has `build:`."""

    workload: Literal["singleton", "switched", "replicated"] = "switched"
    tags: Annotated[list[str], BeforeValidator(_listed), Field(min_length=1)] = ["*"]
    ready: Annotated[ReadySettings | None, BeforeValidator(_words)] = None
    linked: Annotated[list[str], BeforeValidator(_listed)] = []
    shared: bool | None = None
    also: Annotated[dict[str, str], BeforeValidator(_texts)] = {}
    before: Command | None = None
    watch: Annotated[WatchSettings, BeforeValidator(_watched)] = WatchSettings()
    drain: Annotated[DrainSeconds | None, BeforeValidator(_drained)] = None  # forever
    standby: StandbySettings = StandbySettings()
    keep: Annotated[Number, Field(ge=1, le=10_000)] | None = None
    keep_for: Annotated[Seconds, Field(gt=0)] | None = None
    follow: Annotated[str | None, Field(min_length=1, max_length=200)] = None
    save: bool = False

    @field_validator("linked")
    @classmethod
    def _within(cls, value: list[str]) -> list[str]:
        for name in value:
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts or path == PurePosixPath():
                raise ValueError("should be files below the compose file's folder, like .env")
        return value


class SharingSettings(_Settings):
    """`x-alongside` on a service without `build:`, and on a named volume."""

    shared: bool | None = None


Settings = TypeVar("Settings", bound=_Settings)


def read(kind: type[Settings], place: str, raw: object) -> Settings:
    """The settings at a place (`service dns`). Raises InvalidInput for the first mistake."""
    if raw is None:
        raw = {}
    if not isinstance(raw, Mapping):
        raise InvalidInput(
            f"{KEY} of {place} is {raw!r}; it should be keys with values.", hint=DOCS
        )
    try:
        return kind.model_validate(dict(raw))
    except ValidationError as error:
        raise _mistake(kind, place, error.errors()[0]) from None


def _mistake(kind: type[_Settings], place: str, error: Mapping[str, Any]) -> InvalidInput:
    keys = [str(part) for part in error["loc"]]
    where = ".".join([KEY, *keys])
    if error["type"] == "extra_forbidden":
        if kind is SharingSettings and keys[-1] in ServiceSettings.model_fields:
            return InvalidInput(
                f"{where} of {place} is for services that have `build:`, and {place} has none.",
                hint=f"{KEY} of {place} can say `shared`, and nothing else.",
            )
        known = [
            field.alias or name for name, field in _NESTED.get(keys[0], kind).model_fields.items()
        ]
        return InvalidInput(
            f"{where} of {place} is not a key that alongside knows.",
            hint=nearest(keys[-1], known, what="known keys are"),
        )
    said = error["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if error["type"] == "model_type" and keys == ["ready"]:
        said = "should be `health`, `running`, or a key of what to ask with a value: {tcp: 80}"
    return InvalidInput(f"{where} of {place} is {error['input']!r}; it {said}.", hint=DOCS)


_NESTED: Mapping[str, type[_Settings]] = {
    "ready": ReadySettings,
    "watch": WatchSettings,
    "standby": StandbySettings,
}
