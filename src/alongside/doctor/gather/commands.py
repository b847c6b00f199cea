"""Running a command that only reads."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass

from alongside.doctor.facts import Unseen

PATIENCE = 20.0  # seconds


@dataclass(frozen=True, slots=True)
class Said:
    status: int
    out: str
    err: str


async def run(*command: str) -> Said | Unseen:
    """`Unseen` where the command is not there, or does not end."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "LC_ALL": "C"},
        )
    except OSError as error:
        return Unseen(f"{command[0]} cannot be run: {error.strerror}")
    try:
        async with asyncio.timeout(PATIENCE):
            out, err = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        return Unseen(f"{' '.join(command)} did not end in {PATIENCE:g} s")
    return Said(process.returncode or 0, out.decode(errors="replace"), err.decode(errors="replace"))
