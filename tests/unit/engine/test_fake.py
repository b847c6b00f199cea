"""The fake Compose reads the very override files that instances run with."""

from __future__ import annotations

from datetime import UTC, datetime
from ipaddress import IPv4Network, IPv6Network, ip_address
from pathlib import Path

import pytest

from alongside.compose.override import build_override, override
from alongside.compose.services import services_from
from alongside.domain.errors import BuildFailed
from alongside.domain.instance import Instance, LocalPort, Subnet
from alongside.domain.port import Protocol
from alongside.domain.release import Release
from alongside.domain.version import Version
from alongside.engine.fake import FakeCompose, FakeEngine
from alongside.engine.protocol import LABEL_VERSION, Project

COMPOSE = """\
services:
  dns:
    image: app/dns:${tag:-latest}
    build: .
    ports: ["53:53/udp"]
    depends_on: [cache]
    healthcheck: {test: [CMD, "true"]}
  cache:
    image: cache:1
    x-alongside: {shared: false}
  unrelated:
    image: nosuch:1
    networks: [elsewhere]
networks:
  elsewhere: {}
"""

SUBNET = Subnet("al-test", IPv4Network("10.213.0.16/28"), IPv6Network("fd00:0:0:1::/64"))
INSTANCE = Instance(
    "dns", Version("1.0.0"), SUBNET, (LocalPort(Protocol.UDP, 53, 20000),)
)  # fmt: skip


@pytest.fixture
def compose(tmp_path: Path) -> FakeCompose:
    (tmp_path / "compose.yaml").write_text(COMPOSE)
    engine = FakeEngine()
    engine.tag("cache:1", "cache")
    return FakeCompose(engine)


def project(folder: Path, name: str, override: str = "") -> Project:
    files = [folder / "compose.yaml"]
    if override:
        files.append(folder / f"{name}.yaml")
        files[-1].write_text(override)
    return Project(name, folder, files, {"tag": "1.0.0"})


async def released(compose: FakeCompose, folder: Path) -> Release:
    """dns@1.0.0, built."""
    (spec,) = services_from(await compose.config(project(folder, "check")))
    text = build_override(
        spec,
        Version("1.0.0"),
        commit="c" * 40,
        source="/srv/app",
        repository="app",
        created=datetime.now(UTC),
    )
    lines = [line async for line in compose.build(project(folder, "build", text), ["dns"])]
    assert lines
    image = await compose.engine.image("alongside.invalid/dns:1.0.0")
    assert image is not None
    return Release(
        service="dns",
        version=Version("1.0.0"),
        repository="app",
        source="/srv/app",
        commit="c" * 40,
        tree="t" * 40,
        image="app/dns:1.0.0",
        image_id=image.id,
        compose_file="compose.yaml",
        created=datetime.now(UTC),
        spec=spec,
    )


async def test_an_instance_runs_as_its_override_has_it(
    compose: FakeCompose, tmp_path: Path
) -> None:
    release = await released(compose, tmp_path)
    base = project(tmp_path, INSTANCE.project)
    text = override(release, INSTANCE, await compose.config(base))

    await compose.up(project(tmp_path, INSTANCE.project, text), ["dns"])

    container = await compose.engine.container("dns-1.0.0")
    assert container is not None
    assert (container.image_id, container.health) == (release.image_id, "healthy")
    assert container.labels[LABEL_VERSION] == "1.0.0"
    assert container.ipv4 == {INSTANCE.network: SUBNET.address4}
    assert container.ipv6 == {INSTANCE.network: SUBNET.address6}
    published = await compose.engine.published()
    assert {one.number for one in published} == {20000}
    assert ip_address("127.0.0.1") in {one.address for one in published}
    bridges = {one.name: one.bridge for one in await compose.engine.networks()}
    assert bridges == {"bridge": "docker0", INSTANCE.network: SUBNET.bridge}
    assert len(compose.engine.every()) == 2


async def test_the_same_content_is_the_same_image_and_another_is_not(
    compose: FakeCompose, tmp_path: Path
) -> None:
    async def build() -> str:
        async for _ in compose.build(project(tmp_path, "one"), ["dns"]):
            pass
        image = await compose.engine.image("app/dns:1.0.0")
        assert image is not None
        return image.id

    first = await build()
    assert await build() == first

    (tmp_path / "server.c").write_text("int main() {}")
    assert await build() != first
    assert compose.built == [("dns",)] * 3


async def test_a_build_can_be_made_to_fail(compose: FakeCompose, tmp_path: Path) -> None:
    compose.failing_builds["dns"] = ["no rule to make target"]

    with pytest.raises(BuildFailed) as caught:
        await released(compose, tmp_path)

    assert "no rule to make target" in caught.value.log
    assert await compose.engine.image("alongside.invalid/dns:1.0.0") is None


async def test_what_is_there_is_a_value_of_its_own(compose: FakeCompose, tmp_path: Path) -> None:
    await released(compose, tmp_path)
    engine = compose.engine
    engine.create("dns-1.0.0", "alongside.invalid/dns:1.0.0")
    before = await engine.container("dns-1.0.0")
    assert before is not None

    await engine.start("dns-1.0.0")

    assert before.state == "created"


async def test_what_does_not_run_cannot_end(compose: FakeCompose, tmp_path: Path) -> None:
    await released(compose, tmp_path)
    compose.engine.create("dns-1.0.0", "alongside.invalid/dns:1.0.0")

    with pytest.raises(AssertionError, match="cannot end"):
        compose.engine.end("dns-1.0.0", 1)
