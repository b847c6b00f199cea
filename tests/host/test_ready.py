"""Readiness of real containers: what they answer, how they end, and where their packets leave."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any, TypeVar

import pytest

from alongside.domain.errors import NotReady
from alongside.domain.instance import Instance, Subnet
from alongside.domain.service import Ready, ReadyKind
from alongside.domain.version import Version
from alongside.engine.docker import DockerEngine
from alongside.host.default_route import default_gateway, default_gateway6
from alongside.ready import wait_ready
from support.host import Host

pytestmark = pytest.mark.host

T = TypeVar("T")
SUBNET = Subnet("al-ready", IPv4Network("10.213.9.0/28"), IPv6Network("fd00:9::/64"))
ANOTHER = Subnet("al-other", IPv4Network("172.29.9.0/24"), IPv6Network("fd00:a::/64"))
KEYS = ("subnet", "gateway")
INSTANCE = Instance("web", Version("1.0.0"), SUBNET, ())
NAME = INSTANCE.name
HTTP = Ready(ReadyKind.HTTP, port=80, path="/ok", timeout=20, interval=0.05)


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    with Host() as host:
        root = host.folder / "root"
        (root / "bin").mkdir(parents=True)
        (root / "www").mkdir()
        (root / "www" / "ok").write_text("ok\n")
        shutil.copy("/bin/busybox", root / "bin")
        for name in ("sh", "sleep", "echo", "httpd", "cat", "mkdir", "touch"):
            (root / "bin" / name).symlink_to("busybox")
        host.run(["tar", "-C", root, "-cf", host.folder / "base.tar", "."])
        host.docker(["import", str(host.folder / "base.tar"), "base:1"])
        _network(host, "instance", SUBNET)
        _network(host, "another", ANOTHER)
        yield host


def _network(host: Host, name: str, subnet: Subnet) -> None:
    places = [(subnet.ipv4, subnet.gateway4), (subnet.ipv6, subnet.gateway6)]
    options = [f"--{key}={value}" for pair in places for key, value in zip(KEYS, pair, strict=True)]
    host.docker(["network", "create", "--ipv6", *options, name])


@pytest.fixture
def start(host: Host) -> Iterator[Callable[..., None]]:
    """Starts the instance with a shell script as its program."""

    def start(script: str, *options: str) -> None:
        where = ["--network=instance", f"--ip={SUBNET.address4}", f"--ip6={SUBNET.address6}"]
        command = ["base:1", "sh", "-c", script]
        host.docker(["run", "--detach", "--init", f"--name={NAME}", *where, *options, *command])

    yield start
    host.docker(["rm", "--force", NAME])


def on(host: Host, work: Callable[[DockerEngine], Coroutine[Any, Any, T]]) -> T:
    """Run on the host, with a client of its engine."""

    async def main() -> T:
        engine = DockerEngine(host.environment["DOCKER_HOST"])
        try:
            return await work(engine)
        finally:
            await engine.close()

    return host.call(lambda: asyncio.run(main()))


def wait(host: Host, ready: Ready, folder: Path | None = None) -> float:
    """Seconds that it took."""
    began = time.monotonic()
    address = str(SUBNET.address4)
    on(host, lambda engine: wait_ready(ready, address, INSTANCE, engine, folder=folder))
    return time.monotonic() - began


def failure(host: Host, ready: Ready) -> NotReady:
    with pytest.raises(NotReady) as caught:
        wait(host, ready)
    return caught.value


def test_a_server_that_takes_its_time(host: Host, start: Callable[..., None]) -> None:
    start("sleep 0.5; exec httpd -f -p 80 -h /www")

    assert wait(host, HTTP) < 5
    wait(host, Ready(ReadyKind.TCP, port=80))


def test_the_wrong_status_in_its_own_words(host: Host, start: Callable[..., None]) -> None:
    start("echo serving; exec httpd -f -p 80 -h /www")

    error = failure(host, Ready(ReadyKind.HTTP, port=80, path="/no", timeout=1, interval=0.05))

    assert f"GET /no at {SUBNET.address4}:80: 404 Not Found, and not 200" in error.message
    assert error.log == ("serving",)


def test_one_that_ends_is_not_waited_for(host: Host, start: Callable[..., None]) -> None:
    start("echo starting; sleep 0.3; echo 'no zone' >&2; exit 3")
    began = time.monotonic()

    error = failure(host, HTTP)

    assert "it ended with exit code 3" in error.message
    assert sorted(error.log) == ["no zone", "starting"]
    assert time.monotonic() - began < 5


def test_one_that_is_started_again_and_again(host: Host, start: Callable[..., None]) -> None:
    start("sleep 0.1; exit 4", "--restart=always")

    error = failure(host, HTTP)

    assert "it was restarted 3 times, and ended with exit code 4" in error.message


def test_the_health_check(host: Host, start: Callable[..., None]) -> None:
    healthy = ["--health-cmd=cat /well", "--health-interval=0.2s", "--health-retries=1"]
    start("sleep 0.6; touch /well; exec sleep 60", *healthy)

    assert wait(host, Ready(ReadyKind.HEALTH, timeout=20)) < 10


def test_an_unhealthy_one_in_its_check_s_own_words(host: Host, start: Callable[..., None]) -> None:
    start("exec sleep 60", "--health-cmd=cat /well", "--health-interval=0.2s", "--health-retries=1")

    error = failure(host, Ready(ReadyKind.HEALTH, timeout=3))

    assert "its health check says unhealthy: cat: can't open '/well'" in error.message


def test_a_command_in_the_container(host: Host, start: Callable[..., None]) -> None:
    start("sleep 0.5; touch /well; exec sleep 60")
    ready = Ready(ReadyKind.EXEC, command=("cat", "/well"), timeout=20)

    assert wait(host, ready) < 10

    error = failure(host, replace(ready, command=("sh", "-c", "cat /no"), timeout=1))
    assert "exec cat /no: exit code 1: cat: can't open '/no'" in error.message


def test_a_command_on_the_host(host: Host, start: Callable[..., None], tmp_path: Path) -> None:
    (tmp_path / "asks").write_text(
        "#!/bin/sh\n"
        '/bin/busybox wget -q -O- "http://$ALONGSIDE_ADDRESS/$1" || '
        '{ echo "$ALONGSIDE_CONTAINER: no"; exit 2; }'
    )
    (tmp_path / "asks").chmod(0o755)
    start("sleep 0.5; exec httpd -f -p 80 -h /www")
    ready = Ready(ReadyKind.COMMAND, command=("./asks", "ok"), timeout=20)

    assert wait(host, ready, tmp_path) < 10

    with pytest.raises(NotReady, match=r"command \./asks: exit code 2: web-1\.0\.0: no"):
        wait(host, replace(ready, command=("./asks", "no"), timeout=1), tmp_path)


def test_the_body(host: Host, start: Callable[..., None]) -> None:
    start("exec httpd -f -p 80 -h /www")

    wait(host, replace(HTTP, body="ok"))
    error = failure(host, replace(HTTP, body="well", timeout=1))

    assert "200 OK, but without 'well': its body begins 'ok'" in error.message


def test_one_with_nothing_to_ask(host: Host, start: Callable[..., None]) -> None:
    start("exec sleep 60")

    assert wait(host, Ready(ReadyKind.RUNNING)) < 5


def test_a_paused_one_is_not_ready(host: Host, start: Callable[..., None]) -> None:
    start("exec httpd -f -p 80 -h /www")
    wait(host, HTTP)
    host.docker(["pause", NAME])

    error = failure(host, Ready(ReadyKind.TCP, port=80, timeout=0.5))

    host.docker(["unpause", NAME])
    assert "its container is paused" in error.message


def test_the_default_route_is_the_instance_s_own(host: Host, start: Callable[..., None]) -> None:
    start("exec sleep 60")

    async def pid(engine: DockerEngine) -> int:
        container = await engine.container(NAME)
        assert container is not None
        assert container.ipv6 == {"instance": SUBNET.address6}
        return container.pid

    inside = on(host, pid)
    assert default_gateway(inside) == SUBNET.gateway4
    assert default_gateway6(inside) == SUBNET.gateway6

    # Of networks with both families the engine takes the first by name (seen on 20.10).
    host.docker(["network", "connect", "another", NAME])
    assert default_gateway(inside) == ANOTHER.gateway4
    assert default_gateway6(inside) == ANOTHER.gateway6
