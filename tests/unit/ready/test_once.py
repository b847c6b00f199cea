"""One question: what each kind hears, and that nothing is left of a command."""

from __future__ import annotations

import asyncio
import os
import time
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path

import pytest

from alongside.domain.errors import Unavailable
from alongside.domain.instance import Instance, LocalPort, Subnet
from alongside.domain.port import Protocol
from alongside.domain.service import Ready, ReadyKind
from alongside.domain.version import Version
from alongside.domain.words import LONGEST
from alongside.engine.fake import FakeEngine
from alongside.ready import ask_once

SUBNET = Subnet("al-test", IPv4Network("127.53.8.0/28"), IPv6Network("fd00::/64"))
INSTANCE = Instance(
    "dns", Version("1.0.0"), SUBNET, (LocalPort(Protocol.UDP, 53, 20000),)
)  # fmt: skip
HOST = str(SUBNET.address4)
NAME = "dns-1.0.0"


@pytest.fixture
async def engine() -> FakeEngine:
    """The instance runs."""
    engine = FakeEngine()
    engine.tag("base:1", "base")
    engine.add_network(INSTANCE.network, SUBNET.bridge)
    engine.create(
        NAME,
        "base:1",
        network=INSTANCE.network,
        ipv4={INSTANCE.network: IPv4Address(HOST)},
        ipv6={INSTANCE.network: IPv6Address("fd00::2")},
    )
    await engine.start(NAME)
    return engine


def shell(script: str, kind: ReadyKind = ReadyKind.COMMAND) -> Ready:
    return Ready(kind, command=("sh", "-c", script))


async def ask(
    engine: FakeEngine, ready: Ready, folder: Path | None = None, within: float = 20
) -> str:
    return await ask_once(ready, HOST, INSTANCE, engine, folder=folder, within=within)


async def test_running_is_enough_where_nothing_is_asked(engine: FakeEngine) -> None:
    assert await ask(engine, Ready(ReadyKind.RUNNING)) == ""


@pytest.mark.parametrize("kind", [ReadyKind.RUNNING, ReadyKind.COMMAND, ReadyKind.TCP])
async def test_one_that_does_not_run_is_not_asked(engine: FakeEngine, kind: ReadyKind) -> None:
    ready = Ready(kind, port=1, command=("true",))
    await engine.pause(NAME)
    assert await ask(engine, ready) == "its container is paused"

    await engine.start(NAME)
    engine.oom(NAME)
    assert await ask(engine, ready) == ("it ended with exit code 137, killed for want of memory")

    await engine.remove(NAME)
    assert await ask(engine, ready) == "its container is gone"


async def test_health_is_what_the_container_says(engine: FakeEngine) -> None:
    health = Ready(ReadyKind.HEALTH)
    assert "no health check" in await ask(engine, health)
    engine.set_health(NAME, "unhealthy", "trying\nconnection refused")
    assert await ask(engine, health) == "its health check says unhealthy: connection refused"
    engine.set_health(NAME, "healthy")
    assert await ask(engine, health) == ""


async def test_an_engine_that_is_away_says_nothing_of_the_instance(engine: FakeEngine) -> None:
    engine.answers = False
    with pytest.raises(Unavailable):
        await ask(engine, Ready(ReadyKind.RUNNING))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((0, "accepting"), ""),
        ((2, "asking\nno response\n\n"), "exec pg_isready: exit code 2: no response"),
        ((127, ""), "exec pg_isready: exit code 127"),
        (None, "exec pg_isready: no answer in time"),
    ],
)
async def test_a_command_in_the_container(
    engine: FakeEngine, answer: tuple[int, str] | None, said: str
) -> None:
    engine.execs[NAME] = answer
    ready = Ready(ReadyKind.EXEC, command=("pg_isready", "-q"))

    assert await ask(engine, ready, within=20 if answer else 0.1) == said
    assert engine.executed == [(NAME, ("pg_isready", "-q"))]


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("true", ""),
        ("echo no >&2; exit 3", "command echo no >&2; exit 3: exit code 3: no"),
        ("exit 4", "command exit 4: exit code 4"),
        ("kill -9 $$", "command kill -9 $$: ended by SIGKILL"),
        (f"false # {'x' * 80}", f"command false # {'x' * 51}…: exit code 1"),
    ],
)
async def test_a_command_on_the_host(engine: FakeEngine, script: str, said: str) -> None:
    assert await ask(engine, shell(script)) == said


async def test_a_command_that_is_not_there(engine: FakeEngine, tmp_path: Path) -> None:
    ready = Ready(ReadyKind.COMMAND, command=("./nosuch", "--flag"))
    assert await ask(engine, ready, tmp_path) == "command ./nosuch: No such file or directory"


async def test_what_a_command_is_told(
    engine: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "of the daemon")
    (tmp_path / "check").write_text("#!/bin/sh\npwd; env\n")
    (tmp_path / "check").chmod(0o755)

    assert await ask(engine, shell("./check >out"), tmp_path) == ""

    said = (tmp_path / "out").read_text().splitlines()
    told = dict(line.split("=", 1) for line in said[1:])
    assert said[0] == str(tmp_path)
    assert {name: told[name] for name in told if name.startswith("ALONGSIDE")} == {
        "ALONGSIDE_SERVICE": "dns",
        "ALONGSIDE_VERSION": "1.0.0",
        "ALONGSIDE_CONTAINER": NAME,
        "ALONGSIDE_ADDRESS": HOST,
        "ALONGSIDE_ADDRESS6": "fd00::2",
    }
    assert told["PATH"] == os.environ["PATH"]
    assert "SECRET" not in told
    assert "PORT" not in told


async def test_in_the_host_s_network_a_command_is_told_the_numbers(tmp_path: Path) -> None:
    engine = FakeEngine()
    engine.tag("base:1", "base")
    engine.create(NAME, "base:1")
    await engine.start(NAME)

    script = 'test "$PORT/$PORT_53/$ALONGSIDE_ADDRESS6" = 20000/20000/'
    assert await ask(engine, shell(script)) == ""


async def test_a_command_that_hangs_is_killed_with_all_that_it_started(
    engine: FakeEngine, tmp_path: Path
) -> None:
    script = "trap '' TERM; sleep 60 & echo $! $$ >started; wait"

    began = time.monotonic()
    heard = await ask(engine, shell(script), tmp_path, within=0.5)

    assert heard.endswith(": no answer in time")
    assert time.monotonic() - began < 10
    await _gone(tmp_path)


async def test_cancelled_it_leaves_no_process_and_no_task(
    engine: FakeEngine, tmp_path: Path
) -> None:
    script = "sleep 60 & echo $! $$ >new; mv new started; wait"
    asking = asyncio.create_task(ask(engine, shell(script), tmp_path))
    async with asyncio.timeout(20):
        while not (tmp_path / "started").exists():  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.01)

    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking

    await _gone(tmp_path)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_what_a_command_leaves_behind_goes_with_it(
    engine: FakeEngine, tmp_path: Path
) -> None:
    """It holds the pipe, too, and is not waited for."""
    script = "sleep 60 & echo $! >started; echo done; exit 1"

    began = time.monotonic()
    assert (await ask(engine, shell(script), tmp_path)).endswith("exit code 1: done")

    assert time.monotonic() - began < 10
    await _gone(tmp_path)


async def test_a_command_that_writes_without_end(engine: FakeEngine) -> None:
    heard = await ask(engine, shell("yes | head -c 5000000; echo; echo the last; exit 1"))
    assert heard.endswith("exit code 1: the last")


async def _gone(folder: Path) -> None:
    """The processes that a script wrote down."""
    async with asyncio.timeout(20):
        for number in (folder / "started").read_text().split():
            while _runs(int(number)):  # noqa: ASYNC110 - no event
                await asyncio.sleep(0.01)


def _runs(number: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{number}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


async def test_words_without_end_are_cut(engine: FakeEngine) -> None:
    """Of a health check, and of a server that speaks no HTTP."""
    engine.set_health(NAME, "unhealthy", "no " * 40_000)
    said = await ask(engine, Ready(ReadyKind.HEALTH))
    assert said.startswith("its health check says unhealthy: no no")
    assert len(said) <= LONGEST

    async def babble(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"no HTTP " * 15_000 + b"\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(babble, HOST, 0) as server:
        port = server.sockets[0].getsockname()[1]
        said = await ask(engine, Ready(ReadyKind.HTTP, port=port))
    assert said.startswith(f"GET / at {HOST}:{port}: ")
    assert len(said) <= LONGEST
    assert "\n" not in said
