"""A command in a container of its own, beside the instance that runs: a migration."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing
from datetime import UTC, datetime
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

import pytest

from alongside.compose.override import once_override, override, shared_name, shared_override
from alongside.compose.services import services_from
from alongside.domain.errors import StepFailed
from alongside.domain.instance import Instance, LocalPort, Subnet
from alongside.domain.port import Protocol
from alongside.domain.release import Release
from alongside.domain.version import Version
from alongside.engine.compose import DockerCompose
from alongside.engine.docker import DockerEngine
from alongside.engine.protocol import Project
from support.host import Host

pytestmark = pytest.mark.host

COMPOSE = """\
services:
  web:
    build: .
    image: once/web
    command: [sh, -c, "echo of the instance >/data/mark; exec serve web"]
    ports: ["80"]
    restart: always
    init: true
    depends_on: [own, db]
    volumes: ["data:/data", "mine:/mine"]
  own:
    image: once/base:1
    command: [serve, own]
    init: true
    x-alongside: {shared: false}
  db:
    image: once/base:1
    command: [serve, db]
    init: true
    x-alongside: {shared: true}
volumes:
  data: {x-alongside: {shared: true}}
  mine: {x-alongside: {shared: false}}
"""
SERVE = '#!/bin/sh\nmkdir -p /www; echo "$1" >/www/index.html; exec httpd -f -p 80 -h /www\n'
SUBNET = Subnet("al-once", IPv4Network("10.213.11.0/28"), IPv6Network("fd00:11::/64"))
INSTANCE = Instance("web", Version("1.0.0"), SUBNET, (LocalPort(Protocol.TCP, 80, 20811),))
ASK = "until wget -q -O- http://%s/; do sleep 0.1; done"


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    with Host() as host:
        root = host.folder / "root"
        (root / "bin").mkdir(parents=True)
        shutil.copy("/bin/busybox", root / "bin")
        for name in ("sh", "sleep", "echo", "httpd", "wget", "mkdir", "cat", "test"):
            (root / "bin" / name).symlink_to("busybox")
        (root / "bin" / "serve").write_text(SERVE)
        (root / "bin" / "serve").chmod(0o755)
        host.run(["tar", "-C", root, "-cf", host.folder / "base.tar", "."])
        host.docker(["import", str(host.folder / "base.tar"), "once/base:1"])
        host.run(["ip", "address", "add", f"{SUBNET.proxy6}/128", "dev", "lo", "nodad"])
        yield host


class Stack:
    """The release, its instance up with all that it depends on, and the project of a command."""

    def __init__(self, host: Host, folder: Path) -> None:
        self.folder = folder
        docker = host.environment["DOCKER_HOST"]
        self.engine = DockerEngine(docker)
        self.compose = DockerCompose(docker, docker_config=Path(host.environment["DOCKER_CONFIG"]))
        (folder / "compose.yaml").write_text(COMPOSE)

    def project(self, name: str, text: str = "") -> Project:
        files = [self.folder / "compose.yaml"]
        if text:
            files.append(self.folder / f"{len(list(self.folder.iterdir()))}.yaml")
            files[-1].write_text(text)
        return Project(name, self.folder, files, {"tag": "1.0.0"})

    async def up(self) -> None:
        model = await self.compose.config(self.project(INSTANCE.project))
        image = await self.engine.image("once/base:1")
        assert image is not None
        (spec,) = services_from(model)
        now = datetime.now(UTC)
        self.release = Release(
            *("web", INSTANCE.version, "once", "/srv/once", "c" * 40, "t" * 40),
            *("once/web:1.0.0", image.id, "compose.yaml", now, spec),
        )
        self.shared = self.project(shared_name("once"), shared_override(self.release))
        self.instance = self.project(INSTANCE.project, override(self.release, INSTANCE, model))
        self.once = self.project(INSTANCE.project, once_override(self.release, INSTANCE, model))
        await self.compose.up(self.shared, ["db"])
        await self.compose.up(self.instance, ["web"])

    def run(self, script: str) -> AsyncGenerator[str, None]:
        return self.compose.run(self.once, "web", ["sh", "-c", script])

    async def close(self) -> None:
        await self.compose.down(self.instance, volumes=True)
        await self.compose.down(self.shared, volumes=True)
        await self.engine.close()


@pytest.fixture
async def stack(host: Host, tmp_path: Path) -> AsyncIterator[Stack]:
    host.engine_start()
    made = Stack(host, tmp_path)
    await made.up()
    yield made
    await made.close()


async def test_it_reaches_all_that_the_instance_reaches(host: Host, stack: Stack) -> None:
    before = host.docker(["ps", "--all", "--quiet", "--no-trunc"]).stdout
    networks = host.docker(["network", "ls", "--quiet", "--no-trunc"]).stdout
    script = "; ".join(
        [
            *(ASK % name for name in ("own", "db", "web")),  # web is the instance
            "cat /data/mark",
            "echo once >/mine/mark",
            "echo waiting",
            "until test -e /data/go; do sleep 0.1; done",
            "echo no such column >&2",
            "exit 3",
        ]
    )

    wrote: list[str] = []
    with pytest.raises(StepFailed) as caught:
        async with asyncio.timeout(60), aclosing(stack.run(script)) as lines:
            async for line in lines:
                wrote.append(line)
                if line == "waiting":  # its lines are here while it runs
                    during = await stack.engine.containers()
                    host.docker(["exec", "web-1.0.0", "sh", "-c", "echo >/data/go"])

    assert wrote == ["own", "db", "web", "of the instance", "waiting", "no such column"]
    assert "ended with exit code 3: no such column" in caught.value.message
    assert caught.value.log == tuple(wrote)
    there = {one.labels["alongside.ordinal"]: one for one in during}
    assert len(during) == 2
    assert there["1"].ipv4[INSTANCE.network] == SUBNET.address4
    assert there["before"].ipv4[INSTANCE.network] in IPv4Network("10.213.11.8/29")
    assert there["before"].ipv6[INSTANCE.network] != SUBNET.address6

    # Nothing is left of it, and nothing else was touched.
    await _until_one(stack)
    assert host.docker(["ps", "--all", "--quiet", "--no-trunc"]).stdout == before
    assert host.docker(["network", "ls", "--quiet", "--no-trunc"]).stdout == networks
    assert host.docker(["exec", "web-1.0.0", "cat", "/mine/mark"]).stdout == "once\n"


async def test_it_needs_no_instance_and_is_none(host: Host, stack: Stack) -> None:
    """Before the first start of a version: the network is made by it, for the instance too."""
    await stack.compose.down(stack.instance)

    lines = [line async for line in stack.run("; ".join([ASK % "own", ASK % "db"]))]
    assert lines == ["own", "db"]
    await stack.compose.up(stack.instance, ["web"])

    (container,) = await stack.engine.containers()
    assert container.name == "web-1.0.0"
    assert container.ipv4[INSTANCE.network] == SUBNET.address4
    assert container.ipv6[INSTANCE.network] == SUBNET.address6


async def test_cancelled_before_it_has_begun_it_never_does(stack: Stack) -> None:
    events = stack.engine.events()

    async def read() -> None:
        async for _ in stack.run("sleep 60"):
            pass

    reading = asyncio.create_task(read())
    async with asyncio.timeout(60):
        async for event in events:
            if event.kind == "container" and event.action == "create":
                break
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading

    await _until_one(stack)


async def _until_one(stack: Stack) -> None:
    """Only the instance is there. The engine removes a container a moment after its end."""
    async with asyncio.timeout(30):
        while [one.name for one in await stack.engine.containers()] != ["web-1.0.0"]:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
