"""Finding the compose file of a tree, and what must be read before Compose can read it."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import yaml

from alongside.compose.schema import KEY, ServiceSettings, read
from alongside.domain.errors import InvalidInput, NotFound

# In Compose's own order of preference.
NAMES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")


def find_compose_file(tree: Path, named: str = "") -> Path:
    """The compose file at the top of a tree, or the one that is named, relative to it.

    Raises NotFound, InvalidInput.
    """
    if named:
        relative = PurePosixPath(named)
        if relative.is_absolute() or ".." in relative.parts:
            raise InvalidInput(f"{named!r} is not a path within the repository.")
        if not (tree / relative).is_file():
            raise NotFound(f"The tree has no file {named}.", hint="Is it committed?")
        return tree / relative
    for name in NAMES:
        if (tree / name).is_file():
            return tree / name
    raise NotFound(
        "The tree has no compose file at its top.",
        hint=f"Commit one of {', '.join(NAMES)}, or name yours with --file.",
    )


def linked_files(compose_file: Path) -> tuple[str, ...]:
    """`x-alongside.linked` of every service, read from the raw file: Compose itself refuses to
    read a file whose `env_file` is not there yet. What is not understood here is left to the
    real reading, which says what is wrong with it. Raises InvalidInput for a file that would lie
    outside the tree."""
    try:
        raw = yaml.safe_load(compose_file.read_text())
    except (yaml.YAMLError, OSError, UnicodeDecodeError):
        return ()
    services = raw.get("services") if isinstance(raw, dict) else None
    found: dict[str, None] = {}
    for name, service in services.items() if isinstance(services, dict) else ():
        settings = service.get(KEY) if isinstance(service, dict) else None
        linked = settings.get("linked") if isinstance(settings, dict) else None
        if linked:
            said = read(ServiceSettings, f"service {name}", {"linked": linked}).linked
            found |= dict.fromkeys(str(PurePosixPath(one)) for one in said)
    return tuple(found)
