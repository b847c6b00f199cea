"""The unit file: what it says, and that our own is read back."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alongside.install.settings import Settings
from alongside.install.unit import settings_of, unit_text

COMMAND = ("/opt/pipx/venvs/alongside/bin/alongside",)

# Paths as somebody may have them; systemd takes no control characters in a unit.
_names = st.text(st.characters(categories=["L", "N", "P", "Zs", "S"], codec="utf-8"), min_size=1)
_paths = _names.map(lambda name: Path("/srv") / name.replace("/", "_").strip(".") / "x")


def lines(settings: Settings, key: str) -> list[str]:
    return [
        line.removeprefix(f"{key}=")
        for line in unit_text(settings).splitlines()
        if line.startswith(f"{key}=")
    ]


def test_the_usual_folders_are_made_by_systemd() -> None:
    settings = Settings(COMMAND)
    assert lines(settings, "StateDirectory") == ["alongside"]
    assert lines(settings, "RuntimeDirectory") == ["alongside"]
    assert lines(settings, "ReadWritePaths") == []
    assert lines(settings, "Environment") == ["DOCKER_CONFIG=/var/lib/alongside/docker"]
    assert lines(settings, "ExecStart") == [
        "/opt/pipx/venvs/alongside/bin/alongside daemon --state-dir /var/lib/alongside "
        "--socket /run/alongside/alongside.sock --pool 10.213.0.0/16 --local-ports 20000-29999"
    ]


def test_a_daemon_that_hangs_is_started_again() -> None:
    settings = Settings(COMMAND)
    assert lines(settings, "Type") == ["notify"]  # so its first process is heard, and no other
    assert lines(settings, "WatchdogSec") == ["60"]
    assert lines(settings, "Restart") == ["on-failure"]


def test_other_folders_are_written_to_where_they_are() -> None:
    settings = Settings(COMMAND, Path("/srv/al"), Path("/srv/sockets/a.sock"))
    assert lines(settings, "StateDirectory") == []
    assert lines(settings, "RuntimeDirectory") == []
    assert lines(settings, "ReadWritePaths") == ["/srv/al /srv/sockets"]


def test_another_engine_is_named() -> None:
    settings = Settings(COMMAND, environment={"DOCKER_HOST": "unix:///run/other.sock"})
    (environment,) = lines(settings, "Environment")
    assert "DOCKER_HOST=unix:///run/other.sock" in environment
    assert settings.engine["DOCKER_HOST"] == "unix:///run/other.sock"


@given(_paths, _paths, st.lists(_paths, min_size=1, max_size=3))
def test_what_a_unit_was_written_from_is_read_back(
    state: Path, socket: Path, command: list[Path]
) -> None:
    settings = Settings(tuple(map(str, command)), state, socket, "10.1.0.0/16", "1-2")
    assert settings_of(unit_text(settings)) == settings


@pytest.mark.parametrize("text", ["", "[Service]\nExecStart=/usr/bin/other daemon --x y\n"])
def test_somebody_elses_unit_is_not_ours(text: str) -> None:
    assert settings_of(text) is None
