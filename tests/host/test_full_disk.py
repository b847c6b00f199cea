"""The state folder's disk is full: one sentence, and nothing has changed; only a rollback works."""

from __future__ import annotations

import sys
from collections.abc import Callable

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
    assert alongside.api("/v1/status") == before
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
