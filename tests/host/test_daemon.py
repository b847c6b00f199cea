"""The daemon itself: one a host, its parts each by itself, and what systemd hears from it."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.host import Host
from support.installation import Installation

pytestmark = pytest.mark.host


@pytest.fixture(scope="module")
def alongside() -> Iterator[Installation]:
    """With a table that has something in it."""
    with Host() as host:
        alongside = Installation(host)
        alongside.start()
        alongside("port", "assign", "8080:9/tcp")
        yield alongside


def another(
    alongside: Installation, state: Path, at: Path, *, host: Host | None = None, log: str = ""
) -> subprocess.Popen[str]:
    """One more daemon, in the host's network or in another's."""
    words = [sys.executable, "-m", "alongside", "daemon", "--state-dir", str(state)]
    host = host or alongside.host
    return host.spawn(
        [*words, "--socket", str(at)],
        log=log or os.devnull,
        env=alongside.environment,
    )


def picture(alongside: Installation) -> list[object]:
    """The table, the socket, and what the state folder holds."""
    found = [
        (str(path.relative_to(alongside.state)), status.st_size, status.st_mtime_ns, status.st_mode)
        for path in sorted(alongside.state.rglob("*"))
        if (status := path.lstat())
    ]
    status = alongside.socket.lstat()
    return [
        alongside.host.run(["nft", "list", "table", "inet", "alongside"]).stdout,
        (status.st_ino, status.st_ctime_ns),
        alongside.state.lstat().st_mtime_ns,
        found,
    ]


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.02)


def eventually_answers(path: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while True:
        with socket.socket(socket.AF_UNIX) as client:
            if client.connect_ex(str(path)) == 0:
                return
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)


def test_ten_of_ten_are_refused_and_leave_no_trace(alongside: Installation) -> None:
    # Its own first backup comes once there is something to keep, and writes there, too.
    wait_until(lambda: "the state is backed up" in alongside.words())
    before, folder = picture(alongside), alongside.host.folder
    sockets = alongside.host.engine.state
    assert "8080" in str(before[0])
    started = []
    for number in range(10):
        state = alongside.state if number % 4 in (0, 1) else folder / f"state-{number}"
        at = alongside.socket if number % 4 in (0, 2) else sockets / f"{number}.sock"
        log = folder / f"daemon-{number}.log"
        started.append((state, at, log, another(alongside, state, at, log=str(log))))
    assert alongside.process is not None
    for state, at, log, process in started:
        assert process.wait(120) == 1
        said = log.read_text()
        assert f"Another daemon runs on this host (pid {alongside.process.pid}, " in said
        assert f"state folder {alongside.state}, socket {alongside.socket})" in said
        assert f"`kill {alongside.process.pid}`" in said
        assert at == alongside.socket or not at.exists()
        assert state == alongside.state or not state.exists()
    assert picture(alongside) == before
    assert alongside.json("port", "list")


def test_what_another_host_uses_is_refused(alongside: Installation) -> None:
    """Two hosts have a daemon each; the same folder or the same socket they cannot have."""
    # Its own first backup comes once there is something to keep, and writes there, too.
    wait_until(lambda: "the state is backed up" in alongside.words())
    before, folder = picture(alongside), alongside.host.folder
    assert alongside.process is not None
    pid = alongside.process.pid
    with Host() as other:
        at, log = other.engine.state / "b.sock", folder / "other.log"
        one = another(alongside, alongside.state, at, host=other, log=str(log))
        assert one.wait(60) == 1
        said = f"uses the state folder {alongside.state} (pid {pid}, socket {alongside.socket})"
        assert said in log.read_text()
        one = another(alongside, folder / "own", alongside.socket, host=other, log=str(log))
        assert one.wait(60) == 1
        assert f"listens on {alongside.socket} already (pid {pid})" in log.read_text()
        assert not (folder / "own").exists()
        assert not at.exists()
        assert "alongside" not in other.run(["nft", "list", "tables"]).stdout
        assert picture(alongside) == before
        one = another(alongside, folder / "own", at, host=other, log=str(log))
        eventually_answers(at, one)
        one.terminate()
        one.wait(60)


# Whoever may run a program may hold a name like a daemon's.
SQUAT = """
import os, socket, sys, time
os.setuid(65534)
names = ["00000000000000000001-00000000", "9" * 20 + "-00000000", "x", ""]
held = [socket.socket(socket.AF_UNIX) for _ in names]
for one, name in zip(held, names): one.bind("\\0alongside/daemon/" + name)
print("held", flush=True)
time.sleep(1000)
"""


def test_after_a_kill_the_next_starts_at_once_whatever_another_user_holds(
    alongside: Installation,
) -> None:
    """And of several that are started together one runs."""
    host, folder = alongside.host, alongside.host.folder
    squatter = host.popen([sys.executable, "-c", SQUAT])
    assert squatter.stdout is not None
    assert squatter.stdout.readline() == "held\n"
    alongside.kill()
    started = []
    for number in range(4):
        at = host.engine.state / f"next-{number}.sock"
        state = folder / f"next-{number}"
        started.append((at, another(alongside, state, at, log=str(folder / "next.log"))))
    deadline = time.monotonic() + 60
    while len(runs := [(at, one) for at, one in started if one.poll() is None]) > 1:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    ((at, last),) = runs
    eventually_answers(at, last)
    assert [one.wait() for _, one in started if one is not last] == [1, 1, 1]
    last.kill()
    last.wait()
    alongside.start()
    squatter.kill()
    assert "8080" in picture(alongside)[0]  # type: ignore[operator]


def eventually(holds: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_part_that_fails_ends_no_other_and_a_daemon_that_hangs_falls_silent(
    alongside: Installation,
) -> None:
    """What is read for one part cannot be; systemd goes on hearing, until the daemon stands."""
    host = alongside.host
    alongside.stop()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(host.engine.state / "notify"))
        usual = dict(alongside.environment)
        alongside.environment["NOTIFY_SOCKET"] = str(systemd.getsockname())
        alongside.environment["WATCHDOG_USEC"] = "1000000"
        alongside.start()
        alongside.environment = usual
        systemd.settimeout(30)
        assert systemd.recv(100) == b"READY=1"

        def heard() -> bool:
            return systemd.recv(100) == b"WATCHDOG=1"

        assert heard()
        state = sqlite3.connect(alongside.state / "state.db", timeout=30)
        state.execute("ALTER TABLE former RENAME TO away")
        alongside("port", "assign", "8081:9/tcp")  # which wakes what looks after former versions
        said = "sees to versions that had the ports failed: OperationalError: no such table: former"
        eventually(lambda: said in str(alongside.api("/v1/info")["problems"]))
        checks = {one["id"]: one for one in alongside.api("/v1/doctor")["checks"]}
        assert checks["parts"]["outcome"] == "warning"
        assert said in checks["parts"]["findings"][0]["what"]
        assert checks["daemon-problems"]["outcome"] == "ok", "said once"
        assert "sqlite3.OperationalError: no such table: former" in alongside.words()
        assert "Traceback" in alongside.words()
        host.run(["nft", "flush", "ruleset"])
        eventually(lambda: "8081" in host.run(["nft", "list", "ruleset"]).stdout)
        assert heard() and heard(), "a part in back-off is no missed beat"
        state.execute("ALTER TABLE away RENAME TO former")
        state.close()
        eventually(lambda: not alongside.api("/v1/info")["problems"])

        assert alongside.process is not None
        alongside.process.send_signal(signal.SIGSTOP)
        systemd.settimeout(0.05)
        with pytest.raises(TimeoutError):
            while True:  # what was on its way
                systemd.recv(100)
        systemd.settimeout(2.5)
        with pytest.raises(TimeoutError):
            systemd.recv(100)
        alongside.process.send_signal(signal.SIGCONT)
        systemd.settimeout(30)
        assert heard()
