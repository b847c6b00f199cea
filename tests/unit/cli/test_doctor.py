"""`alongside doctor` as a person meets it. The daemon only listens."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from alongside import __version__
from support.stub import StubDaemon

FINDING = {
    "severity": "problem",
    "what": "net.ipv4.ip_forward is 0.",
    "means": "No other machine reaches any port over IPv4.",
    "remedy": "Turn it on.",
    "commands": ["sysctl -w net.ipv4.ip_forward=1", "x" * 120],
}
SURPRISE = {**FINDING, "severity": "warning", "what": "nginx listens.", "commands": []}
WELL: dict[str, Any] = {
    "id": "kernel",
    "outcome": "ok",
    "said": "Linux 6.1 " + "and more " * 20,
    "findings": [],
}


def check(name: str, *findings: dict[str, Any]) -> dict[str, Any]:
    outcome = findings[0]["severity"]
    return {"id": name, "outcome": outcome, "said": findings[0]["what"], "findings": [*findings]}


def doctor(
    tmp_path: Path, *checks: dict[str, Any], arguments: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    socket = tmp_path / "s"
    answers: dict[str, Any] = {
        "/v1/info": {"version": __version__, "pid": 812, "problems": []},
        "/v1/releases": {"releases": []},
        "/v1/doctor": {"checks": [*checks]},
    }
    with StubDaemon(socket, answers=answers):
        socket.chmod(0o660)
        return run(socket, *arguments, cwd=tmp_path)


def run(socket: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "alongside", "doctor", *arguments],
        env={**os.environ, "ALONGSIDE_SOCKET": str(socket), "NO_COLOR": "1"},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


ROOT = os.geteuid() == 0  # somebody else's groups are their own, and a finding


def test_all_is_well(tmp_path: Path) -> None:
    done = doctor(tmp_path, WELL)
    assert (done.returncode, done.stderr) == (int(not ROOT), "")
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["check", "seen"]
    assert lines[1].split()[:3] == ["ok", "daemon", "alongside"]
    assert lines[4].split()[:3] == ["ok", "kernel", "Linux"]
    assert lines[4].endswith(" …")
    assert lines[-1].endswith("1 of 4 could not be seen.")  # it is no repository
    assert lines[-1].startswith("No problem") is ROOT


def test_a_problem_is_told_with_its_remedy_and_ends_with_1(tmp_path: Path) -> None:
    done = doctor(tmp_path, WELL, check("ip-forward", FINDING, SURPRISE))
    assert done.returncode == 1
    told = done.stdout.partition("\nproblem: ip-forward\n")[2].splitlines()
    assert told[:5] == [
        "  net.ipv4.ip_forward is 0.",
        "  No other machine reaches any port over IPv4.",
        "  Remedy: Turn it on.",
        "    sysctl -w net.ipv4.ip_forward=1",
        f"    {'x' * 120}",  # never wrapped
    ]
    assert "problem, 1 warning, 1 of 5 could not be seen." in told[-1]


def test_a_warning_is_no_problem(tmp_path: Path) -> None:
    done = doctor(tmp_path, check("listeners", SURPRISE), arguments=("--json",))
    found = json.loads(done.stdout)
    ours = [one for one in found["findings"] if one["id"] == "listeners"]
    assert ours == [{"id": "listeners", **SURPRISE}]
    assert found["checks"][-1] == {
        "id": "listeners",
        "outcome": "warning",
        "said": "nginx listens.",
    }
    assert [one["id"] for one in found["checks"][:3]] == ["daemon", "socket", "hooks"]
    assert (done.returncode, found["healthy"]) == (int(not ROOT), ROOT)


def test_without_a_daemon_the_rest_is_looked_at(tmp_path: Path) -> None:
    done = run(tmp_path / "s", "--json", cwd=tmp_path)
    found = json.loads(done.stdout)
    assert (done.returncode, found["healthy"]) == (1, False)
    assert found["findings"][0]["id"] == "daemon"
    outcomes = {one["id"]: one["outcome"] for one in found["checks"]}
    assert outcomes["kernel"] == "ok"
    assert outcomes["table"] == outcomes["instances"] == "unseen"
