"""`docker compose`, version 2, as a process."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import yaml

from alongside.domain.errors import BuildFailed, InvalidInput, MissingRequirement, StepFailed
from alongside.engine.protocol import Project

_KEPT = ("PATH", "HOME", "LANG", "SSL_CERT_FILE", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
_TAIL = 30  # lines of a failed command that are worth reading
_VERTEX = re.compile(r"^#(\d+) (.*)$")


class DockerCompose:
    """`engine.protocol.Compose` through the CLI plugin."""

    def __init__(self, docker_host: str, command: Sequence[str] = ("docker", "compose")) -> None:
        self._command = tuple(command)
        self._docker_host = docker_host

    async def version(self) -> str:
        process = await self._spawn(["version", "--short"], {})
        out, err = await process.communicate()
        if process.returncode != 0:
            raise MissingRequirement(
                "`docker compose` (version 2) is not there: "
                + (err.decode().strip().splitlines() or ["it does not run"])[0],
                hint="Install the package docker-compose-v2 (Ubuntu) or docker-compose of "
                "Debian 13 or later.",
            )
        return out.decode().strip().removeprefix("v")

    async def config(self, project: Project) -> Mapping[str, Any]:
        arguments = [*_arguments(project), "config", "--format", "yaml", "--no-path-resolution"]
        process = await self._spawn(arguments, project.environment)
        out, err = await process.communicate()
        if process.returncode != 0:
            said = _words(err.decode())
            raise InvalidInput(
                f"{project.files[0].name} is not a valid compose file: {said[-1]}",
                hint="`docker compose config` says the same beside the file.",
            )
        model: Mapping[str, Any] = yaml.load(out, getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
        return model

    async def build(self, project: Project, services: Sequence[str]) -> AsyncIterator[str]:
        arguments = ["--progress", "plain", *_arguments(project), "build", *services]
        process = await self._spawn(arguments, project.environment, merged=True)
        lines: list[str] = []
        try:
            assert process.stdout is not None  # noqa: S101 - it was asked for
            async for raw in process.stdout:
                line = raw.decode(errors="replace").rstrip()
                lines.append(line)
                del lines[:-2000]
                yield line
            code = await process.wait()
        finally:
            await _end(process)
        if code != 0:
            raise build_failure(services, lines)

    async def up(self, project: Project, services: Sequence[str]) -> None:
        # Never recreated: an instance is its release's, and a shared database that a new tag
        # describes otherwise is not restarted under the versions that use it.
        await self._run(
            [*_arguments(project), "up", "--detach", "--no-build", "--no-recreate", *services],
            project,
            f"start {', '.join(services)}",
        )

    async def down(self, project: Project, *, volumes: bool = False) -> None:
        extra = ["--volumes"] if volumes else []
        await self._run(
            [*_arguments(project), "down", "--remove-orphans", *extra],
            project,
            f"remove {project.name}",
        )

    async def _run(self, arguments: Sequence[str], project: Project, what: str) -> None:
        process = await self._spawn(arguments, project.environment, merged=True)
        try:
            out, _ = await process.communicate()
        finally:
            await _end(process)
        if process.returncode != 0:
            said = _words(out.decode(errors="replace"))
            raise StepFailed(f"Compose could not {what}: {said[-1]}", log=said[-_TAIL:])

    async def _spawn(
        self, arguments: Sequence[str], environment: Mapping[str, str], *, merged: bool = False
    ) -> asyncio.subprocess.Process:
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        if "DOCKER_CONFIG" in os.environ:
            kept["DOCKER_CONFIG"] = os.environ["DOCKER_CONFIG"]
        try:
            return await asyncio.create_subprocess_exec(
                *self._command,
                *arguments,
                env={**kept, **environment, "DOCKER_HOST": self._docker_host},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT if merged else asyncio.subprocess.PIPE,
                limit=1 << 20,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise MissingRequirement(
                f"The command {self._command[0]} is not there.",
                hint="Install the package docker.io, or docker-ce-cli.",
            ) from error


def _arguments(project: Project) -> list[str]:
    files = [part for file in project.files for part in ("--file", str(file))]
    return [
        "--project-name",
        project.name,
        "--project-directory",
        str(project.directory),
        *files,
    ]


async def _end(process: asyncio.subprocess.Process) -> None:
    """End the process and what it started; nothing where it has ended."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        await process.wait()


def _words(text: str) -> list[str]:
    """What a person wants of Compose's output: no progress, no empty lines."""
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    return lines or ["it ended without a word"]


def build_failure(services: Sequence[str], lines: Sequence[str]) -> BuildFailed:
    """The failing step's own output, out of BuildKit's plain progress."""
    failed = next(
        (
            match[1]
            for line in reversed(lines)
            if (match := _VERTEX.match(line)) and match[2].startswith("ERROR")
        ),
        None,
    )
    log = [line for line in lines if failed and line.startswith(f"#{failed} ")] or list(lines)
    said = next(
        (line for line in reversed(lines) if line.strip() and not line.startswith(("#", "-"))),
        "the build ended without a word",
    )
    text = "\n".join(lines)
    hint = "The step's own output stands below."
    if "docker.io/docker/dockerfile" in text:
        hint = "A `# syntax=` line fetches the frontend from a registry: leave it out offline."
    elif "failed to resolve source metadata" in text or "pull access denied" in text:
        hint = "The base image is neither on this host nor in a registry that it reaches."
    return BuildFailed(
        f"The image of {', '.join(services)} did not build: {said.strip()}",
        hint=hint,
        log=log[-_TAIL:],
    )
