"""Image archives, as the engine streams them: kept whole or not at all, and sent back."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO

from alongside.domain.errors import StepFailed

_FOOTER = 1024  # zeros at the end of a tar (POSIX pax)


async def keep(chunks: AsyncIterator[bytes], path: Path, what: str) -> None:
    """Write the archive beside its place, and put it there once it is whole and on the disk.

    Raises StepFailed where it cannot be written, or ends too early: an engine that fails midway
    ends its answer as if that were all.
    """
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with new.open("xb") as file:
            async for chunk in chunks:
                await asyncio.to_thread(file.write, chunk)
            await asyncio.to_thread(_settle, file)
        if not _is_whole(new):
            raise StepFailed(f"The engine did not {what}: it sent only the beginning of it.")
        new.replace(path)
        await asyncio.to_thread(_settle_folder, path.parent)
    except OSError as error:
        raise StepFailed(
            f"The engine did not {what}: {path} cannot be written: {error.strerror}.",
        ) from error
    finally:
        new.unlink(missing_ok=True)


def open_archive(path: Path) -> BinaryIO:
    """Raises StepFailed where it is not there, or no archive: the engine would say so of a
    temporary file of its own."""
    try:
        if not tarfile.is_tarfile(path):
            raise StepFailed(f"{path} is no image archive, so the engine cannot load it.")
        return path.open("rb")
    except OSError as error:
        raise StepFailed(f"The image archive {path} cannot be read: {error.strerror}.") from error


def failure(line: str) -> str:
    """What a line of the engine's progress says went wrong; "" for all others."""
    try:
        return str(json.loads(line).get("error", ""))
    except (ValueError, AttributeError):
        return ""


def _is_whole(path: Path) -> bool:
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - _FOOTER))
        return size > _FOOTER and file.read() == bytes(_FOOTER)


def _settle(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _settle_folder(folder: Path) -> None:
    there = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(there)
    finally:
        os.close(there)
