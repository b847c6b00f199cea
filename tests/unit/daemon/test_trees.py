from __future__ import annotations

import asyncio
import gzip
import io
import os
import tarfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import ClientDisconnect

from alongside.daemon import trees
from alongside.domain.errors import InvalidInput, StepFailed
from alongside.host import reserve


def archive(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w") as tar:
        for info, content in members:
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def file(name: str, content: bytes = b"x", mode: int = 0o644) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.mode = mode
    return info, content


def symlink(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = tarfile.SYMTYPE, target
    return info, b""


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def test_a_tree_arrives_whole_with_modes_and_links(tmp_path: Path) -> None:
    tar = archive(
        tmp_path / "in.tar",
        file("compose.yaml", b"services: {}"),
        file("bin/run", b"#!/bin/sh", 0o755),
        symlink("run", "bin/run"),
    )
    spooled = await trees.spool(chunks(tar.read_bytes()), tmp_path)
    folder = await trees.unpack(spooled, tmp_path)
    assert (folder / "compose.yaml").read_bytes() == b"services: {}"
    assert os.access(folder / "run", os.X_OK)
    assert (folder / "run").is_symlink()


@pytest.mark.parametrize(
    "member",
    [
        file("../escaped"),
        file("/absolute/../../escaped"),
        symlink("out", "/etc/passwd"),
        symlink("out", "../../outside"),
    ],
)
async def test_what_leaves_the_tree_is_refused(
    tmp_path: Path, member: tuple[tarfile.TarInfo, bytes]
) -> None:
    incoming = tmp_path / "state" / "incoming"
    incoming.mkdir(parents=True)
    tar = archive(tmp_path / "in.tar", member)
    with pytest.raises(InvalidInput, match="cannot be unpacked safely"):
        await trees.unpack(tar, incoming)
    assert not (tmp_path / "state" / "escaped").exists()
    assert not (incoming / "escaped").exists()


async def test_a_tree_past_the_bounds_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trees, "MAX_BYTES", 10)
    with pytest.raises(InvalidInput, match="larger than"):
        await trees.spool(chunks(b"12345678", b"90abc"), tmp_path)
    assert list(tmp_path.iterdir()) == []
    incoming = tmp_path / "incoming"
    incoming.mkdir()
    with pytest.raises(InvalidInput, match="larger than"):
        await trees.unpack(archive(tmp_path / "in.tar", file("large", b"x" * 11)), incoming)
    assert list(incoming.iterdir()) == []


@pytest.fixture
def incoming(tmp_path: Path) -> Path:
    incoming = tmp_path / "incoming"
    incoming.mkdir()
    return incoming


def compressed(path: Path) -> Path:
    """A tar that was sent compressed, and cut short."""
    whole = gzip.compress(archive(path, file("a"), file("b", os.urandom(10_000))).read_bytes())
    path.write_bytes(whole[:5000])
    return path


def cut_short(path: Path) -> Path:
    path.write_bytes(archive(path, file("a"), file("b", bytes(10_000))).read_bytes()[:5000])
    return path


def links_in_a_circle(path: Path) -> Path:
    return archive(path, symlink("a", "b"), symlink("b", "a"), file("a/x"))


def file_for_a_folder(path: Path) -> Path:
    return archive(path, file("a"), file("b"), file("a/x"))


@pytest.mark.parametrize(
    "make", [compressed, cut_short, links_in_a_circle, lambda path: path.write_bytes(b"x") and path]
)
async def test_what_cannot_be_unpacked_is_refused_in_words_and_gone(
    tmp_path: Path, incoming: Path, make: Callable[[Path], Path]
) -> None:
    with pytest.raises(InvalidInput, match="cannot be unpacked safely"):
        await trees.unpack(make(tmp_path / "in.tar"), incoming)
    assert list(incoming.iterdir()) == []


async def test_what_the_disk_refuses_is_gone(tmp_path: Path, incoming: Path) -> None:
    with pytest.raises(StepFailed, match="could not be unpacked"):
        await trees.unpack(file_for_a_folder(tmp_path / "in.tar"), incoming)
    assert list(incoming.iterdir()) == []


async def test_a_bug_on_the_way_leaves_nothing_either(
    tmp_path: Path, incoming: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> Iterator[tarfile.TarInfo]:
        raise KeyError("a bug")
        yield

    monkeypatch.setattr(trees, "_safe", broken)
    with pytest.raises(KeyError):
        await trees.unpack(archive(tmp_path / "in.tar", file("a")), incoming)
    assert list(incoming.iterdir()) == []


async def test_unpacking_that_is_cancelled_ends_and_leaves_nothing(
    tmp_path: Path, incoming: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on, unpacked = threading.Event(), threading.Event(), []
    safe = trees._safe

    def slowly(*arguments: Any) -> Iterator[tarfile.TarInfo]:
        for member in safe(*arguments):
            begun.set()
            assert go_on.wait(30)
            unpacked.append(member.name)
            yield member

    monkeypatch.setattr(trees, "_safe", slowly)
    tar = archive(tmp_path / "in.tar", *(file(str(number)) for number in range(9)))
    work = asyncio.create_task(trees.unpack(tar, incoming))
    assert await asyncio.to_thread(begun.wait, 30)
    work.cancel()
    await asyncio.sleep(0)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert list(incoming.iterdir()) == []
    assert len(unpacked) < 9, "it was not unpacked to its end"


async def test_nothing_is_received_into_what_is_kept_for_a_rollback(
    tmp_path: Path, incoming: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the disk had 100 bytes more than that."""
    monkeypatch.setattr(reserve, "free", lambda _: reserve.reserved(tmp_path) + 100)
    spooled = await trees.spool(chunks(b"x" * 100), tmp_path)
    spooled.unlink()
    with pytest.raises(StepFailed, match="No space left on device") as caught:
        await trees.spool(chunks(b"x" * 50, b"x" * 101), incoming)
    assert "kept for a rollback" in caught.value.message
    assert list(incoming.iterdir()) == []
    with pytest.raises(StepFailed, match="could not be unpacked: No space left on device"):
        await trees.unpack(archive(tmp_path / "in.tar", file("a"), file("b", bytes(101))), incoming)
    assert list(incoming.iterdir()) == []


async def test_a_client_that_hangs_up_leaves_nothing(tmp_path: Path) -> None:
    async def cut() -> AsyncIterator[bytes]:
        yield b"x"
        raise ClientDisconnect

    with pytest.raises(ClientDisconnect):
        await trees.spool(cut(), tmp_path)
    assert list(tmp_path.iterdir()) == []


async def test_links_that_lead_out_over_other_links_are_refused(tmp_path: Path) -> None:
    tar = archive(
        tmp_path / "in.tar",
        file("d/inner/x"),
        symlink("d/up", ".."),
        symlink("out", "d/up/.."),
        file("out/escaped"),
    )
    incoming = tmp_path / "incoming"
    incoming.mkdir()
    with pytest.raises(InvalidInput, match="cannot be unpacked safely"):
        await trees.unpack(tar, incoming)
    assert not list(tmp_path.rglob("escaped"))


async def test_nothing_but_files_folders_and_links_is_unpacked(tmp_path: Path) -> None:
    for kind in (tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.LNKTYPE):
        info = tarfile.TarInfo("special")
        info.type, info.linkname = kind, "/etc/passwd"
        with pytest.raises(InvalidInput, match="cannot be unpacked safely"):
            await trees.unpack(archive(tmp_path / "in.tar", (info, b"")), tmp_path)


@pytest.mark.parametrize("filters", [True, False])
async def test_set_user_id_bits_and_owners_are_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, filters: bool
) -> None:
    if not filters:  # as on Python before 3.11.4
        monkeypatch.delattr(tarfile, "data_filter", raising=False)
    info, content = file("run", b"x", 0o6777)
    info.uid = info.gid = 12345
    folder = await trees.unpack(archive(tmp_path / "in.tar", (info, content)), tmp_path)
    found = (folder / "run").stat()
    assert found.st_mode & 0o7777 == 0o755
    assert found.st_uid != 12345


def test_linked_files_are_links_into_the_shared_folder(tmp_path: Path) -> None:
    tree, shared = tmp_path / "tree", tmp_path / "shared"
    tree.mkdir()
    shared.mkdir()
    (shared / ".env").write_text("SECRET=1")
    trees.link(tree, [".env"], shared)
    assert (tree / ".env").read_text() == "SECRET=1"
    (shared / ".env").write_text("SECRET=2")
    assert (tree / ".env").read_text() == "SECRET=2"


def test_a_linked_file_that_nobody_gave_is_said(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"names \.env, which nobody has given") as caught:
        trees.link(tmp_path, [".env"], tmp_path / "shared")
    assert str(tmp_path / "shared" / ".env") in caught.value.hint


def test_a_linked_file_that_the_tag_has_itself_is_refused(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    for folder in (tmp_path, shared):
        (folder / ".env").write_text("x")
    with pytest.raises(InvalidInput, match="the tag's tree has that file itself"):
        trees.link(tmp_path, [".env"], shared)


def test_a_linked_file_below_a_file_is_refused(tmp_path: Path) -> None:
    tree, shared = tmp_path / "tree", tmp_path / "shared"
    (shared / "conf").mkdir(parents=True)
    (shared / "conf" / ".env").write_text("x")
    tree.mkdir()
    (tree / "conf").write_text("a file")
    with pytest.raises(InvalidInput, match="conf is a file in the tag's tree"):
        trees.link(tree, ["conf/.env"], shared)


def test_a_kept_tree_is_read_only_and_can_be_discarded(tmp_path: Path) -> None:
    folder = tmp_path / "incoming" / "x"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "file").write_text("x")
    tree = tmp_path / "trees" / "app" / "abc"
    trees.keep(folder, tree)
    assert not folder.exists()
    assert (tree / "sub" / "file").stat().st_mode & 0o222 == 0
    trees.discard(tree)
    assert not tree.exists()


def test_keeping_the_same_tree_twice_keeps_the_first(tmp_path: Path) -> None:
    tree = tmp_path / "trees" / "abc"
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "file").write_text(name)
        trees.keep(folder, tree)
        assert not folder.exists()
    assert (tree / "file").read_text() == "one"
