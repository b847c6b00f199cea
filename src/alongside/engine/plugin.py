"""Where Compose's program lies.

`docker compose` looks for it, starts it to ask what it is, and starts it again: a tenth of a
second for each command (docker 28.2). It is a program by itself as well.
docs/decisions/0021-compose-without-the-docker-command.md.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

# Where `docker` looks, after its own folder (cli-plugins/manager/manager_unix.go of docker/cli).
SYSTEM = tuple(
    Path("/usr", where, "docker/cli-plugins")
    for where in ("local/lib", "local/libexec", "lib", "libexec")
)


def compose_plugin(docker_config: str = "", system: tuple[Path, ...] = SYSTEM) -> str | None:
    """The plugin that `docker compose` would run; None where only `docker` itself can say.

    `docker_config` is its folder, "" the user's own.
    """
    home = Path(docker_config) if docker_config else Path(os.environ.get("HOME", "/"), ".docker")
    if _has_other_folders(home / "config.json"):
        return None
    for folder in (home / "cli-plugins", *system):
        program = folder / "docker-compose"
        if program.is_file() and os.access(program, os.X_OK):
            return str(program)
    return None


def _has_other_folders(config: Path) -> bool:
    try:
        return "cliPluginsExtraDirs" in json.loads(config.read_text())
    except FileNotFoundError:
        return False
    except (OSError, ValueError, TypeError):
        return True
