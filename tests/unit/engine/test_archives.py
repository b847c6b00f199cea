"""An archive is there whole, or not at all."""

from __future__ import annotations

import asyncio
import errno
import os
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from alongside.domain.errors import StepFailed, Unavailable
from alongside.engine import archives

WHAT = "save the image app/dns:1.0.0"


@pytest.fixture
def whole(tmp_path: Path) -> bytes:
    source = tmp_path / "source"
    source.mkdir()
    (source / "manifest.json").write_text("[]")
    with tarfile.open(source / "whole.tar", "w") as archive:
        archive.add(source / "manifest.json", "manifest.json")
    return (source / "whole.tar").read_bytes()


async def chunks(*parts: bytes, error: BaseException | None = None) -> AsyncIterator[bytes]:
    for part in parts:
        yield part
    if error:
        raise error


async def test_a_whole_one_takes_the_place_of_an_older_one(tmp_path: Path, whole: bytes) -> None:
    path = tmp_path / "image.tar"
    path.write_text("older")

    await archives.keep(chunks(whole[:700], whole[700:]), path, WHAT)

    assert path.read_bytes() == whole
    assert {one.name for one in tmp_path.iterdir()} == {"image.tar", "source"}


@pytest.mark.parametrize("error", [Unavailable("gone"), asyncio.CancelledError(), None])
async def test_what_fails_midway_leaves_the_older_one(
    tmp_path: Path, whole: bytes, error: BaseException | None
) -> None:
    path = tmp_path / "image.tar"
    path.write_text("older")
    # An engine that fails midway writes its error where the archive would go on.
    part = chunks(whole[:1536], b'{"errorDetail":{"message":"no"}}', error=error)

    with pytest.raises(type(error) if error else StepFailed):
        await archives.keep(part, path, WHAT)

    assert path.read_text() == "older"
    assert {one.name for one in tmp_path.iterdir()} == {"image.tar", "source"}


async def test_a_disk_that_is_full_is_said(
    tmp_path: Path, whole: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StepFailed, match="cannot be written: No space left on device"):
        await archives.keep(chunks(whole), tmp_path / "image.tar", WHAT)

    assert {one.name for one in tmp_path.iterdir()} == {"source"}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"stream":"Loaded image: a:1"}', ""),
        ('{"errorDetail":{"message":"no"},"error":"no"}', "no"),
        ("[]", ""),
        ("", ""),
    ],
)
def test_what_went_wrong_stands_in_the_progress(line: str, said: str) -> None:
    assert archives.failure(line) == said
