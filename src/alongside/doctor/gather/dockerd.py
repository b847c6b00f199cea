"""What the running engine was told: its API does not say all of it."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from alongside.doctor.facts import EngineOptions, Unseen
from alongside.doctor.gather.processes import named

_FILE = "/etc/docker/daemon.json"
_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid


def engine_options(host: str) -> EngineOptions | Unseen:
    """Of the engine that DOCKER_HOST names."""
    pid = _pid(host)
    if pid is None:
        return Unseen("no dockerd is seen in this network")
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")[1:-1]
        file = parse_command(words).get("config-file", _FILE)
        text = _read(Path(f"/proc/{pid}/root{file}"))
        configured = json.loads(text) if text else {}
    except (OSError, ValueError) as error:
        return Unseen(f"dockerd's options cannot be read: {error}")
    return options(words, configured if isinstance(configured, dict) else {})


def options(words: Sequence[str], configured: Mapping[str, Any]) -> EngineOptions:
    """dockerd refuses to start where both say the same key, so either may be asked first."""
    said = {**configured, **parse_command(words)}

    def flag(name: str) -> bool | None:
        value = said.get(name)
        return None if value is None else str(value).lower() in ("true", "1", "t")

    return EngineOptions(
        userland_proxy=flag("userland-proxy") is not False,
        iptables=flag("iptables") is not False,
        ip6tables=flag("ip6tables"),
        ip_forward=flag("ip-forward") is not False,
        file=str(said.get("config-file", _FILE)),
    )


def parse_command(words: Sequence[str]) -> dict[str, str]:
    """`--userland-proxy=false`, `--config-file PATH`; a flag alone is true."""
    found = {}
    for word, after in zip(words, [*words, ""][1:], strict=True):
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            alone = after.startswith("-") or not after
            found[name] = value if equals else "true" if alone else after
    return found


def _pid(host: str) -> int | None:
    """Whoever made the socket; under systemd that is systemd, and then the only one here."""
    if host.startswith("unix://"):
        with socket.socket(socket.AF_UNIX) as channel:
            channel.settimeout(2)
            try:
                channel.connect(host.removeprefix("unix://"))
            except OSError:
                return None
            raw = channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
            pid = int(_CREDENTIALS.unpack(raw)[0])
        if _read(Path(f"/proc/{pid}/comm")).strip() == "dockerd":
            return pid
    here = named("dockerd")
    return here[0] if len(here) == 1 else None


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""
