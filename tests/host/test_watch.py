"""`alongside status --watch` on a terminal that is looked at: real keys, real sizes."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.host import Host
from support.installation import Installation, load_images, web_files
from support.served import Served
from support.terminal import PROMPT, Terminal

pytestmark = pytest.mark.host

Open = Callable[..., Terminal]


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Served]:
    """dns@1.0.0 has the ports, dns@1.1.0 runs beside it. Engine and kernel are pretended."""
    with Served(tmp_path) as served:
        for version in ("1.0.0", "1.1.0"):
            served.release("dns", version)
            served.change("up", reference=f"dns@{version}")
        served.change("activate", reference="dns@1.0.0")
        yield served


@pytest.fixture
def watch(daemon: Served, tmp_path: Path) -> Open:
    def open_(*arguments: str, width: int = 80, height: int = 24, **env: str) -> Terminal:
        environment = {"ALONGSIDE_SOCKET": str(daemon.socket), **env}
        return Terminal(
            tmp_path,
            ["status", "--watch", *arguments],
            environment,
            width=width,
            height=height,
            unset=() if "NO_COLOR" in env else ("NO_COLOR",),
        )

    return open_


def arrow(text: str) -> str:
    """The version that the ports' line leads to."""
    (line,) = (line for line in text.splitlines() if "▶" in line)
    return re.split(r"▶ [●○◐] ", line)[1].split()[0]


def test_a_switch_is_seen_as_it_happens_and_q_leaves_the_terminal_as_it_was(
    daemon: Served, watch: Open
) -> None:
    with watch() as terminal:
        terminal.shows("q quits", "53/udp", "1.1.0")
        assert terminal.on_second_screen()
        assert "\x1b[" in terminal.painted()
        before = terminal.text()
        assert arrow(before) == "1.0.0"
        daemon.change("activate", reference="dns@1.1.0")
        terminal.shows("rollback goes here")
        assert arrow(terminal.text()) == "1.1.0"
        daemon.change("rollback", service="dns")
        text = terminal.until(lambda text: "rollback goes here" not in text)
        assert arrow(text) == "1.0.0"
        terminal.type("q")
        assert terminal.ended() == 0


def test_an_interrupt_ends_it_as_well(watch: Open) -> None:
    with watch() as terminal:
        terminal.shows("q quits")
        terminal.type("C-c")
        assert terminal.ended() == 130
        assert "Traceback" not in terminal.text()


def test_whoever_ends_it_from_outside_leaves_the_terminal_as_it_was(watch: Open) -> None:
    with watch() as terminal:
        terminal.shows("q quits")
        terminal.kill(signal.SIGTERM)
        assert terminal.ended() == 128 + signal.SIGTERM


def test_no_color_has_no_escape_sequences(daemon: Served, watch: Open) -> None:
    with watch(NO_COLOR="1") as terminal:
        terminal.shows("q quits", "53/udp")
        assert "\x1b" not in terminal.painted()
        daemon.change("activate", reference="dns@1.1.0")
        terminal.shows("rollback goes here")
        assert "\x1b" not in terminal.painted()
        terminal.type("q")
        assert terminal.ended() == 0


def test_a_pane_that_becomes_narrow_is_still_read(watch: Open) -> None:
    with watch(width=120) as terminal:
        wide = terminal.shows("q quits", "20000 (")
        assert max(map(len, wide.splitlines())) > 60
        terminal.resize(30, 24)
        narrow = terminal.until(lambda text: "20000" not in text and "53/udp" in text)
        lines = [line for line in narrow.splitlines() if line.strip()]
        assert max(map(len, lines)) <= 30
        assert next(line.strip() for line in lines) == "dns"
        assert len([line for line in lines if "●" in line]) == 2
        terminal.resize(80, 4)
        terminal.shows("more lines", "q quits")
        terminal.resize(120, 24)
        terminal.shows("20000 (")
        terminal.type("q")
        assert terminal.ended() == 0


def test_a_terminal_that_is_dumb_is_only_printed_to(daemon: Served, watch: Open) -> None:
    with watch(TERM="dumb", height=40) as terminal:
        terminal.shows("53/udp")
        assert not terminal.on_second_screen()
        daemon.change("activate", reference="dns@1.1.0")
        text = terminal.shows("rollback goes here")
        assert "\x1b" not in terminal.painted()
        assert text.count("53/udp") >= 2
        terminal.type("C-c")
        assert terminal.ended() == 130


def test_it_can_be_suspended(daemon: Served, watch: Open) -> None:
    with watch() as terminal:
        terminal.shows("q quits")
        terminal.type("C-z")
        terminal.until(lambda text: text.rstrip().endswith(PROMPT))
        assert not terminal.on_second_screen()
        assert terminal.cursor()
        daemon.change("activate", reference="dns@1.1.0")
        terminal.type("fg", "Enter")
        terminal.shows("q quits", "rollback goes here")
        assert terminal.on_second_screen()
        terminal.type("q")
        terminal.until(lambda text: text.rstrip().endswith(PROMPT))


def test_a_service_that_there_is_not_is_refused(watch: Open) -> None:
    with watch("dnz") as terminal:
        terminal.shows("There is no service 'dnz'")
        assert terminal.ended() == 1


def test_on_a_real_host_what_happens_is_seen_and_the_daemons_restart_survived(
    tmp_path: Path,
) -> None:
    with Host() as host:
        load_images(host, "responder")
        alongside = Installation(host)
        alongside.start()
        repository = alongside.repository("site", web_files())
        with Terminal(
            tmp_path,
            ["status", "--watch"],
            {"ALONGSIDE_SOCKET": str(alongside.socket)},
            unset=("NO_COLOR",),
        ) as terminal:
            terminal.shows("Nothing is released yet")
            for version in ("1", "2"):
                repository.release(version, {})
                alongside("activate", f"web@{version}")
            terminal.shows("80/tcp", "7/udp", "● 2", "rollback goes here")
            alongside.kill()
            away = terminal.shows("The daemon does not answer; trying again")
            assert "80/tcp" in away  # what was known is still seen
            alongside.start()
            terminal.until(lambda text: "trying again" not in text and "● 2" in text)
            # Nobody asked alongside: the engine's own words are heard.
            host.docker(["stop", "--time", "0", "web-1"])
            terminal.shows("○ 1", "exited")
            alongside.stop()
            terminal.shows("trying again")
            alongside.start()
            terminal.until(lambda text: "trying again" not in text and "q quits" in text)
            terminal.type("q")
            assert terminal.ended() == 0
