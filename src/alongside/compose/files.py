"""Finding the compose file of a tree, and what must be read before Compose can read it."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import yaml

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
    real reading, which says what is wrong with it."""
    try:
        raw = yaml.safe_load(compose_file.read_text())
    except (yaml.YAMLError, OSError, UnicodeDecodeError):
        return ()
    services = raw.get("services") if isinstance(raw, dict) else None
    found: dict[str, None] = {}
    for service in services.values() if isinstance(services, dict) else ():
        settings = service.get("x-alongside") if isinstance(service, dict) else None
        names = settings.get("linked") if isinstance(settings, dict) else None
        for name in names if isinstance(names, list) else ():
            path = PurePosixPath(str(name))
            if path.is_absolute() or ".." in path.parts:
                raise InvalidInput(
                    f"x-alongside.linked names {name!r}, which is outside the repository.",
                    hint="Name files relative to the compose file's folder.",
                )
            found[str(path)] = None
    return tuple(found)
