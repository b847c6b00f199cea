"""One contract for both: what the fake promises, the real engine and Compose keep."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import tarfile
from collections.abc import AsyncIterator, Iterator, Sequence
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from alongside.domain.errors import BuildFailed, InvalidInput, NotFound, StepFailed, Unavailable
from alongside.domain.port import Protocol
from alongside.engine.compose import DockerCompose
from alongside.engine.docker import DockerEngine
from alongside.engine.fake import FakeCompose, FakeEngine, Script
from alongside.engine.protocol import (
    LABEL_SERVICE,
    LABEL_VERSION,
    Container,
    Event,
    Project,
)
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

ONCE = """\
services:
  dns:
    image: %s
    build: !reset null
    ports: !reset null
    networks: !override {default: {}}
    labels: {alongside.service: dns, alongside.ordinal: before}
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

    async def once(self, command: list[str], *, wrote: Sequence[str], code: int | None) -> Any:
        """The lines of a command in a container of its own, which come to this in the fake."""
        self.host.runs("dns", wrote, code)
        project = self.project("one", ONCE % await self.build())
        return self.compose.run(project, "dns", command)

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

    def runs(self, service: str, wrote: Sequence[str], code: int | None) -> None:
        self.compose.runs[service] = Script(log=tuple(wrote), exit_code=code)

    def execs(self, name: str, code: int, wrote: str) -> None:
        self.engine.execs[name] = (code, wrote)

    async def run_out_of_memory(self, name: str) -> None:
        self.engine.oom(name)

    async def lose_network(self, name: str) -> None:
        self.engine.remove_network(name)

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

    def runs(self, service: str, wrote: Sequence[str], code: int | None) -> None:
        pass  # likewise

    def execs(self, name: str, code: int, wrote: str) -> None:
        pass  # the command itself does it

    async def run_out_of_memory(self, name: str) -> None:
        await asyncio.to_thread(self.host.docker, ["kill", "--signal=USR1", name])

    async def lose_network(self, name: str) -> None:
        await asyncio.to_thread(self.host.docker, ["network", "rm", name])

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
        for name in ("sh", "sleep", "echo", "dd"):
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


async def until_gone(events: AsyncIterator[Event]) -> list[tuple[str, str]]:
    """What is heard until a container is destroyed."""
    heard: list[tuple[str, str]] = []
    async with asyncio.timeout(30):
        async for event in events:
            if event.kind == "container":
                heard.append((event.name, event.action))
                if event.action == "destroy":
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

    assert re.match(r"\[(dns )?\d/\d\] ", caught.value.log[0])  # buildx 0.29 says no service
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


MOUNTS = """\
services:
  db:
    image: base:1
    command: [sleep, "600"]
    volumes: ["./data:/data", "./conf:/conf:ro", "kept:/kept", "/run"]
volumes: {kept: {}}
"""


async def test_a_container_says_what_it_has_mounted_running_or_not_ours_or_not(
    bench: Bench,
) -> None:
    (bench.folder / "mounts.yaml").write_text(MOUNTS)
    for name in ("data", "conf"):
        (bench.folder / name).mkdir()
    project = Project("mounts", bench.folder, [bench.folder / "mounts.yaml"], {})
    await bench.compose.up(project, ["db"])

    async def look() -> Container:
        assert await bench.engine.containers() == []  # it is none of ours
        (found,) = await bench.engine.everything()
        return found

    found = await look()
    by_target = {one.target: one for one in found.mounts}
    assert set(by_target) == {"/data", "/conf", "/kept", "/run"}
    data, conf, kept = by_target["/data"], by_target["/conf"], by_target["/kept"]
    assert (data.kind, data.source, data.volume) == ("bind", str(bench.folder / "data"), "")
    assert (data.writable, conf.writable, kept.writable) == (True, False, True)
    assert (kept.kind, kept.volume) == ("volume", "mounts_kept")
    assert by_target["/run"].kind == "volume"
    assert len(by_target["/run"].volume) == 64  # one without a name

    await bench.engine.stop(found.name, 1)
    assert await bench.engine.running() == []
    assert (await look()).mounts == found.mounts


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


async def test_what_has_lost_its_network_is_made_anew_with_its_volumes(bench: Bench) -> None:
    volume = "    volumes: [{type: volume, target: /data}]\n"
    project = bench.project("one", INSTANCE % await bench.build() + volume)
    await bench.compose.up(project, ["dns", "db"])
    first = await bench.engine.container("dns-1.0.0")
    assert first is not None
    before = {one.name: one.id for one in await bench.engine.networks()}
    assert first.networks == {"one_default": before["one_default"]}
    assert {one.volume for one in first.mounts} <= set(await bench.engine.volumes())

    for name in ("dns-1.0.0", "one-db-1"):
        await bench.engine.stop(name, 1)
    await bench.host.lose_network("one_default")
    with pytest.raises(StepFailed, match=r"network .* not found"):
        await bench.compose.up(project, ["dns"])
    stopped = await bench.engine.container("dns-1.0.0")
    assert stopped is not None
    assert stopped.networks == first.networks  # as it knew them

    await bench.compose.recreate(project, ["dns"])
    again = await bench.engine.container("dns-1.0.0")
    assert again is not None
    assert again.running
    assert again.id != first.id
    assert (again.ipv4, again.mounts) == (first.ipv4, first.mounts)
    now = {one.name: one.id for one in await bench.engine.networks()}
    assert again.networks == {"one_default": now["one_default"]} != first.networks
    db = await bench.engine.container("one-db-1")
    assert db is not None
    assert db.state == "exited", "nothing else was touched"


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


async def test_a_command_in_a_container_of_its_own(bench: Bench) -> None:
    script = "echo first; echo second >&2; echo third"
    lines = await bench.once(["sh", "-c", script], wrote=["first", "second", "third"], code=0)
    events = bench.engine.events()

    assert sorted([line async for line in lines]) == ["first", "second", "third"]

    heard = [action for _, action in await until_gone(events)]
    assert heard.count("start") == 2  # its dependency's, then its own
    assert await bench.engine.containers() == []
    (dependency,) = await bench.engine.running()
    assert dependency.name == "one-db-1"


async def test_a_command_that_fails_says_its_exit_code_and_its_last_lines(bench: Bench) -> None:
    lines = await bench.once(
        ["sh", "-c", "echo one table; echo no such column >&2; exit 3"],
        wrote=["one table", "no such column"],
        code=3,
    )
    events = bench.engine.events()

    with pytest.raises(
        StepFailed, match=r"^sh -c '.*', in a container of dns, ended with"
    ) as caught:
        [_ async for _ in lines]

    assert "exit code 3: " in caught.value.message
    assert sorted(caught.value.log) == ["no such column", "one table"]
    await until_gone(events)
    assert await bench.engine.containers() == []


async def test_a_command_that_cannot_begin(bench: Bench) -> None:
    await bench.build()
    with pytest.raises(StepFailed, match="ended with exit code 1: no such service: nosuch"):
        [_ async for _ in bench.compose.run(bench.project(), "nosuch", ["echo"])]
    missing = bench.project("two", (ONCE % f"sha256:{'0' * 64}") + "    pull_policy: never\n")
    with pytest.raises(StepFailed, match=r"[Nn]o such image"):
        [_ async for _ in bench.compose.run(missing, "dns", ["echo"])]

    assert await bench.engine.containers() == []


@pytest.mark.parametrize("how", ["cancelled", "closed"])
async def test_whoever_stops_reading_ends_the_container(bench: Bench, how: str) -> None:
    # It sees the signal: it is stopped, not killed.
    command = ["sh", "-c", "trap 'exit 0' TERM; echo begun; while :; do sleep 1 & wait; done"]
    lines = await bench.once(command, wrote=["begun"], code=None)

    async def read() -> None:
        async with contextlib.aclosing(lines):
            async for _ in lines:
                begun.set()
                if how == "closed":
                    return
        raise AssertionError("it ended by itself")

    begun = asyncio.Event()
    events = bench.engine.events()
    reading = asyncio.create_task(read())
    async with asyncio.timeout(60):
        await begun.wait()
        if how == "cancelled":
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
        else:
            await reading

    await until_gone(events)
    assert await bench.engine.containers() == []


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


async def test_pause_freezes_what_runs_and_nothing_else(bench: Bench) -> None:
    await bench.instance()
    events = bench.engine.events()

    await bench.engine.pause("dns-1.0.0")
    await bench.engine.pause("dns-1.0.0")
    paused = await bench.engine.container("dns-1.0.0")
    assert paused is not None
    assert (paused.state, paused.exit_code) == ("paused", 0)
    assert await until(events, ("dns-1.0.0", "pause")) == [("dns-1.0.0", "pause")]

    await bench.engine.stop("dns-1.0.0", 1)
    with pytest.raises(StepFailed, match=r"pause the container dns-1\.0\.0: .*not running"):
        await bench.engine.pause("dns-1.0.0")
    with pytest.raises(NotFound, match=r"dns-1\.0"):
        await bench.engine.pause("dns-1.0")


async def test_a_container_that_is_killed_for_memory_says_so(bench: Bench) -> None:
    eater = (
        "    mem_limit: 16m\n"
        "    command: [sh, -c, \"trap 'exec dd if=/dev/zero of=/dev/null bs=64M' USR1; "
        'echo hello; while :; do sleep 1 & wait; done"]\n'
    )
    await bench.compose.up(bench.project("one", INSTANCE % await bench.build() + eater), ["dns"])
    async for line in bench.engine.logs("dns-1.0.0", tail=1, follow=True):
        if line == "hello":  # its trap is set
            break
    before = await bench.engine.container("dns-1.0.0")
    assert before is not None
    assert not before.oom
    events = bench.engine.events()

    await bench.host.run_out_of_memory("dns-1.0.0")

    heard = await until(events, ("dns-1.0.0", "die"))
    assert ("dns-1.0.0", "oom") in heard
    ended = await bench.engine.container("dns-1.0.0")
    assert ended is not None
    assert (ended.state, ended.exit_code, ended.oom) == ("exited", 137, True)

    # It is the last run's, also while the next one goes on, until that one ends.
    await bench.engine.start("dns-1.0.0")
    await bench.engine.stop("dns-1.0.0", 1)
    again = await bench.engine.container("dns-1.0.0")
    assert again is not None
    assert (again.state, again.oom) == ("exited", False)


async def test_a_command_in_the_container(bench: Bench) -> None:
    await bench.instance()
    bench.host.execs("dns-1.0.0", 3, "asked\nrefused")

    code, wrote = await bench.engine.exec(
        "dns-1.0.0", ["sh", "-c", "echo asked; echo refused >&2; exit 3"]
    )

    assert (code, sorted(wrote.splitlines())) == (3, ["asked", "refused"])


async def test_a_command_needs_a_container_that_runs(bench: Bench) -> None:
    await bench.instance()
    with pytest.raises(NotFound, match=r"no container dns-1\.0,"):
        await bench.engine.exec("dns-1.0", ["echo"])

    await bench.engine.pause("dns-1.0.0")
    with pytest.raises(StepFailed, match=r"did not run echo in .*is paused"):
        await bench.engine.exec("dns-1.0.0", ["echo"])

    await bench.engine.stop("dns-1.0.0", 1)
    with pytest.raises(StepFailed, match=r"did not run echo in .*is not running"):
        await bench.engine.exec("dns-1.0.0", ["echo"])


async def test_start_wakes_a_paused_container_and_stop_ends_one(bench: Bench) -> None:
    await bench.instance()
    await bench.engine.pause("dns-1.0.0")
    paused = await bench.engine.container("dns-1.0.0")
    assert paused is not None
    assert (paused.state, paused.running) == ("paused", False)

    await bench.engine.start("dns-1.0.0")
    await bench.engine.start("dns-1.0.0")
    woken = await bench.engine.container("dns-1.0.0")
    assert woken is not None
    assert woken.running

    await bench.engine.pause("dns-1.0.0")
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


async def test_a_saved_image_is_loaded_as_the_very_same(bench: Bench) -> None:
    there = await bench.build()
    before = await bench.engine.image(there)
    archive = bench.folder / "image.tar"
    archive.write_text("an older one")
    await bench.engine.save("demo/dns:1.0.0", archive)
    await bench.engine.remove_image(there)
    assert await bench.engine.image(there) is None

    await bench.engine.load(archive)
    await bench.engine.load(archive)

    assert await bench.engine.image("demo/dns:1.0.0") == before
    assert await bench.engine.image(there) == before
    assert [one.name for one in bench.folder.glob("*image.tar*")] == ["image.tar"]
    await bench.compose.up(bench.project("one", INSTANCE % there), ["dns"])
    container = await bench.engine.container("dns-1.0.0")
    assert container is not None
    assert (container.running, container.image_id) == (True, there)


async def test_what_cannot_be_saved_leaves_nothing(bench: Bench) -> None:
    await bench.build()
    with pytest.raises(StepFailed, match="no image demo/none:1"):
        await bench.engine.save("demo/none:1", bench.folder / "none.tar")
    with pytest.raises(StepFailed, match=r"save the image demo/dns:1\.0\.0: .*cannot be written"):
        await bench.engine.save("demo/dns:1.0.0", bench.folder / "nosuch" / "image.tar")

    assert sorted(one.name for one in bench.folder.iterdir()) == [
        "Dockerfile",
        "build.yaml",
        "compose.yaml",
    ]


async def test_what_is_no_archive_cannot_be_loaded(bench: Bench) -> None:
    (bench.folder / "text").write_text("no archive")
    with pytest.raises(StepFailed, match="text is no image archive"):
        await bench.engine.load(bench.folder / "text")
    with pytest.raises(StepFailed, match=r"nosuch cannot be read: No such file"):
        await bench.engine.load(bench.folder / "nosuch")


async def test_an_image_is_removed_with_all_of_its_names(bench: Bench) -> None:
    there = await bench.build()
    await bench.engine.tag_image(there, "demo/dns:current")
    await bench.engine.tag_image(there, "demo/other:7")

    await bench.engine.remove_image(there)
    await bench.engine.remove_image(there)

    assert await bench.engine.image(there) is None
    assert await bench.engine.image("demo/other:7") is None


async def test_an_image_in_use_is_not_removed_and_keeps_its_names(bench: Bench) -> None:
    await bench.instance()
    await bench.engine.stop("dns-1.0.0", 1)
    image = await bench.engine.image("demo/dns:1.0.0")
    assert image is not None
    await bench.engine.tag_image(image.id, "demo/dns:current")

    with pytest.raises(StepFailed, match=r"container dns-1\.0\.0 uses it"):
        await bench.engine.remove_image(image.id)

    again = await bench.engine.image(image.id)
    assert again is not None
    assert sorted(again.tags) == ["demo/dns:1.0.0", "demo/dns:current"]


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


@pytest.mark.host
async def test_an_archive_that_is_cut_short_or_is_no_image(
    docker_subject: DockerSubject, tmp_path: Path
) -> None:
    bench = Bench(tmp_path, docker_subject)
    there = await bench.build()
    archive = tmp_path / "image.tar"
    await bench.engine.save("demo/dns:1.0.0", archive)
    await bench.engine.remove_image(there)

    for size in (archive.stat().st_size // 2, 10240):
        cut = tmp_path / "cut.tar"
        cut.write_bytes(archive.read_bytes()[:size])
        with pytest.raises(
            StepFailed, match=r"did not load the image archive .*cut\.tar: "
        ) as caught:
            await bench.engine.load(cut)
        assert "unexpected EOF" in caught.value.message
    with tarfile.open(tmp_path / "other.tar", "w") as other:
        other.add(tmp_path / "compose.yaml", "compose.yaml")
    with pytest.raises(StepFailed, match=r"did not load the image archive .*other\.tar: "):
        await bench.engine.load(tmp_path / "other.tar")

    assert await bench.engine.image(there) is None
    await docker_subject.close()


@pytest.mark.host
async def test_only_the_last_of_a_command_s_output_is_kept(
    docker_subject: DockerSubject, tmp_path: Path
) -> None:
    bench = Bench(tmp_path, docker_subject)
    await bench.instance()
    loop = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); echo line $i; done"

    code, wrote = await bench.engine.exec("dns-1.0.0", ["sh", "-c", loop])
    assert code == 0
    assert wrote.endswith("line 19999\nline 20000")
    assert 4000 < len(wrote) <= 4096

    code, wrote = await bench.engine.exec("dns-1.0.0", ["nosuch"])
    assert code in (126, 127)
    assert "nosuch" in wrote
    await docker_subject.close()


@pytest.mark.host
async def test_a_cancelled_command_ends_in_the_container_too(
    docker_subject: DockerSubject, tmp_path: Path
) -> None:
    bench = Bench(tmp_path, docker_subject)
    await bench.instance()
    command = ["sh", "-c", "sleep 619 & sleep 619; echo never"]

    for wait in (True, False):  # one that runs, and one that is only about to
        running = asyncio.create_task(bench.engine.exec("dns-1.0.0", command))
        async with asyncio.timeout(20):
            while wait and len(_running("sleep 619")) < 3:  # noqa: ASYNC110 - no event
                await asyncio.sleep(0.02)
        await asyncio.sleep(0.01)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

        async with asyncio.timeout(20):
            while _running("sleep 619"):  # noqa: ASYNC110 - no event
                await asyncio.sleep(0.02)
    container = await bench.engine.container("dns-1.0.0")
    assert container is not None
    assert container.running
    await docker_subject.close()


def _running(text: str) -> list[int]:
    """Processes with the text in their command line."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if text in (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode():
                found.append(int(entry.name))
    return found
