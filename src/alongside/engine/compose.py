"""`docker compose`, version 2, as a process."""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import shlex
import signal
from collections import deque
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import yaml

from alongside.domain.errors import InvalidInput, MissingRequirement, StepFailed, Unavailable
from alongside.domain.words import LONGEST_LINE, clipped, one_line
from alongside.engine.buildlog import BuildLog
from alongside.engine.logs import undivided
from alongside.engine.plugin import compose_plugin
from alongside.engine.protocol import Project

# All that Compose gets of the daemon's own environment. The rest could reach a release by
# interpolation, and COMPOSE_* or BUILDX_* change what a command means.
_KEPT = (
    *("PATH", "HOME", "LANG", "TMPDIR", "XDG_RUNTIME_DIR", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
)
_PATIENCE = 10.0  # seconds that a command has to end by itself
_ABOUT_TO = 0.5  # seconds in which the engine makes what it was asked for
_NO_WARNINGS = ("--log-level", "error")  # of docker itself: Compose has no such option
_TAIL = 30  # lines of a failed command that are worth reading
_CHUNK = 64 * 1024  # bytes

# ` Container dns-1.0.0  Starting`; `time="…" level=warning msg="The \"tag\" variable is not set…"`
_NOISE = re.compile(r"\s+(Container|Network|Volume|Image) .*|time=\S+ level=(warning|info) .*")
_IS_IT_UP = "Is the engine running? `systemctl status docker` says."
# Newer clients say the second. Compose 2.40 says first what it was about to do: `unable to get
# image 'x': Cannot connect to …`.
_DOWN = (
    r"(Cannot connect to the Docker daemon|failed to connect to the docker API"
    r"|error during connect)\b.*"
)
_COMPOSE_IS_DOWN = re.compile(rf"(.*: )?{_DOWN}")
_RUN_IS_DOWN = re.compile(rf"(unable to get image '[^']*': )?{_DOWN}")  # else the program says so

# Release 29 with nftables, when it makes a network (checkIPv4Forwarding, checkIPv6Forwarding).
_NOT_FORWARDED = re.compile(r"IPv[46] (global )?forwarding is disabled")
_TURN_IT_ON = (
    "The engine's nftables backend leaves forwarding to you: `alongside doctor` says which "
    "settings to turn on and how, now and for every start."
)

_BY_DOCKER = ("docker", "compose")

# libyaml's loader takes a tenth of the time; the pure one is there where it is not.
_Loader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class DockerCompose:
    """`engine.protocol.Compose` through the CLI plugin.

    `docker_host` is as in DOCKER_HOST. `docker_config` is the CLI's folder, whose `cli-plugins/`
    it looks into before the system's; by default the one that DOCKER_CONFIG names. `command` runs
    in the place of what `docker compose` would run.
    """

    def __init__(
        self,
        docker_host: str,
        *,
        docker_config: Path | None = None,
        command: Sequence[str] = (),
    ) -> None:
        self._given = tuple(command)
        self._docker_host = docker_host
        self._docker_config = str(docker_config or os.environ.get("DOCKER_CONFIG", ""))

    async def version(self) -> str:
        status, out, _ = await self._finish(["version", "--short"], {})
        if status != 0:
            raise MissingRequirement(
                "`docker compose`, version 2, is not there.",
                hint="Install the package docker-compose-v2 (Ubuntu), docker-compose (Debian 13 "
                "or later) or docker-compose-plugin (Docker's own).",
            )
        return out.strip().removeprefix("v")

    async def config(self, project: Project) -> Mapping[str, Any]:
        arguments = [*_arguments(project), "config", "--format", "yaml"]
        status, out, err = await self._finish(arguments, project.environment)
        if status != 0:
            said = _words(err)
            hint = "`docker compose config` says the same beside the file."
            if "Non-string key" in said[-1]:
                hint = "Compose takes no number for a key: put it in quotation marks."
            raise InvalidInput(
                f"{project.files[0].name} is not a valid compose file: {_named(said[-1], project)}",
                hint=hint,
                log=said[-_TAIL:] if len(said) > 1 else (),
            )
        model: Mapping[str, Any] = yaml.load(out, _Loader)  # noqa: S506 - it is a safe one
        return model

    async def build(self, project: Project, services: Sequence[str]) -> AsyncGenerator[str, None]:
        arguments = ["--progress", "plain", *_arguments(project), "build", *services]
        log = BuildLog()
        async with self._process(arguments, project.environment, merged=True) as process:
            lines = undivided(_chunks(process))
            async with aclosing(lines):
                async for line in lines:
                    log.feed(line)
                    yield line
            status = await process.wait()
        if status != 0:
            raise log.failure(services)

    async def up(self, project: Project, services: Sequence[str]) -> None:
        # Never recreated: an instance is its release's, and a shared database that a new tag
        # describes otherwise is not restarted under the versions that use it. What is shared may
        # come from a registry; a released image is named by its ID and never does.
        await self._run(
            [
                *_arguments(project),
                *("up", "--detach", "--no-build", "--no-recreate", "--quiet-pull"),
                *services,
            ],
            project,
            f"start {' and '.join(services)}",
        )

    async def recreate(self, project: Project, services: Sequence[str]) -> None:
        # A container keeps its networks by their IDs: one whose network was removed cannot start
        # again. Compose hands the old one's volumes to the new one, anonymous ones too.
        await self._run(
            [
                *_arguments(project),
                *("up", "--detach", "--no-build", "--force-recreate", "--no-deps", "--quiet-pull"),
                *services,
            ],
            project,
            f"make {' and '.join(services)} anew",
        )

    async def create(self, project: Project, services: Sequence[str]) -> None:
        await self._run(
            [*_arguments(project), "create", "--no-build", "--no-recreate", *services],
            project,
            f"make {' and '.join(services)}",
        )

    async def run(
        self, project: Project, service: str, command: Sequence[str]
    ) -> AsyncGenerator[str, None]:
        # A name of ours, so that it can be found again when Compose has gone.
        name = f"{project.name}-{service}-{secrets.token_hex(4)}"
        # Or Compose's own progress and warnings would come between the program's lines.
        words = self._given or _BY_DOCKER
        docker, compose = words[:-1], words[-1:]
        command_line = (*docker, *(_NO_WARNINGS if docker else ()), *compose)
        arguments = [
            *("--progress", "quiet"),
            *_arguments(project),
            *("run", "--rm", "--no-TTY", "--interactive=false", "--quiet-pull", "--name", name),
            *(service, *command),
        ]
        last: deque[str] = deque(maxlen=_TAIL)
        status, begun = -1, False
        try:
            async with self._process(
                arguments, project.environment, merged=True, command=command_line
            ) as process:
                try:
                    lines = undivided(_chunks(process))
                    async with aclosing(lines):
                        async for line in lines:
                            if line or begun:  # Compose 2.40 begins with an empty one of its own
                                last.append(line)
                                yield line
                            begun = True
                    status = await process.wait()
                finally:
                    if status == -1:
                        await self._engine("stop", "--time", f"{_PATIENCE:.0f}", name)
        finally:
            if status != 0:
                await self._remove(name)
        if status != 0:
            raise _ended(service, command, status, list(last))

    async def _remove(self, name: str) -> None:
        """Twice, as the engine may be about to make what a Compose that was ended asked for."""
        if not await self._engine("rm", "--force", "--volumes", name):
            await asyncio.sleep(_ABOUT_TO)
            await self._engine("rm", "--force", "--volumes", name)

    async def _engine(self, *arguments: str) -> bool:
        """Docker's own command line, for what Compose cannot do to one container."""
        docker = (self._given or _BY_DOCKER)[:-1] or self._given
        status, _, err = await self._finish(arguments, {}, command=docker)
        return status == 0 and "No such container" not in err  # `rm --force` ends with 0 for it

    async def down(self, project: Project, *, volumes: bool = False) -> None:
        extra = ["--volumes"] if volumes else []
        await self._run(
            [*_arguments(project), "down", "--remove-orphans", *extra],
            project,
            f"remove {project.name}",
        )

    async def _run(self, arguments: Sequence[str], project: Project, what: str) -> None:
        status, out, err = await self._finish(arguments, project.environment)
        if status != 0:
            said = _words(out + err)
            last = one_line(said[-1])
            if _COMPOSE_IS_DOWN.fullmatch(said[-1]):
                raise Unavailable(
                    f"Compose could not {what}: {last}",
                    hint=_IS_IT_UP,
                )
            raise StepFailed(
                f"Compose could not {what}: {last}",
                hint=_TURN_IT_ON if _NOT_FORWARDED.search(said[-1]) else "",
                log=[clipped(line, LONGEST_LINE) for line in said[-_TAIL:]],
            )

    async def _finish(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        *,
        command: Sequence[str] = (),
    ) -> tuple[int, str, str]:
        """Exit status, standard output and standard error of a command that ended by itself."""
        async with self._process(arguments, environment, command=command) as process:
            out, err = await process.communicate()
            status = await process.wait()
        return status, out.decode(errors="replace"), err.decode(errors="replace")

    @asynccontextmanager
    async def _process(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        *,
        merged: bool = False,
        command: Sequence[str] = (),
    ) -> AsyncGenerator[asyncio.subprocess.Process, None]:
        """A command in a session of its own, so that its end is also that of the plugins that it
        runs; ended on the way out if it has not ended."""
        # Each time: packages are upgraded while the daemon runs.
        if not command:
            plugin = None if self._given else compose_plugin(self._docker_config)
            command = self._given or ((plugin,) if plugin else _BY_DOCKER)
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        if self._docker_config:
            kept["DOCKER_CONFIG"] = self._docker_config
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                *arguments,
                env={**kept, **environment, "DOCKER_HOST": self._docker_host},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT if merged else asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise MissingRequirement(
                f"The command {command[0]} is not there.",
                hint="Install the package docker.io (Debian 12, Ubuntu), docker-cli (Debian 13) "
                "or docker-ce-cli (Docker's own).",
            ) from error
        try:
            yield process
        finally:
            await _end(process)


def _ended(
    service: str, command: Sequence[str], status: int, last: list[str]
) -> StepFailed | Unavailable:
    what = shlex.join(command) or "its own command"
    said = next((one_line(line) for line in reversed(last) if line.strip()), "it wrote nothing")
    last = [clipped(line, LONGEST_LINE) for line in last]
    if _RUN_IS_DOWN.fullmatch(said):
        return Unavailable(
            f"Compose could not run {what} in a container of {service}: {said}", hint=_IS_IT_UP
        )
    return StepFailed(
        f"{what}, in a container of {service}, ended with exit code {status}: {said}", log=last
    )


def _arguments(project: Project) -> list[str]:
    return [
        "--project-name",
        project.name,
        "--project-directory",
        str(project.directory),
        *(part for file in project.files for part in ("--file", str(file))),
    ]


async def _chunks(process: asyncio.subprocess.Process) -> AsyncGenerator[bytes, None]:
    assert process.stdout is not None  # noqa: S101 - it was asked for
    while chunk := await process.stdout.read(_CHUNK):
        yield chunk


async def _end(process: asyncio.subprocess.Process) -> None:
    """End the process and what it started; nothing where it has ended by itself."""
    if process.returncode is not None:
        return
    _signal(process.pid, signal.SIGTERM)
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                # Read to the end: one that waits to write does not see to its signals.
                await process.communicate()
    finally:
        # Whoever of the session is left: a plugin outlives a CLI that was killed.
        _signal(process.pid, signal.SIGKILL)
    await process.wait()


def _signal(session: int, which: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(session, which)


def _named(said: str, project: Project) -> str:
    """Paths as the person knows them: below the compose file's folder, not in ours."""
    return said.replace(f"{project.directory}/", "")


def _words(text: str) -> list[str]:
    """What a person wants of Compose's output: no progress, no warnings, no empty lines."""
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    return [line for line in lines if not _NOISE.fullmatch(line)] or lines or ["it said nothing"]
