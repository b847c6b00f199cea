"""The hosts that the other host tests stand on: whole machines, and gone when their owner is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from support import ask
from support.host import Host
from support.load import Load
from support.namespace import CommandFailed
from support.remains import RUNS, STORES, sweep

pytestmark = pytest.mark.host

RESPONDER = Path(__file__).parents[1] / "support" / "responder.py"
COMPOSE = """\
services:
  echo:
    build:
      context: .
      args: {VERSION: "1.0.0"}
    image: example/echo:1.0.0
    ports: ["8080:80", "8080:80/udp"]
networks:
  default:
    enable_ipv6: true
    ipam: {config: [{subnet: 172.31.7.0/24}, {subnet: "fd00:7::/64"}]}
"""
DOCKERFILE = """\
FROM alongside-test/responder
ARG VERSION
RUN echo "built as $VERSION" >/built
ENV VERSION=$VERSION
"""


def test_a_client_reaches_its_host_and_the_host_the_client(make_host: Callable[..., Host]) -> None:
    host = make_host()
    other = host.neighbour()
    host.spawn([sys.executable, RESPONDER], env={"PORTS": "7", "VERSION": "1.0.0"})
    for client in (host.client, other):
        answer = ask.patiently(partial(ask.line, client, client.host4, 7, "hello"))
        assert answer == f"1.0.0 {client.address4} hello"
        assert ask.datagram(client, client.host6, 7, "x") == f"1.0.0 {client.address6} x"
    with pytest.raises(ConnectionRefusedError):
        ask.line(host.client, host.address4, 8)


def test_two_hosts_have_the_same_addresses_and_their_own_rules(
    make_host: Callable[..., Host],
) -> None:
    first, second = make_host(), make_host()
    first.nft("add table inet mine")
    assert first.address4 == second.address4
    assert "table inet mine" in first.run(["nft", "list", "tables"]).stdout
    assert second.run(["nft", "list", "tables"]).stdout == ""
    with pytest.raises(CommandFailed, match="No such file or directory"):
        second.run(["nft", "list", "table", "inet", "mine"])


def test_compose_builds_from_a_local_base_and_the_container_answers(
    engine_host: Host, tmp_path: Path
) -> None:
    host = engine_host
    host.image("responder")
    tmp_path.joinpath("compose.yaml").write_text(COMPOSE)
    tmp_path.joinpath("Dockerfile").write_text(DOCKERFILE)
    built = host.docker(["compose", "--progress", "plain", "build"], cwd=tmp_path)
    assert "RUN echo" in built.stdout + built.stderr  # BuildKit's own progress
    host.docker(["compose", "up", "--detach", "--wait"], cwd=tmp_path)
    try:
        client = host.client
        for address in (host.address4, host.address6):
            line = ask.patiently(partial(ask.line, client, address, 8080, "x"))
            assert line.split()[::2] == ["1.0.0", "x"]
            assert ask.datagram(client, address, 8080, "x").split()[::2] == ["1.0.0", "x"]
            assert ask.http_get(client, address, 8080, "/p").body.split()[::2] == ["1.0.0", "/p"]
        # IPv4 alone: 20.10 has IPv6 come through its proxy, which hides the client's address.
        assert ask.line(client, host.address4, 8080, "x").split()[1] == client.address4
        assert ask.line(host, "127.0.0.1", 8080, "x").startswith("1.0.0 ")
    finally:
        host.docker(["compose", "down", "--timeout", "1"], cwd=tmp_path)


@pytest.mark.parametrize("suite,version", [("bookworm", "2.90"), ("trixie", "2.91")])
def test_dnsmasq_of_two_debian_releases(engine_host: Host, suite: str, version: str) -> None:
    host = engine_host
    name = f"dnsmasq-{suite}"
    publish = ["--publish", "53:53/udp", "--publish", "53:53/tcp"]
    host.docker(["run", "--detach", "--rm", "--name", name, *publish, host.image(name)])
    try:
        for tcp in (False, True):
            said = ask.patiently(
                partial(
                    ask.dns_query,
                    host.client,
                    host.address4,
                    "version.bind",
                    tcp=tcp,
                    chaos=True,
                )
            )
            assert said[0].startswith(f"dnsmasq-{version}")
            with Load(
                host.client,
                "tcp" if tcp else "udp",
                host.address4,
                53,
                dialect="dns",
                workers=2,
                count=50,
            ) as load:
                report = load.wait()
            assert report.versions == {suite: 100}
            assert not report.failures
    finally:
        host.docker(["rm", "--force", name])


@pytest.mark.parametrize("suite,version", [("bookworm", "1.22."), ("trixie", "1.26.")])
def test_nginx_of_two_debian_releases(engine_host: Host, suite: str, version: str) -> None:
    host = engine_host
    name = f"nginx-{suite}"
    host.docker(["run", "--detach", "--rm", "--name", name, "--publish", "80:80", host.image(name)])
    try:
        reply = ask.patiently(partial(ask.http_get, host.client, host.address4))
        assert reply.status == 200
        assert reply.body.startswith(version)
    finally:
        host.docker(["rm", "--force", name])


def test_an_engine_restarts_and_is_killed(make_host: Callable[..., Host]) -> None:
    host = make_host()
    image = host.image("responder")
    host.docker(["run", "-d", "--name", "kept", "--restart=always", "--publish=7:80", image])
    # A first process that has not yet said what SIGTERM means to it ignores it, and the
    # engine waits ten seconds for it.
    ask.patiently(partial(ask.line, host.client, host.address4, 7))
    host.engine_restart()
    assert host.docker(["inspect", "--format", "{{.State.Running}}", "kept"]).stdout == "true\n"
    host.engine_kill()
    assert host.engine.pid == 0
    host.engine_start()
    assert host.docker(["inspect", "--format", "{{.Name}}", "kept"]).stdout == "/kept\n"


def test_a_load_counts_what_fails(make_host: Callable[..., Host]) -> None:
    host = make_host()
    with Load(host.client, "tcp", host.address4, 9, count=5, workers=2) as load:
        report = load.wait()
    assert (len(report.answers), len(report.failures)) == (0, 10)
    assert all("ConnectionRefusedError" in failure.error for failure in report.failures)


OWNER = """\
import os, sys
sys.path[:0] = [sys.argv[1]]
from support.host import Host
host = Host()
host.docker(["run", "--detach", host.image("responder")])
host.spawn(["sleep", "1000"])
print(host.name, flush=True)
sys.stdin.read()
"""


def test_nothing_is_left_of_an_owner_that_was_killed() -> None:
    tests = Path(__file__).parents[1]
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, tests],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with owner:
        assert owner.stdout is not None
        name = owner.stdout.readline().strip()
        token = name.split("-")[1]
        assert token not in sweep()  # it lives, so it is left alone
        assert Path("/run/netns", name).exists()
        assert _remains_of(token)
        os.kill(owner.pid, signal.SIGKILL)
    sweep()  # or somebody else's, who runs tests at the same time: ours waits for theirs
    assert _remains_of(token) == []


def _remains_of(token: str) -> list[str]:
    """Namespaces, folders, mounts, cgroups and processes that name this run."""
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    folders = [RUNS / token, STORES / token, *Path("/run/netns").glob(f"*{token}*")]
    groups = [
        *Path("/sys/fs/cgroup").glob(f"*{token}*"),
        *Path("/sys/fs/cgroup").glob(f"*/*{token}*"),
    ]
    processes = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if token.encode() in entry.read_bytes():
                processes.append(entry)
        except OSError:
            continue
    found = [path for path in (*folders, *groups, *processes) if path.exists()]
    return [str(path) for path in found] + [line for line in mounts if token in line]
