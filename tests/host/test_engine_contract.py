"""One contract for both: what the fake promises, the real engine and Compose keep."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
from collections.abc import AsyncIterator, Iterator
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from alongside.domain.errors import BuildFailed, InvalidInput, NotFound, StepFailed, Unavailable
from alongside.domain.port import Protocol
from alongside.engine.compose import DockerCompose
from alongside.engine.docker import DockerEngine
from alongside.engine.fake import FakeCompose, FakeEngine, Script
from alongside.engine.protocol import LABEL_SERVICE, LABEL_VERSION, Event, Project
from support.host import Host

DOCKERFILE = """\
FROM base:1
CMD ["/bin/sh", "-c", "echo hello; trap 'exit 0' TERM; while :; do sleep 1 & wait; done"]
"""

COMPOSE = """\
x-top: kept
services:
  dns:
    image: demo/dns:${tag:-latest}
    build: .
    x-alongside: {ready: running}
    ports: ["127.0.0.1:8053:53/udp"]
    depends_on: [db]
    networks: {default: {ipv4_address: 172.29.7.2}}
  db:
    image: base:1
    command: [sleep, "600"]
    init: true
networks:
  # The range keeps dns's own address from its dependency, which is started before it.
  default: {ipam: {config: [{subnet: 172.29.7.0/28, ip_range: 172.29.7.8/29}]}}
"""

INSTANCE = """\
services:
  dns:
    image: %s
    build: !reset null
    container_name: dns-1.0.0
    depends_on: !reset null
    labels: {alongside.service: dns, alongside.version: 1.0.0}
"""

BUILD = """\
services:
  dns:
    image: demo/dns:1.0.0
    build: {labels: {alongside.service: dns, alongside.version: 1.0.0}}
"""


class Bench:
    """A subject of the contract, and a compose file for it to work with."""

    def __init__(self, folder: Path, subject: Any) -> None:
        self.folder = folder
        self.engine, self.compose, self.host = subject.engine, subject.compose, subject
        (folder / "Dockerfile").write_text(DOCKERFILE)
        (folder / "compose.yaml").write_text(COMPOSE)

    def project(self, name: str = "one", override: str = "", tag: str = "1.0.0") -> Project:
        files = [self.folder / "compose.yaml"]
        if override:
            files.append(self.folder / f"{name}.yaml")
            files[-1].write_text(override)
        return Project(name, self.folder, files, {"tag": tag})

    async def build(self) -> str:
        """Builds demo/dns:1.0.0; returns its ID."""
        async for _ in self.compose.build(self.project("build", BUILD), ["dns"]):
            pass
        image = await self.engine.image("demo/dns:1.0.0")
        assert image is not None
        return str(image.id)

    async def instance(self, name: str = "one") -> Project:
        """The image built, and the project of dns-1.0.0 up."""
        project = self.project(name, INSTANCE % await self.build())
        await self.compose.up(project, ["dns"])
        return project


@pytest.fixture(params=["fake", pytest.param("docker", marks=pytest.mark.host)])
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    if request.param == "fake":
        subject = FakeSubject()
    else:
        subject = request.getfixturevalue("docker_subject")
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(subject.close)
        yield Bench(tmp_path, subject)


class FakeSubject:
    def __init__(self) -> None:
        self.engine = FakeEngine()
        self.engine.tag("base:1", "base")
        self.engine.scripts["dns-1.0.0"] = Script(log=("hello",))
        self.compose = FakeCompose(self.engine)

    def fail_build(self, folder: Path) -> None:
        self.compose.failing_builds["dns"] = ["it went wrong"]

    async def pause(self, name: str) -> None:
        self.engine.pause(name)

    async def go_down(self) -> None:
        self.engine.go_down()

    async def come_up(self) -> None:
        self.engine.come_up()

    async def close(self) -> None:
        await self.engine.close()


class DockerSubject:
    """A real engine on a host of the test's module; what a test leaves is taken away."""

    def __init__(self, host: Host) -> None:
        self.host = host
        docker_host = host.environment["DOCKER_HOST"]
        self.engine = DockerEngine(docker_host)
        self.compose = DockerCompose(
            docker_host, docker_config=Path(host.environment["DOCKER_CONFIG"])
        )

    def fail_build(self, folder: Path) -> None:
        (folder / "Dockerfile").write_text("FROM base:1\nRUN echo it went wrong; exit 3\n")

    async def pause(self, name: str) -> None:
        await asyncio.to_thread(self.host.docker, ["pause", name])

    async def go_down(self) -> None:
        await asyncio.to_thread(self.host.engine.stop)

    async def come_up(self) -> None:
        await asyncio.to_thread(self.host.engine_start)

    async def close(self) -> None:
        await self.engine.close()
        await asyncio.to_thread(self._clear)

    def _clear(self) -> None:
        def listed(*command: str) -> list[str]:
            return self.host.docker([*command]).stdout.split()

        if containers := listed("ps", "--all", "--quiet"):
            self.host.docker(["rm", "--force", *containers])
        self.host.docker(["network", "prune", "--force"])
        images = listed("images", "--all", "--quiet", "--filter", "label=alongside.service")
        if images:
            self.host.docker(["rmi", "--force", *sorted(set(images))])


@pytest.fixture(scope="module")
def docker_host() -> Iterator[Host]:
    with Host() as host:
        root = host.folder / "root"
        (root / "bin").mkdir(parents=True)
        shutil.copy("/bin/busybox", root / "bin")
        for name in ("sh", "sleep", "echo"):
            (root / "bin" / name).symlink_to("busybox")
        host.run(["tar", "-C", root, "-cf", host.folder / "base.tar", "."])
        host.docker(["import", str(host.folder / "base.tar"), "base:1"])
        yield host


@pytest.fixture
def docker_subject(docker_host: Host) -> DockerSubject:
    return DockerSubject(docker_host)


async def until(events: AsyncIterator[Event], *wanted: tuple[str, str]) -> list[tuple[str, str]]:
    """What is heard of containers' names and actions, until the last wanted one has come."""
    heard: list[tuple[str, str]] = []
    async with asyncio.timeout(20):
        async for event in events:
            if event.kind == "container":
                heard.append((event.name, event.action))
            if heard[-1:] == [wanted[-1]]:
                break
    return heard


async def test_what_is_not_there(bench: Bench) -> None:
    engine = bench.engine

    assert await engine.container("dns-1.0.0") is None
    assert await engine.image("demo/none:1") is None
    await engine.stop("dns-1.0.0")
    await engine.remove("dns-1.0.0")
    await engine.untag("demo/none:1")
    with pytest.raises(NotFound, match=r"dns-1\.0\.0"):
        await engine.start("dns-1.0.0")
    with pytest.raises(NotFound, match=r"dns-1\.0\.0"):
        [_ async for _ in engine.logs("dns-1.0.0", tail=5)]


async def test_a_build_makes_a_labelled_image(bench: Bench) -> None:
    there = await bench.build()

    (image,) = [one for one in await bench.engine.images() if one.id == there]
    assert image.tags == ("demo/dns:1.0.0",)
    assert (image.labels[LABEL_SERVICE], image.labels[LABEL_VERSION]) == ("dns", "1.0.0")
    assert image.size > 0
    assert await bench.engine.image(there) is not None


async def test_a_build_that_fails_says_its_step_and_leaves_no_image(bench: Bench) -> None:
    bench.host.fail_build(bench.folder)

    with pytest.raises(BuildFailed) as caught:
        await bench.build()

    assert caught.value.log[0].startswith("[dns ")
    assert "it went wrong" in caught.value.log
    assert await bench.engine.image("demo/dns:1.0.0") is None


async def test_a_build_of_an_unknown_service_fails(bench: Bench) -> None:
    with pytest.raises(BuildFailed, match="no such service: nosuch"):
        async for _ in bench.compose.build(bench.project(), ["nosuch"]):
            pass


async def test_up_starts_an_instance_under_its_exact_name(bench: Bench) -> None:
    await bench.instance()

    container = await bench.engine.container("dns-1.0.0")
    assert container is not None
    assert container.running
    assert container.health == ""
    assert container.started is not None
    assert container.labels[LABEL_VERSION] == "1.0.0"
    assert container.ipv4 == {"one_default": IPv4Address("172.29.7.2")}
    assert [one.name for one in await bench.engine.containers()] == ["dns-1.0.0"]
    for other in ("dns-1", "dns-1x0x0", container.id[:12], container.id):
        assert await bench.engine.container(other) is None


async def test_up_again_changes_nothing_that_runs_and_starts_what_does_not(bench: Bench) -> None:
    project = await bench.instance()
    first = await bench.engine.container("dns-1.0.0")

    await bench.compose.up(project, ["dns"])
    assert await bench.engine.container("dns-1.0.0") == first

    await bench.engine.stop("dns-1.0.0", 1)
    stopped = await bench.engine.container("dns-1.0.0")
    assert stopped is not None
    assert (stopped.state, stopped.exit_code, stopped.pid) == ("exited", 0, 0)

    await bench.compose.up(project, ["dns"])
    again = await bench.engine.container("dns-1.0.0")
    assert again is not None
    assert first is not None
    assert (again.id, again.running, again.ipv4) == (first.id, True, first.ipv4)


async def test_up_keeps_a_container_whose_file_has_changed(bench: Bench) -> None:
    project = await bench.instance()
    first = await bench.engine.container("dns-1.0.0")

    project.files[-1].write_text(project.files[-1].read_text() + "    init: true\n")
    await bench.compose.up(project, ["dns"])

    assert await bench.engine.container("dns-1.0.0") == first


async def test_up_starts_dependencies_first(bench: Bench) -> None:
    await bench.build()
    events = bench.engine.events()

    await bench.compose.up(bench.project("two"), ["dns"])

    heard = await until(events, ("two-dns-1", "start"))
    started = [name for name, action in heard if action == "start"]
    assert started == ["two-db-1", "two-dns-1"]
    # The image's labels are the container's too, also of one that is not an instance.
    assert [one.name for one in await bench.engine.containers()] == ["two-dns-1"]


async def test_up_refuses(bench: Bench) -> None:
    project = await bench.instance()
    missing = f"sha256:{'0' * 64}"
    image = (await bench.engine.images())[0].id

    with pytest.raises(StepFailed, match="no such service: nosuch"):
        await bench.compose.up(project, ["nosuch"])
    with pytest.raises(StepFailed, match=r'"/dns-1\.0\.0" is already in use'):
        taken = (INSTANCE % image).replace("dns:", "dns:\n    networks: !override [back]", 1)
        taken += "networks: {default: !reset null, back: {}}\n"
        await bench.compose.up(bench.project("two", taken), ["dns"])
    with pytest.raises(StepFailed, match=r"[Nn]o such image"):
        other = (INSTANCE % missing).replace("dns-1.0.0", "dns-9\n    pull_policy: never")
        other = other.replace("dns:", "dns:\n    networks: !override [back]", 1)
        other += "networks: {default: !reset null, back: {}}\n"
        await bench.compose.up(bench.project("three", other), ["dns"])


async def test_down_takes_the_project_and_its_network(bench: Bench) -> None:
    project = await bench.instance()
    assert "one_default" in [network.name for network in await bench.engine.networks()]

    await bench.compose.down(project)
    await bench.compose.down(project)

    assert await bench.engine.container("dns-1.0.0") is None
    names = [network.name for network in await bench.engine.networks()]
    assert "one_default" not in names
    assert "bridge" in names


async def test_the_engine_says_what_it_is(bench: Bench) -> None:
    info = await bench.engine.info()

    assert re.match(r"\d+\.\d+", info.version)
    assert re.fullmatch(r"1\.\d+", info.api)
    assert info.firewall in ("", "iptables", "nftables")
    assert (info.live_restore, info.rootless, info.pools) == (False, False, ())


async def test_networks_name_their_bridges(bench: Bench) -> None:
    await bench.instance()

    bridges = {network.name: network.bridge for network in await bench.engine.networks()}

    assert bridges["bridge"] == "docker0"
    assert bridges["one_default"].startswith("br-")


async def test_published_ports_are_those_of_running_containers(bench: Bench) -> None:
    await bench.instance()

    (port,) = await bench.engine.published()
    assert (port.container, port.project) == ("dns-1.0.0", "one")
    assert (port.protocol, str(port.address), port.number) == (Protocol.UDP, "127.0.0.1", 8053)

    await bench.engine.stop("dns-1.0.0", 1)
    assert await bench.engine.published() == []


async def test_logs_end_with_what_is_there_or_with_the_container(bench: Bench) -> None:
    await bench.instance()
    events = bench.engine.events()
    engine = bench.engine

    async def follow() -> list[str]:
        return [line async for line in engine.logs("dns-1.0.0", tail=5, follow=True)]

    following = asyncio.create_task(follow())
    await engine.stop("dns-1.0.0", 1)
    await until(events, ("dns-1.0.0", "stop"))

    async with asyncio.timeout(10):
        assert await following == ["hello"]
    assert [line async for line in engine.logs("dns-1.0.0", tail=5)] == ["hello"]
    assert [line async for line in engine.logs("dns-1.0.0", tail=0)] == []


async def test_a_follower_of_logs_can_be_cancelled(bench: Bench) -> None:
    await bench.instance()

    async def follow() -> None:
        async for _ in bench.engine.logs("dns-1.0.0", tail=5, follow=True):
            heard.set()

    heard = asyncio.Event()
    following = asyncio.create_task(follow())
    async with asyncio.timeout(10):
        await heard.wait()
    following.cancel()
    with pytest.raises(asyncio.CancelledError):
        await following


async def test_events_are_those_since_the_call(bench: Bench) -> None:
    await bench.instance()
    events = bench.engine.events()  # nobody reads yet

    await bench.engine.stop("dns-1.0.0", 1)
    await bench.engine.start("dns-1.0.0")
    await bench.engine.remove("dns-1.0.0")

    heard = await until(events, ("dns-1.0.0", "destroy"))
    actions = [action for _, action in heard]
    wanted = ["die", "stop", "start", "die", "destroy"]
    assert [action for action in actions if action in wanted] == wanted
    assert "create" not in actions


async def test_start_wakes_a_paused_container_and_stop_ends_one(bench: Bench) -> None:
    await bench.instance()
    await bench.host.pause("dns-1.0.0")
    paused = await bench.engine.container("dns-1.0.0")
    assert paused is not None
    assert (paused.state, paused.running) == ("paused", False)

    await bench.engine.start("dns-1.0.0")
    await bench.engine.start("dns-1.0.0")
    woken = await bench.engine.container("dns-1.0.0")
    assert woken is not None
    assert woken.running

    await bench.host.pause("dns-1.0.0")
    await bench.engine.stop("dns-1.0.0", 1)
    stopped = await bench.engine.container("dns-1.0.0")
    assert stopped is not None
    assert stopped.state == "exited"


async def test_an_image_in_use_keeps_its_last_name(bench: Bench) -> None:
    await bench.instance()

    with pytest.raises(StepFailed, match=r"demo/dns:1\.0\.0"):
        await bench.engine.untag("demo/dns:1.0.0")

    await bench.engine.remove("dns-1.0.0")
    await bench.engine.untag("demo/dns:1.0.0")
    assert await bench.engine.image("demo/dns:1.0.0") is None
    assert await bench.engine.images() == []


async def test_the_model_is_written_out_long_and_keeps_extensions(bench: Bench) -> None:
    model = await bench.compose.config(bench.project())

    assert model["x-top"] == "kept"
    dns = model["services"]["dns"]
    assert dns["x-alongside"] == {"ready": "running"}
    assert dns["image"] == "demo/dns:1.0.0"
    assert dns["build"]["dockerfile"] == "Dockerfile"
    assert dns["depends_on"] == {"db": {"condition": "service_started", "required": True}}
    (port,) = dns["ports"]
    assert {key: port[key] for key in ("host_ip", "target", "published", "protocol")} == {
        "host_ip": "127.0.0.1",
        "target": 53,
        "published": "8053",
        "protocol": "udp",
    }
    assert model["networks"]["default"]["name"] == "one_default"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("services: [", "yaml:"),
        ("services: {dns: {x-a: 1}}", "neither an image nor a build context"),
        ("services: {dns: {image: '${nosuch?must be}'}}", "required variable nosuch"),
    ],
)
async def test_a_file_that_is_no_compose_file(bench: Bench, text: str, said: str) -> None:
    project = bench.project()
    project.files[0].write_text(text)

    with pytest.raises(InvalidInput, match=r"^compose\.yaml is not a valid") as caught:
        await bench.compose.config(project)

    assert said in caught.value.message
    assert str(bench.folder) not in caught.value.message


async def test_an_engine_that_goes_away_and_comes_back(bench: Bench) -> None:
    project = await bench.instance()
    events = bench.engine.events()
    first = anext(events)
    await bench.engine.stop("dns-1.0.0", 1)
    await first
    await bench.compose.up(project, ["dns"])

    await bench.host.go_down()

    async with asyncio.timeout(20):
        with contextlib.suppress(Unavailable):
            async for _ in events:
                pass
    with pytest.raises(Unavailable):
        await bench.engine.container("dns-1.0.0")
    with pytest.raises(Unavailable):
        await bench.compose.up(project, ["dns"])

    await bench.host.come_up()
    container = await bench.engine.container("dns-1.0.0")
    assert container is not None
    assert container.state == "exited"


@pytest.mark.host
async def test_a_cancelled_build_ends_in_the_engine_too(
    docker_subject: DockerSubject, tmp_path: Path
) -> None:
    bench = Bench(tmp_path, docker_subject)
    (tmp_path / "Dockerfile").write_text("FROM base:1\nRUN echo begun; sleep 613\n")

    async def build() -> None:
        async for line in bench.compose.build(bench.project(), ["dns"]):
            if line.endswith(" begun"):
                begun.set()

    begun = asyncio.Event()
    building = asyncio.create_task(build())
    async with asyncio.timeout(60):
        await begun.wait()
        while not _running("sleep 613"):  # noqa: ASYNC110 - the shell starts it next
            await asyncio.sleep(0.02)
    building.cancel()
    with pytest.raises(asyncio.CancelledError):
        await building

    async with asyncio.timeout(20):
        while _running("sleep 613") or _running(str(tmp_path)):  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.02)
    await docker_subject.close()


def _running(text: str) -> list[int]:
    """Processes with the text in their command line."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if text in (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode():
                found.append(int(entry.name))
    return found
