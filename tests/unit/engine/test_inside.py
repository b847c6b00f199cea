"""Whose process may be ended."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from alongside.engine.inside import end_process


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as started:
        yield started
        started.kill()


def test_nobody_else_s_process_is_touched(process: subprocess.Popen[bytes]) -> None:
    end_process(process.pid, "0" * 64)

    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.1)


def test_one_whose_cgroup_is_the_container_s_ends(process: subprocess.Popen[bytes]) -> None:
    end_process(process.pid, Path(f"/proc/{process.pid}/cgroup").read_text().splitlines()[0])

    assert process.wait(10) == -9


def test_one_that_is_gone_already(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()

    end_process(process.pid, "")
