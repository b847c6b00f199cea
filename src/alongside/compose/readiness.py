"""How an instance is known to be ready: as said, else as well as can be told from the service."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from alongside.compose.schema import DOCS, KEY, ReadySettings
from alongside.domain.errors import InvalidInput
from alongside.domain.port import Protocol, Publish
from alongside.domain.service import Ready, ReadyKind

# What can be asked, and what each takes beside the timeout and the interval.
_TAKES: Mapping[str, frozenset[str]] = {
    "health": frozenset(),
    "tcp": frozenset(),
    "http": frozenset({"port", "status", "body"}),
    "dns": frozenset({"port", "protocol"}),
    "exec": frozenset(),
    "command": frozenset(),
    "running": frozenset(),
}


def readiness(
    place: str, given: ReadySettings | None, raw: Mapping[str, Any], ports: Iterable[Publish]
) -> Ready:
    """By default the Compose health check, else a TCP connection to the first TCP port, else
    that it runs. Raises InvalidInput."""
    settings = given or ReadySettings()
    tcp = next((one.target for one in ports if one.port.protocol is Protocol.TCP), 0)
    kind = _asked(place, settings) or _default(raw, tcp)
    port = settings.port or 0
    if kind is ReadyKind.TCP:
        port = settings.tcp or tcp
    elif kind is ReadyKind.DNS:
        port = port or 53
    elif kind is ReadyKind.HTTP:
        port = port or tcp
        if not port:
            raise InvalidInput(
                f"{KEY}.ready of {place} is http, and the service has no TCP port to ask.",
                hint=f"Name the container's port: ready: {{http: {settings.http}, port: 8080}}.",
            )
    return Ready(
        kind,
        port=port,
        path=settings.http or "/",
        status=settings.status,
        body=settings.body or "",
        name=settings.dns or "",
        protocol=settings.protocol,
        command=settings.exec or settings.command or (),
        timeout=settings.timeout,
        interval=settings.interval,
    )


def _asked(place: str, settings: ReadySettings) -> ReadyKind | None:
    asked = [name for name in _TAKES if getattr(settings, name) is not None]
    if len(asked) > 1:
        raise InvalidInput(
            f"{KEY}.ready of {place} asks for {' and '.join(asked)}; it takes one of them.",
            hint=DOCS,
        )
    takes = _TAKES[asked[0]] if asked else frozenset()
    for name in ("port", "status", "body", "protocol"):
        if name in settings.model_fields_set and name not in takes:
            goes = " and ".join(kind for kind, keys in _TAKES.items() if name in keys)
            raise InvalidInput(
                f"{KEY}.ready.{name} of {place} goes with {goes}, and neither is asked."
                if " " in goes
                else f"{KEY}.ready.{name} of {place} goes with {goes}, which is not asked.",
                hint=DOCS,
            )
    return ReadyKind(asked[0]) if asked else None


def _default(raw: Mapping[str, Any], tcp: int) -> ReadyKind:
    healthcheck = raw.get("healthcheck") or {}
    if healthcheck and not healthcheck.get("disable") and healthcheck.get("test") != ["NONE"]:
        return ReadyKind.HEALTH
    return ReadyKind.TCP if tcp else ReadyKind.RUNNING
