"""`DockerCompose` with a script in the place of `docker compose`."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from alongside.domain.errors import InvalidInput, MissingRequirement, StepFailed, Unavailable
from alongside.engine import compose as module
from alongside.engine.compose import DockerCompose
from alongside.engine.protocol import Project

Make = Callable[[str], DockerCompose]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def make(script: str) -> DockerCompose:
        program = tmp_path / "docker"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        return DockerCompose("unix:///x.sock", command=[str(program)], docker_config=tmp_path)

    return make


@pytest.fixture
def project(tmp_path: Path) -> Project:
    files = [tmp_path / "compose.yaml", tmp_path / "override.yaml"]
    return Project("dns-1-0-0", tmp_path, files, {"tag": "1.0.0"})


async def test_what_a_command_is_told(
    make: Make, project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("COMPOSE_FILE", "DOCKER_CONTEXT", "BUILDX_BUILDER", "SECRET", "GIT_DIR"):
        monkeypatch.setenv(name, "not to be seen")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    seen = tmp_path / "seen"
    compose = make(f'echo "$@" > {seen}; env >> {seen}; cat >> {seen}')

    await compose.up(project, ["dns"])

    arguments, *environment = seen.read_text().splitlines()
    assert arguments == (
        f"--project-name dns-1-0-0 --project-directory {tmp_path} "
        f"--file {tmp_path}/compose.yaml --file {tmp_path}/override.yaml "
        "up --detach --no-build --no-recreate --quiet-pull dns"
    )
    variables = dict(line.split("=", 1) for line in environment)
    assert variables["DOCKER_HOST"] == "unix:///x.sock"
    assert variables["DOCKER_CONFIG"] == str(tmp_path)
    assert variables["tag"] == "1.0.0"
    assert variables["HTTPS_PROXY"] == "http://proxy:3128"
    assert "not to be seen" not in variables.values()


async def test_a_refusal_in_compose_s_own_words(make: Make, project: Project) -> None:
    compose = make(
        """cat >&2 <<'.'
time="2026-11-23T13:01:03Z" level=warning msg="The \\"x\\" variable is not set."
 Network dns_default  Creating
 Container dns-1.0.0  Starting
Error response from daemon: port is already allocated
.
exit 1"""
    )

    with pytest.raises(StepFailed) as caught:
        await compose.up(project, ["dns"])

    said = "Error response from daemon: port is already allocated"
    assert caught.value.message == f"Compose could not start dns: {said}"
    assert caught.value.log == (said,)


DOWN = {
    "2.26": "Cannot connect to the Docker daemon at unix:///x.sock. Is the docker daemon running?",
    "2.40": "unable to get image 'repo/web:1': Cannot connect to the Docker daemon at "
    "unix:///x.sock. Is the docker daemon running?",
    "with 29": "unable to get image 'repo/web:1': failed to connect to the docker API at "
    "unix:///x.sock; check if the path is correct and if the daemon is running: dial unix /x.sock: "
    "connect: no such file or directory",
    "http": 'error during connect: Get "http://x/_ping": dial tcp: connection refused',
}


@pytest.mark.parametrize("said", DOWN.values(), ids=DOWN)
async def test_an_engine_that_does_not_answer(make: Make, project: Project, said: str) -> None:
    words = project.directory / "words"
    words.write_text(f"{said}\n")
    compose = make(f"cat {words} >&2; exit 1")

    for asking in (
        compose.up(project, ["dns"]),
        compose.create(project, ["dns"]),
        compose.down(project),
    ):
        with pytest.raises(Unavailable, match="Compose could not") as caught:
            await asking
        assert said in caught.value.message
    with pytest.raises(Unavailable, match="Compose could not"):
        [_ async for _ in compose.run(project, "dns", ["migrate"])]


@pytest.mark.parametrize(
    "said",
    [
        "IPv4 forwarding is disabled: check your host's firewalling and set sysctl "
        "net.ipv4.ip_forward=1, or disable this check using daemon option --ip-forward=false",
        "IPv6 global forwarding is disabled: check your host's firewalling and set sysctls "
        "net.ipv6.conf.all.forwarding=1 and net.ipv6.conf.default.forwarding=1, or disable this "
        "check using daemon option --ip-forward=false",
    ],
)
async def test_an_engine_that_leaves_forwarding_to_its_user(
    make: Make, project: Project, said: str
) -> None:
    """As release 29 with nftables says it."""
    words = project.directory / "words"
    words.write_text(f"failed to create network dns: Error response from daemon: {said}\n")
    with pytest.raises(StepFailed) as caught:
        await make(f"cat {words} >&2; exit 1").up(project, ["dns"])
    assert said in caught.value.message
    assert "alongside doctor" in caught.value.hint


async def test_a_program_that_looks_for_an_engine_of_its_own(make: Make, project: Project) -> None:
    """It is the program that failed, and no engine of ours that is down."""
    compose = make("echo 'deploy: Cannot connect to the Docker daemon at tcp://ci:2375.'; exit 1")

    with pytest.raises(StepFailed, match="ended with exit code 1: deploy: Cannot connect"):
        [_ async for _ in compose.run(project, "dns", ["deploy"])]


async def test_a_file_is_named_as_the_person_knows_it(
    make: Make, project: Project, tmp_path: Path
) -> None:
    compose = make(f"echo 'env file {tmp_path}/.env not found' >&2; exit 14")

    with pytest.raises(InvalidInput) as caught:
        await compose.config(project)

    assert caught.value.message == (
        "compose.yaml is not a valid compose file: env file .env not found"
    )


async def test_the_version(make: Make) -> None:
    assert await make("echo v2.29.1").version() == "2.29.1"
    with pytest.raises(MissingRequirement, match="version 2"):
        await make("echo 'unknown flag: --short' >&2; exit 125").version()
    with pytest.raises(MissingRequirement, match="nosuch"):
        await DockerCompose("unix:///x.sock", command=["nosuch"]).version()


async def test_build_lines_come_as_they_are_written(
    make: Make, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    compose = make("echo first; read line < $HOME/go; echo second; echo third >&2")
    fifo = Path(project.directory, "go")
    os.mkfifo(fifo)
    monkeypatch.setenv("HOME", str(project.directory))

    lines = compose.build(project, ["dns"])
    async with asyncio.timeout(10):
        assert await anext(lines) == "first"
        await asyncio.to_thread(fifo.write_text, "go\n")
        assert [line async for line in lines] == ["second", "third"]


@pytest.mark.parametrize("trap", ["", "trap '' TERM;"])
async def test_a_cancelled_build_ends_with_all_that_it_started(
    make: Make, project: Project, monkeypatch: pytest.MonkeyPatch, trap: str
) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.3)
    compose = make(f"{trap} sleep 600 & echo $$ $!; wait; sleep 600")
    pids: list[int] = []

    async def build() -> None:
        async for line in compose.build(project, ["dns"]):
            pids.extend(int(pid) for pid in line.split())
            started.set()

    started = asyncio.Event()
    building = asyncio.create_task(build())
    async with asyncio.timeout(10):
        await started.wait()
    building.cancel()
    with pytest.raises(asyncio.CancelledError):
        await building

    deadline = time.monotonic() + 10
    while any(map(runs, pids)):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


def runs(pid: int) -> bool:
    """A killed grandchild stays a zombie until whoever adopted it looks."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_a_command_in_a_container_of_its_own(
    make: Make, project: Project, tmp_path: Path
) -> None:
    seen = tmp_path / "seen"
    compose = make(f'echo "$@" >> {seen}; echo first; echo second >&2')

    assert [line async for line in compose.run(project, "dns", ["sh", "-c", "x"])] == [
        "first",
        "second",
    ]

    (arguments,) = seen.read_text().splitlines()  # nothing to clean up
    assert arguments.startswith("--progress quiet --project-name dns-1-0-0 ")
    before, _, after = arguments.partition(" run ")
    assert before.endswith("/override.yaml")
    assert after.startswith("--rm --no-TTY --interactive=false --quiet-pull --name dns-1-0-0-dns-")
    assert after.endswith(" dns sh -c x")


async def test_a_command_that_fails_is_cleaned_up_after(
    make: Make, project: Project, tmp_path: Path
) -> None:
    seen = tmp_path / "seen"
    compose = make(f'echo "$@" >> {seen}; echo no such column; echo; exit 3')

    with pytest.raises(StepFailed) as caught:
        [_ async for _ in compose.run(project, "dns", ["migrate", "all of it"])]

    assert caught.value.message == (
        "migrate 'all of it', in a container of dns, ended with exit code 3: no such column"
    )
    assert caught.value.log == ("no such column", "")
    run, removed, *_ = seen.read_text().splitlines()
    name = run.partition("--name ")[2].split()[0]
    assert removed == f"rm --force --volumes {name}"


async def test_composes_own_empty_line_is_not_the_programs(make: Make, project: Project) -> None:
    """2.40 begins with one; those that the program writes are its own."""
    compose = make("echo; echo first; echo; echo second")

    lines = [line async for line in compose.run(project, "dns", ["migrate"])]
    assert lines == ["first", "", "second"]
