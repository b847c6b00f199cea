"""How the daemon is started, and where what is installed lies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from alongside.client import DEFAULT_SOCKET

UNIT = "alongside.service"
UNIT_FILE = Path("/etc/systemd/system") / UNIT
DROP_INS = UNIT_FILE.with_name(f"{UNIT}.d")  # what `systemctl edit` writes
GROUP = "alongside"

STATE_DIR = Path("/var/lib/alongside")
# What is in there: daemon.paths.StatePaths, SQLite's files beside the database, and what is below.
STATE_FILES = ("state.db", "state.db-wal", "state.db-shm", "daemon.lock", "installed.json")
STATE_FOLDERS = (
    *("trees", "manifests", "incoming", "instances", "shared", "services", "archives"),
    *("backups", "docker"),
)
POOL = "10.213.0.0/16"
LOCAL_PORTS = "20000-29999"

# Where each shell looks for completions that did not come with the distribution.
COMPLETIONS = {
    "bash": Path("/usr/local/share/bash-completion/completions/alongside"),
    "zsh": Path("/usr/local/share/zsh/site-functions/_alongside"),
    "fish": Path("/usr/local/share/fish/vendor_completions.d/alongside.fish"),
}

ENGINE = "unix:///var/run/docker.sock"


@dataclass(frozen=True, slots=True)
class Settings:
    """`command` is what stands before `daemon`: an absolute path, and its arguments. In
    `environment` DOCKER_HOST, where the engine is not the usual one."""

    command: tuple[str, ...]
    state_dir: Path = STATE_DIR
    socket: Path = Path(DEFAULT_SOCKET)
    pool: str = POOL
    local_ports: str = LOCAL_PORTS
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def docker_config(self) -> Path:
        """Docker's client writes beside its configuration: here, and not in root's home."""
        return self.state_dir / "docker"

    @property
    def engine(self) -> Mapping[str, str]:
        """What names the daemon's engine to Docker's client, whatever else the caller has."""
        return {"DOCKER_HOST": ENGINE, "DOCKER_CONTEXT": "", **self.environment}

    @property
    def record(self) -> Path:
        """What was made by installing, and so is ours to take away."""
        return self.state_dir / "installed.json"
