"""What a host must have to have alongside installed. All that is missing is said at once."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

from alongside.domain.errors import AlongsideError, MissingRequirement
from alongside.host.requirements import Missing, check

_BOOTED = Path("/run/systemd/system")  # sd_booted(3)


def check_host(docker_host: str) -> None:
    """Raises MissingRequirement."""
    from alongside.engine.compose import DockerCompose  # noqa: PLC0415 - YAML, for this alone

    missing = list(service_missing())
    missing += [
        one
        for one in asyncio.run(check(DockerCompose(docker_host)))
        if os.geteuid() == 0 or "CAP_NET_ADMIN" not in one.what
    ]
    engine = asyncio.run(_engine(docker_host))
    refuse([*missing, *engine], "This host lacks what alongside needs")


def service_missing() -> list[Missing]:
    """Of what any change of the service needs."""
    missing = []
    if os.geteuid() != 0:
        missing.append(Missing("root", "Say it again with sudo."))
    if not _BOOTED.is_dir() or shutil.which("systemctl") is None:
        missing.append(
            Missing(
                "systemd as its init",
                "Elsewhere `alongside daemon` runs under whatever keeps programs running.",
            )
        )
    if shutil.which("groupadd") is None:
        missing.append(Missing("the command groupadd", "Install the package passwd."))
    return missing


def refuse(missing: list[Missing], what: str) -> None:
    """Raises MissingRequirement where anything is."""
    if missing:
        raise MissingRequirement(
            f"{what}: {'; '.join(one.what for one in missing)}.",
            hint=" ".join(dict.fromkeys(one.remedy for one in missing)),
        )


async def _engine(docker_host: str) -> list[Missing]:
    from alongside.engine.docker import DockerEngine  # noqa: PLC0415

    engine = DockerEngine(docker_host)
    try:
        await engine.info()
    except AlongsideError as error:
        return [Missing(f"a container engine that answers at {docker_host}", error.hint)]
    finally:
        await engine.close()
    return []
