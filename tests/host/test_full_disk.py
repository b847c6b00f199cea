"""The state folder's disk is full: one sentence, and nothing has changed; only a rollback works."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from support import ask
from support.host import Host
from support.installation import Installation, load_images, web_files

pytestmark = pytest.mark.host


def test_a_full_disk_is_said_and_changes_nothing(make_host: Callable[..., Host]) -> None:
    host = make_host()
    load_images(host, "responder")
    alongside = Installation(host)
    host.engine_start()
    alongside.state.mkdir()
    # A mount namespace of the daemon's own: nobody else sees this small disk.
    program = (
        f"mount -t tmpfs -o size=4m tmpfs {alongside.state} && "
        f"exec {sys.executable} -m alongside daemon --state-dir {alongside.state}"
    )
    alongside.process = host.spawn(
        ["unshare", "--mount", "sh", "-c", program],
        log=alongside.log,
        env=alongside.environment,
    )
    alongside.wait_ready()
    repository = alongside.repository("site", web_files())
    repository.release("1", {})
    alongside("activate", "web@1")

    before = alongside.api("/v1/status")
    (repository.path / "large").write_bytes(bytes(6 << 20))
    repository.commit({})
    said = repository.tag("2").stderr
    assert "No space left on device" in said
    assert "free space" in said
    assert "are kept for a rollback" in said
    assert in_its_place(alongside, f"ls -A {alongside.state}/incoming") == ""
    assert alongside.api("/v1/status") == before
    assert ask.http_get(host.client, host.address4).body.startswith("1 ")

    # Not even a page of the database can be written: nothing is begun that could not be ended.
    fill = f"dd if=/dev/zero of={alongside.state}/fill bs=4096; dd if=/dev/zero bs=1 count=4096 "
    in_its_place(alongside, f"({fill} of={alongside.state}/rest) 2>/dev/null; true")
    for words in (["deactivate", "web"], ["up", "web@1"], ["port", "assign", "8080:50080/tcp"]):
        said = alongside.refused(*words)
        assert "The state could not be written" in said
        assert "free space" in said
    assert alongside.api("/v1/status")["services"] == before["services"]
    assert ask.http_get(host.client, host.address4).body.startswith("1 ")
    in_its_place(alongside, f"rm {alongside.state}/fill {alongside.state}/rest")

    repository.git("rm", "-q", "large")
    repository.release("3", {})
    alongside("activate", "web@3")
    assert ask.http_get(host.client, host.address4).body.startswith("3 ")

    # Others fill the disk to its last page, and going back works all the same.
    alongside("stop", "web@1")
    in_its_place(alongside, f"({fill} of={alongside.state}/rest) 2>/dev/null; true")
    assert "The state could not be written" in alongside.refused("up", "web@1")
    assert "now reach web@1" in alongside("rollback", "web").stdout
    assert ask.http_get(host.client, host.address4).body.startswith("1 ")
    assert alongside.json("history", "web")["history"][0]["outcome"] == "done"


def in_its_place(alongside: Installation, command: str) -> str:
    """In the daemon's own mount namespace; what it writes."""
    pid = alongside.api("/v1/info")["pid"]
    argv = ["nsenter", "--mount", "--target", str(pid), "sh", "-c", command]
    return alongside.host.run(argv).stdout


class SmallDisk:
    """A state folder on a disk of its own, which outlives the daemon: in a mount namespace that
    another process holds."""

    def __init__(self, alongside: Installation) -> None:
        self.alongside = alongside
        self.gate = alongside.host.folder / "gate"
        alongside.state.mkdir(exist_ok=True)
        program = f"mount -t tmpfs -o size=8m tmpfs {alongside.state} && exec sleep infinity"
        self._holder = alongside.host.spawn(
            ["unshare", "--mount", "sh", "-c", program], log=alongside.host.folder / "holder.log"
        )
        eventually(lambda: "tmpfs" in self.run(f"stat -f -c %T {alongside.state}"))

    def run(self, command: str) -> str:
        enter = ["nsenter", "--mount", "--target", str(self._holder.pid)]
        return self.alongside.host.run([*enter, "sh", "-c", command], check=False).stdout

    def start(self) -> None:
        alongside = self.alongside
        enter = ["nsenter", "--mount", "--target", str(self._holder.pid)]
        daemon = [sys.executable, "-m", "alongside", "daemon", "--state-dir", str(alongside.state)]
        alongside.process = alongside.host.spawn(
            [*enter, *daemon], log=alongside.log, env=alongside.environment
        )
        alongside.wait_ready(90)

    def fill(self) -> None:
        """To the last byte."""
        state = self.alongside.state
        self.run(f"dd if=/dev/zero of={state}/fill bs=4096; dd if=/dev/zero of={state}/rest bs=1")

    def free(self) -> None:
        self.run(f"rm {self.alongside.state}/fill {self.alongside.state}/rest")


def eventually(question: Callable[[], bool], timeout: float = 60) -> None:
    deadline = time.monotonic() + timeout
    while not question():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.05)


def problems(alongside: Installation) -> str:
    return " ".join(alongside.api("/v1/status")["problems"])


def outcomes(alongside: Installation) -> list[str]:
    return [entry["outcome"] for entry in alongside.api("/v1/history")["history"]]


@pytest.fixture(scope="module")
def disk() -> Iterator[SmallDisk]:
    """web@1 has the ports; web@2 is ready once there is its gate."""
    with Host() as host:
        load_images(host, "responder")
        alongside = Installation(host)
        host.engine_start()
        disk = SmallDisk(alongside)
        disk.start()
        files = web_files()
        gate = f'command: "test -e {disk.gate}", timeout: 60s'
        files["compose.yaml"] += f"    x-alongside: {{ready: {{{gate}}}}}\n"
        repository = alongside.repository("site", files)
        for version in ("1", "2"):
            repository.release(version, {"version": version})
        disk.gate.touch()
        alongside("activate", "web@1")
        yield disk


def reaches(alongside: Installation, version: str) -> None:
    host = alongside.host
    assert ask.http_get(host.client, host.address4).body.startswith(f"{version} ")


def test_an_operation_in_which_the_disk_fills_ends_once_there_is_room(disk: SmallDisk) -> None:
    alongside = disk.alongside
    disk.gate.unlink()
    command = [sys.executable, "-m", "alongside", "activate", "web@2"]
    child = alongside.host.popen(command, env=alongside.environment)
    eventually(lambda: ["await-ready", "started"] in last(alongside)["steps"])
    disk.fill()
    disk.gate.touch()
    said, _ = child.communicate(timeout=60)
    assert child.returncode == 1
    assert "could not be written" in said
    reaches(alongside, "1")
    eventually(lambda: "cannot be written" in problems(alongside))
    disk.free()
    eventually(lambda: "pending" not in outcomes(alongside))
    eventually(lambda: problems(alongside) == "")
    assert last(alongside)["outcome"] == "failed"


@pytest.mark.parametrize("kind", ["full", "read-only"])
def test_a_start_without_a_disk_to_write_on_serves_the_routes(disk: SmallDisk, kind: str) -> None:
    """And everything goes on once it can be written, without a restart."""
    alongside, host = disk.alongside, disk.alongside.host
    alongside("activate", "web@2")
    alongside.kill()
    if kind == "full":
        disk.fill()
    else:
        disk.run(f"mount -o remount,ro {alongside.state}")
    host.run(["nft", "delete", "table", "inet", "alongside"])  # as after a restart of the host
    disk.start()
    pid = alongside.api("/v1/info")["pid"]
    reaches(alongside, "2")
    assert "cannot be written" in problems(alongside)
    assert alongside.api("/v1/status")["services"][0]["current"] == "2"
    for words in (["activate", "web@1"], ["up", "web@2"], ["port", "assign", "8080:50080/tcp"]):
        assert "cannot be written" in alongside.refused(*words)
    host.run(["nft", "delete", "table", "inet", "alongside"])
    eventually(lambda: table(host))
    reaches(alongside, "2")
    if kind == "full":
        disk.free()
    else:
        disk.run(f"mount -o remount,rw {alongside.state}")
    eventually(lambda: problems(alongside) == "")
    alongside("rollback", "web")
    reaches(alongside, "1")
    assert alongside.api("/v1/info")["pid"] == pid
    assert "pending" not in outcomes(alongside)


def last(alongside: Installation) -> Any:
    return alongside.api("/v1/history", service="web", limit=1)["history"][0]


def table(host: Host) -> bool:
    listed = host.run(["nft", "list", "table", "inet", "alongside"], check=False)
    return listed.returncode == 0 and "web@2 80/tcp" in listed.stdout
