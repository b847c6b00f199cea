"""`x-alongside`, key by key. Unknown keys are errors that name the nearest known one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from alongside.domain.errors import InvalidInput
from alongside.domain.nearest import nearest

KEY = "x-alongside"


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ReadySettings(_Settings):
    """`ready:`. One of `tcp`, `http`, `dns`; or the words `health` and `running`."""

    tcp: int | None = Field(default=None, ge=1, le=65535)
    http: str | None = Field(default=None, pattern=r"^/")
    dns: str | None = Field(default=None, min_length=1)
    port: int | None = Field(default=None, ge=1, le=65535)
    status: int = Field(default=200, ge=100, le=599)
    protocol: Literal["udp", "tcp"] = "udp"
    timeout: float = Field(default=60.0, gt=0, le=3600)
    interval: float = Field(default=0.2, ge=0.05, le=60)
    health: bool | None = None
    running: bool | None = None


class ServiceSettings(_Settings):
    """`x-alongside` on a service that has `build:`."""

    workload: Literal["singleton", "switched", "replicated"] = "switched"
    tags: list[str] = Field(default=["*"], min_length=1)
    ready: ReadySettings | None = None
    linked: list[str] = []
    shared: bool | None = None

    @field_validator("tags", mode="before")
    @classmethod
    def _one_tag(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value

    @field_validator("ready", mode="before")
    @classmethod
    def _word(cls, value: object) -> object:
        return {value: True} if value in ("health", "running") else value


class DependencySettings(_Settings):
    """`x-alongside` on a service without `build:`, and on a named volume."""

    shared: bool | None = None


Settings = TypeVar("Settings", bound=_Settings)


def read(kind: type[Settings], place: str, raw: object) -> Settings:
    """The settings at a place (`service dns`). Raises InvalidInput for the first mistake."""
    if raw is None:
        raw = {}
    if not isinstance(raw, Mapping):
        raise InvalidInput(
            f"{KEY} of {place} is {raw!r}, and should be keys with values.",
            hint="docs/x-alongside.md has every key with an example.",
        )
    try:
        return kind.model_validate(dict(raw))
    except ValidationError as error:
        raise _mistake(kind, place, error.errors()[0]) from None


def _mistake(kind: type[_Settings], place: str, error: Mapping[str, Any]) -> InvalidInput:
    keys = [str(part) for part in error["loc"]]
    where = ".".join([KEY, *keys])
    if error["type"] == "extra_forbidden":
        model = ReadySettings if keys[:1] == ["ready"] else kind
        return InvalidInput(
            f"{where} of {place} is not a key that alongside knows.",
            hint=nearest(keys[-1], list(model.model_fields), what="known keys are"),
        )
    return InvalidInput(
        f"{where} of {place} is {error['input']!r}: {error['msg'].lower()}.",
        hint="docs/x-alongside.md has every key with an example.",
    )
