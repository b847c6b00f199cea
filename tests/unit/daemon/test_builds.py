"""What a release is built from, and what it runs from."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from alongside.daemon import trees
from alongside.daemon.manifest import read_manifest
from alongside.daemon.verbs.build import Source, build
from alongside.daemon.verbs.change import Asked
from alongside.domain.errors import AlongsideError, BuildFailed, StepFailed
from alongside.domain.history import Actor
from alongside.domain.version import Version
from alongside.engine.fake import FakeEngine
from alongside.engine.protocol import Image, Project
from alongside.host import reserve
from support.served import Served, archive

TREE = "7ea0c0de" * 5
COMPOSE = """\
services:
  web:
    image: repo/web
    build: .
    volumes: ["./data:/data"]
    x-alongside: {ready: running}
"""
TWO = (
    COMPOSE
    + """\
  worker:
    image: repo/worker
    build: .
    x-alongside: {ready: running}
"""
)
Seen = dict[str, dict[str, str]]


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Served]:
    with Served(tmp_path) as daemon:
        yield daemon


@pytest.fixture
def built(daemon: Served) -> Seen:
    """The files that each version's build was given, by service and version."""
    seen: Seen = {}
    build = daemon.context.compose.build

    async def looking(project: Project, services: Sequence[str]) -> AsyncGenerator[str, None]:
        for service in services:
            version = project.environment["tag"]
            if service == "worker" and (tree := kept(daemon, "web", version)):
                (tree / "data").mkdir(exist_ok=True)  # web's container has begun to work
                (tree / "data" / "log").write_text("x")
            seen[f"{service}@{version}"] = files(project.directory)
        async for line in build(project, services):
            yield line

    daemon.context.compose.build = looking  # type: ignore[method-assign]
    return seen


def files(folder: Path) -> dict[str, str]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_text() for path in found}


def tag(daemon: Served, version: str, compose: str = COMPOSE) -> dict[str, Any]:
    tree = archive({"compose.yaml": compose, "Dockerfile": "FROM x"})
    query = {"commit": "c0ffee00" * 5, "tree": TREE, "repository": "app", "source": "/srv/app"}
    return dict(list(daemon.client.build([tree], tag=version, **query))[-1])


def kept(daemon: Served, service: str, version: str) -> Path | None:
    """The folder that a release runs from."""
    for one in daemon.context.releases.all():
        if (one.service, one.version) == (service, Version(version)):
            return daemon.paths.compose_file(one).parent
    return None


def write(daemon: Served, version: str) -> Path:
    """As a container of the version would, in what it has mounted."""
    tree = kept(daemon, "web", version)
    assert tree is not None
    (tree / "data").mkdir(exist_ok=True)
    (tree / "data" / "log").write_text("of the candidate")
    (tree / "Dockerfile").chmod(0o644)
    (tree / "Dockerfile").write_text("FROM elsewhere")
    return tree


PRISTINE = {"compose.yaml": COMPOSE, "Dockerfile": "FROM x"}


def test_a_second_tag_of_a_tree_has_nothing_of_what_containers_wrote(
    daemon: Served, built: Seen
) -> None:
    tag(daemon, "1.0.0-rc.1")
    tree = write(daemon, "1.0.0-rc.1")
    tag(daemon, "1.0.0")
    assert built["web@1.0.0"] == PRISTINE
    own = kept(daemon, "web", "1.0.0")
    assert own is not None
    assert own.name == f"{TREE}-2"
    assert files(own) == PRISTINE, "and it runs from the tag's tree"
    assert (tree / "data" / "log").read_text() == "of the candidate", "which nothing took away"
    assert kept(daemon, "web", "1.0.0-rc.1") == tree
    shown = daemon.client.get("/v1/releases")["releases"]
    assert {one["tree"] for one in shown} == {TREE}

    write(daemon, "1.0.0")
    tag(daemon, "1.0.1")
    third = kept(daemon, "web", "1.0.1")
    assert third is not None
    assert third.name == f"{TREE}-3"
    assert built["web@1.0.1"] == files(third) == PRISTINE


def test_tags_share_a_tree_that_nothing_wrote_to(daemon: Served, built: Seen) -> None:
    tag(daemon, "1")
    first = kept(daemon, "web", "1")
    assert first is not None
    tag(daemon, "2")
    assert kept(daemon, "web", "2") == first
    (daemon.paths.root / "manifests" / "app" / TREE).unlink()  # as an older alongside left it
    tag(daemon, "3")
    assert kept(daemon, "web", "3") == first
    assert read_manifest(first) is not None
    assert [one.name for one in first.parent.iterdir()] == [TREE]
    assert list(daemon.paths.incoming.iterdir()) == []


def test_a_tree_of_an_older_alongside_that_was_written_to_is_not_shared(daemon: Served) -> None:
    tag(daemon, "1")
    write(daemon, "1")
    (daemon.paths.root / "manifests" / "app" / TREE).unlink()
    tag(daemon, "2")
    second = kept(daemon, "web", "2")
    assert second is not None
    assert files(second) == PRISTINE


def test_services_of_one_tag_are_built_from_one_tree(daemon: Served, built: Seen) -> None:
    """The first runs, and writes, while the second is built."""
    tag(daemon, "1", TWO)
    assert built["worker@1"] == {**PRISTINE, "compose.yaml": TWO}
    assert kept(daemon, "web", "1") == kept(daemon, "worker", "1")
    assert list(daemon.paths.incoming.iterdir()) == []


def test_a_second_try_of_one_service_is_built_from_the_tag(daemon: Served, built: Seen) -> None:
    fake = daemon.context.compose
    fake.failing_builds["worker"] = ["no"]  # type: ignore[attr-defined]
    with pytest.raises(BuildFailed):
        tag(daemon, "1", TWO)
    assert list(daemon.paths.incoming.iterdir()) == []
    write(daemon, "1")
    fake.failing_builds.clear()  # type: ignore[attr-defined]
    tag(daemon, "1", TWO)
    assert built["worker@1"] == {**PRISTINE, "compose.yaml": TWO}
    worker = kept(daemon, "worker", "1")
    assert worker is not None
    assert files(worker) == {**PRISTINE, "compose.yaml": TWO}


def test_a_first_build_that_fails_keeps_no_tree(daemon: Served) -> None:
    daemon.context.compose.failing_builds["web"] = ["no"]  # type: ignore[attr-defined]
    with pytest.raises(BuildFailed):
        tag(daemon, "1")
    for folder in ("trees", "manifests", "incoming"):
        assert not list((daemon.paths.root / folder).glob("*/*"))


def refuse_claim(daemon: Served) -> None:
    """Another repository has the service."""
    query = {"commit": "c0ffee00" * 5, "tree": "a" * 40, "repository": "other", "source": "/srv/o"}
    list(daemon.client.build([archive({"compose.yaml": COMPOSE})], tag="0", **query))


def fail(daemon: Served) -> None:
    daemon.context.compose.failing_builds["web"] = ["no"]  # type: ignore[attr-defined]


def break_(daemon: Served) -> None:
    """In a way that is none of ours."""

    async def config(_: Project) -> dict[str, Any]:
        raise RuntimeError("a bug")

    daemon.context.compose.config = config  # type: ignore[method-assign]


def nothing(_: Served) -> None:
    pass


LINKED = COMPOSE.replace("running}", "running, linked: [.env]}")


@pytest.mark.parametrize(
    ("prepare", "sent", "words"),
    [
        (nothing, {"Dockerfile": "FROM x"}, "no compose file"),
        (nothing, {"compose.yaml": "services: ["}, "not a valid compose file"),
        (nothing, {"compose.yaml": "services: {web: {image: x}}"}, "No service claims"),
        (nothing, {"compose.yaml": LINKED}, "nobody has given"),
        (nothing, {"compose.yaml": COMPOSE, "../x": ""}, "cannot be unpacked safely"),
        (nothing, b"no tar", "cannot be unpacked safely"),
        (nothing, b"", "no tree in the request"),
        (refuse_claim, {"compose.yaml": COMPOSE}, "belongs to the repository other"),
        (fail, {"compose.yaml": COMPOSE}, "no"),
        (break_, {"compose.yaml": COMPOSE}, "a bug"),
    ],
)
def test_a_tree_that_is_refused_is_gone_with_the_answer(
    daemon: Served, prepare: Any, sent: dict[str, str] | bytes, words: str
) -> None:
    prepare(daemon)
    body = sent if isinstance(sent, bytes) else archive(sent)
    query = {"commit": "c0ffee00" * 5, "tree": TREE, "repository": "app", "source": "/srv/app"}
    with pytest.raises(AlongsideError, match=words):
        list(daemon.client.build([body], tag="1", **query))
    assert list(daemon.paths.incoming.iterdir()) == []
    assert not (daemon.paths.root / "trees" / "app").exists()


def test_a_client_that_hangs_up_half_way_leaves_nothing(daemon: Served) -> None:
    query = f"tag=1&commit={'c' * 40}&tree={TREE}&repository=app&source=/srv/app"
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(daemon.socket))
        head = f"POST /v1/builds?{query} HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\n"
        client.sendall(head.encode() + b"the beginning")
        eventually(lambda: list(daemon.paths.incoming.iterdir()) != [])
    eventually(lambda: list(daemon.paths.incoming.iterdir()) == [])


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_tree_of_which_nothing_comes_is_gone(daemon: Served) -> None:
    tree, query = daemon.source("dns", "1")
    list(daemon.client.build([tree], dry_run=True, **query))
    assert list(daemon.paths.incoming.iterdir()) == []
    for _ in range(2):  # it is built, and is there already
        list(daemon.client.build([tree], **query))
        assert list(daemon.paths.incoming.iterdir()) == []


def test_a_build_that_waits_for_its_turn_and_is_cancelled_leaves_nothing(daemon: Served) -> None:
    context = daemon.context
    spooled = daemon.paths.incoming / "x.tar"
    spooled.write_bytes(b"x")
    source = Source("1", "c" * 40, TREE, "app", "/srv/app")

    async def cancelled() -> None:
        async with context.locks["builds"]:
            asked = Asked(Actor(0, "root"))
            work = asyncio.create_task(build(context, source, spooled, asked, lambda _: None))
            await asyncio.sleep(0)
            work.cancel()
            with pytest.raises(asyncio.CancelledError):
                await work

    asyncio.run(cancelled())
    assert not spooled.exists()


def test_nothing_is_built_with_what_is_kept_for_a_rollback(
    daemon: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    compose = COMPOSE.replace("running}", "running, save: true}")
    there = reserve.reserved(daemon.paths.root)
    monkeypatch.setattr(reserve, "free", lambda _: there + 100_000)
    monkeypatch.setattr(FakeEngine, "tag", large(FakeEngine.tag))
    with pytest.raises(StepFailed, match="could not be saved: No space left on device"):
        tag(daemon, "1", compose)
    assert not list((daemon.paths.root / "archives").glob("*/*"))
    monkeypatch.setattr(trees, "shortage", lambda *_: "")
    monkeypatch.setattr(reserve, "free", lambda _: there - 1)
    with pytest.raises(StepFailed, match="web@2 was not built: No space left on device"):
        tag(daemon, "2", compose)
    with pytest.raises(StepFailed, match="could not be kept: No space left on device"):
        daemon.client.put("/v1/shared/app/.env", b"x")


def large(tag_image: Any) -> Any:
    def named(*arguments: Any, **more: Any) -> Image:
        image = tag_image(*arguments, **more)
        engine = arguments[0]
        engine._images[image.id] = replace(engine._images[image.id], size=1 << 20)
        return engine._images[image.id]  # type: ignore[no-any-return]

    return named
