"""Asking with a command: in the container, or on the host. Exit code 0 is yes."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from alongside.domain.errors import NotFound, StepFailed
from alongside.domain.instance import Instance
from alongside.domain.service import Ready
from alongside.domain.words import clipped
from alongside.engine.protocol import Container, Engine

WRITTEN = 4096  # bytes of what a command wrote that are kept
_SHOWN = 200  # characters of its last line
_TITLE = 60  # characters of a script
_KEPT = ("PATH", "HOME", "LANG")  # of the daemon's own environment


async def inside(ready: Ready, instance: Instance, engine: Engine, within: float) -> str:
    asked = f"exec {_title(ready.command)}"
    try:
        async with asyncio.timeout(within):
            code, wrote = await engine.exec(instance.name, ready.command)
    except TimeoutError:
        return f"{asked}: no answer in time"
    except (NotFound, StepFailed) as error:  # it has just ended, or been paused
        return f"{asked}: {error.message}"
    return _verdict(asked, code, wrote)


async def outside(
    ready: Ready,
    address: str,
    instance: Instance,
    container: Container,
    folder: Path | None,
    within: float,
) -> str:
    """On the host, as the daemon's user, in `folder`."""
    asked = f"command {_title(ready.command)}"
    environment = {
        **{name: os.environ[name] for name in _KEPT if name in os.environ},
        **_told(address, instance, container),
    }
    try:
        async with asyncio.timeout(within):
            code, wrote = await _run(ready.command, folder or Path("/"), environment)
    except TimeoutError:
        return f"{asked}: no answer in time"
    except OSError as error:
        return f"{asked}: {error.strerror}"
    return _verdict(asked, code, wrote)


def _told(address: str, instance: Instance, container: Container) -> dict[str, str]:
    told = {
        "ALONGSIDE_SERVICE": instance.service,
        "ALONGSIDE_VERSION": str(instance.version),
        "ALONGSIDE_CONTAINER": instance.name,
        "ALONGSIDE_ADDRESS": address,
    }
    if instance.network in container.ipv6:
        told["ALONGSIDE_ADDRESS6"] = str(container.ipv6[instance.network])
    if not container.ipv4:  # it is in the host's network
        told |= instance.numbers()
    return told


async def _run(
    command: Sequence[str], folder: Path, environment: Mapping[str, str]
) -> tuple[int, str]:
    """Exit code (negative: the signal's number) and the last of what it wrote.

    Whatever it started is killed with it, at its end too: a question leaves nothing behind. So
    its output is what is in the pipe by then, whoever still holds the other end.
    """
    loop = asyncio.get_running_loop()
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    kept = bytearray()

    def read() -> bool:
        try:
            data = os.read(reading, 1 << 16)
        except BlockingIOError:
            return False
        kept.extend(data)
        del kept[:-WRITTEN]
        if not data:
            loop.remove_reader(reading)
        return bool(data)

    try:
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                cwd=folder,
                env=environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=writing,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )
        finally:
            os.close(writing)
        loop.add_reader(reading, read)
        try:
            code = await process.wait()
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        while read():
            pass
    finally:
        loop.remove_reader(reading)
        os.close(reading)
    return code, kept.decode(errors="replace")


def _title(command: Sequence[str]) -> str:
    """The program's name, or the script that the shell was given."""
    script = len(command) == 3 and tuple(command[:2]) == ("sh", "-c")
    text = " ".join(command[2].split()) if script else command[0]
    return clipped(text, _TITLE)


def _verdict(asked: str, code: int, wrote: str) -> str:
    if code == 0:
        return ""
    ended = f"exit code {code}" if code > 0 else f"ended by {signal.Signals(-code).name}"
    lines = [line.strip() for line in wrote.splitlines() if line.strip()]
    return f"{asked}: {ended}" + (f": {lines[-1][-_SHOWN:]}" if lines else "")
