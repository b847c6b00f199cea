"""`alongside deploy` on a terminal that is looked at, and as JSON, over a pretended host."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.served import Served
from support.terminal import Terminal

pytestmark = pytest.mark.host

Open = Callable[..., Terminal]


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Served]:
    """dns@1.0.0 has the ports. Engine and kernel are pretended."""
    with Served(tmp_path) as served:
        for version in ("1.0.0", "1.1.0"):
            served.release("dns", version)
        served.change("activate", reference="dns@1.0.0")
        yield served


@pytest.fixture
def deploy(daemon: Served, tmp_path: Path) -> Open:
    def open_(*arguments: str, width: int = 80, **env: str) -> Terminal:
        environment = {"ALONGSIDE_SOCKET": str(daemon.socket), **env}
        arguments = ("deploy", "dns@1.1.0", *arguments)
        unset = () if "NO_COLOR" in env else ("NO_COLOR",)
        return Terminal(tmp_path, arguments, environment, width=width, unset=unset)

    return open_


@pytest.mark.parametrize("width", [80, 40])
def test_it_is_watched_and_comes_through(deploy: Open, width: int) -> None:
    with deploy("--watch", "2s", width=width) as terminal:
        text = terminal.shows("✓ start dns-1.1.0", "✓ move the UDP flows", "watched for another")
        assert "traffic: new connections reach" in text
        assert "\x1b[36m" in terminal.painted()
        assert terminal.ended() == 0
        text = terminal.shows("dns@1.1.0 is good.")
        assert "watched for another" not in text
        assert text.count("✓ start dns-1.1.0") == 1


def test_without_colours(deploy: Open) -> None:
    with deploy("--watch", "2s", NO_COLOR="1") as terminal:
        terminal.shows("watched for another")
        assert "\x1b[36m" not in terminal.painted()
        assert terminal.ended() == 0


def test_one_that_fails_leaves_nothing_untrue_on_the_screen(daemon: Served, deploy: Open) -> None:
    with deploy("--watch", "60s") as terminal:
        terminal.shows("watched for another")
        engine = daemon.context.engine
        engine.end("dns-1.1.0", 3)  # type: ignore[attr-defined]
        assert terminal.ended() == 1
        text = terminal.shows("dns@1.1.0 had the ports and lost them", "dns@1.0.0 has them.")
        assert "watched for another" not in text
        assert "traffic:" not in text


@pytest.mark.parametrize("width", [80, 40])
def test_ctrl_c_gives_it_up_and_says_so(daemon: Served, deploy: Open, width: int) -> None:
    with deploy("--watch", "60s", width=width) as terminal:
        terminal.shows("watched for another")
        terminal.type("C-c")
        assert terminal.ended() == 130
        text = terminal.text().replace("\n", "")
        assert "Giving it up …" in text
        assert "The deploy of dns@1.1.0 was given up by" in text
        assert "goes on" not in text
        assert text.count("✓ wait until dns-1.1.0 is ready") == 1
    (service,) = daemon.client.get("/v1/status")["services"]
    assert service["current"] == "1.0.0"


def test_as_json_it_is_one_object_a_step(daemon: Served) -> None:
    program = (sys.executable, "-m", "alongside", "--socket", str(daemon.socket))
    done = subprocess.run(
        [*program, "deploy", "dns@1.1.0", "--watch", "1s", "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events[0]["event"] == "operation"
    steps = [one["name"] for one in events if one["event"] == "step" and one["state"] == "done"]
    assert steps == [
        "allocate",
        "start",
        "await-ready",
        "record-routes",
        "switch",
        "clean-udp",
        "open-trial",
    ]
    probes = [one for one in events if one["event"] == "probe"]
    assert probes
    assert all(one["heard"] == "" and one["left"] <= 1 for one in probes)
    result = events[-1]["result"]
    assert (events[-1]["event"], result["from"], result["to"]) == ("result", "1.0.0", "1.1.0")
    assert result["summary"][-1] == "dns@1.1.0 is good."
    assert done.stderr == ""
