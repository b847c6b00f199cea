"""The command as a person meets it: words, tables, exit codes. The daemon only listens."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from alongside.cli.entry import VERBS, load
from support.served import Served
from support.stub import StubDaemon

STATUS = {
    "services": [
        {
            "name": "dns",
            "rollback_to": "1.0.0",
            "current": "1.1.0",
            "ports": [{"port": "53/udp", "split": [{"version": "1.1.0", "weight": 1}]}],
            "versions": [
                {
                    "version": "1.1.0",
                    "state": "running",
                    "health": "",
                    "routed": True,
                    "bad": False,
                    "current": False,
                    "local_ports": [{"protocol": "udp", "target": 53, "number": 20001}],
                },
                {
                    "version": "1.0.0",
                    "state": "exited",
                    "health": "",
                    "routed": False,
                    "bad": False,
                    "current": False,
                    "local_ports": [],
                },
            ],
        }
    ],
    "problems": ["The engine does not answer."],
}


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[StubDaemon]:
    with StubDaemon(tmp_path / "s", answers={"/v1/status": STATUS}) as daemon:
        yield daemon


def run(daemon: StubDaemon | None, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    socket = {"ALONGSIDE_SOCKET": str(daemon.path)} if daemon else {}
    return subprocess.run(
        [sys.executable, "-m", "alongside", *arguments],
        env=os.environ | socket | env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def test_a_table_off_the_terminal_is_plain_and_problems_go_to_standard_error(
    daemon: StubDaemon,
) -> None:
    done = run(daemon, "status")
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        "service  version  state    ports                       local ports",
        "dns      1.1.0    running  53/udp                      20001 (53/udp)",
        "dns      1.0.0    exited   -       rollback goes here  -",
    ]
    assert done.stderr == "alongside: The engine does not answer.\n"


def test_off_a_terminal_watching_prints_at_each_change(tmp_path: Path) -> None:
    with Served(tmp_path) as served:
        served.release("dns", "1.0.0")
        for options in ([], ["--json"]):
            # Whoever runs the tests in the background has interrupts ignored, and so would it.
            command = ["env", "--default-signal=INT", sys.executable, "-m", "alongside"]
            child = subprocess.Popen(
                [*command, "--socket", str(served.socket), "status", "--watch", *options],
                stdout=subprocess.PIPE,
                text=True,
            )
            assert child.stdout is not None
            first = next(line for line in child.stdout if "1.0.0" in line)
            assert "\x1b" not in first
            assert '"doing"' in first if options else "53/udp" not in first
            served.change("activate", reference="dns@1.0.0")
            assert next(line for line in child.stdout if "53/udp" in line)
            served.change("deactivate", reference="dns")
            child.send_signal(signal.SIGINT)
            child.communicate(timeout=60)
            assert child.returncode == 130


def test_json_is_the_apis_own(daemon: StubDaemon) -> None:
    assert json.loads(run(daemon, "status", "--json").stdout) == STATUS


def test_a_terminal_gets_a_drawn_table_and_no_color_is_honoured(daemon: StubDaemon) -> None:
    drawn = on_terminal(daemon, "status")
    assert "rollback goes here" in drawn
    assert "\x1b[" in drawn
    assert "\x1b[3" not in on_terminal(daemon, "status", NO_COLOR="1")


def on_terminal(daemon: StubDaemon, *arguments: str, **env: str) -> str:
    master, slave = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-m", "alongside", *arguments],
        env=os.environ | {"ALONGSIDE_SOCKET": str(daemon.path), "TERM": "xterm-256color"} | env,
        stdin=slave,
        stdout=slave,
        stderr=slave,
    )
    os.close(slave)
    text = b""
    try:
        while data := os.read(master, 65536):
            text += data
    except OSError:
        pass  # the terminal is gone with its last program
    os.close(master)
    child.wait(30)
    return text.decode()


def test_a_change_sends_what_was_typed_and_prints_what_is_so_now(daemon: StubDaemon) -> None:
    done = run(daemon, "activate", "dns@1.1.0", "--take", "-m", "why not")
    assert done.returncode == 0
    assert done.stdout == "done\n"
    assert daemon.asked == [
        (
            "POST",
            "/v1/activate",
            {
                "reference": "dns@1.1.0",
                "take": True,
                "force": False,
                "message": "why not",
                "dry_run": False,
            },
        )
    ]


def test_steps_go_to_standard_error_and_json_has_one_object_a_line(daemon: StubDaemon) -> None:
    step = {"event": "step", "name": "switch", "text": "commit", "state": "done", "seconds": 0.2}
    result = {"summary": ["It is so."], "plan": [], "dry_run": False}
    daemon.events = [{"event": "accepted"}, step, {"event": "result", "result": result}]
    done = run(daemon, "rollback", "dns")
    assert (done.stdout, done.stderr) == ("It is so.\n", "done: commit (0.20 s)\n")
    lines = run(daemon, "rollback", "dns", "--json").stdout.splitlines()
    assert [json.loads(line)["event"] for line in lines] == ["accepted", "step", "result"]


def test_a_dry_run_prints_the_plan_and_the_very_text(daemon: StubDaemon) -> None:
    result = {
        "summary": ["Nothing was changed."],
        "plan": ["1. x"],
        "dry_run": True,
        "nft": "add\n",
    }
    daemon.events = [{"event": "result", "result": result}]
    done = run(daemon, "activate", "dns@1", "--dry-run")
    assert done.stdout == "1. x\n\n# nft -f -\nadd\n"


READING = {"releases", "logs", "ps", "ports", "port list", "status", "history", "doctor"}
NEITHER = {"shell-init", "completion", "complete", "hook"}


def test_what_changes_something_has_a_dry_run_and_what_reads_has_json() -> None:
    found = {}
    for verb in VERBS:
        command = load(verb)
        subs = command.commands.items() if isinstance(command, click.Group) else [("", command)]
        for name, one in subs:
            options = {option for parameter in one.params for option in parameter.opts}
            found[f"{verb} {name}".strip()] = options
    assert {verb for verb, options in found.items() if "--dry-run" not in options} == (
        READING | NEITHER
    )
    assert all("--json" in found[verb] for verb in READING)


def test_a_dry_run_without_a_change_of_the_table_says_that(daemon: StubDaemon) -> None:
    result = {"summary": [], "plan": ["1. x"], "dry_run": True, "nft": ""}
    daemon.events = [{"event": "result", "result": result}]
    assert run(daemon, "stop", "dns@1", "--dry-run").stdout == (
        "1. x\n\n# nft: the table stays as it is\n"
    )


def test_a_refusal_is_a_sentence_a_remedy_and_the_last_lines(daemon: StubDaemon) -> None:
    problem = {"title": "not-ready", "detail": "It is not.", "hint": "Do this.", "log": ["boom"]}
    daemon.events = [{"event": "error", "problem": problem}]
    done = run(daemon, "up", "dns@1")
    assert done.returncode == 1
    assert done.stderr == "alongside: It is not.\n  Do this.\n  | boom\n"


def test_a_daemon_that_ends_on_the_way_is_said(daemon: StubDaemon) -> None:
    daemon.events = [{"event": "accepted"}]
    done = run(daemon, "up", "dns@1")
    assert done.returncode == 1
    assert "ended before it was done" in done.stderr


def test_no_daemon_is_said_with_what_to_do(tmp_path: Path) -> None:
    done = run(None, "--socket", str(tmp_path / "none"), "status")
    assert done.returncode == 1
    assert "The daemon does not answer" in done.stderr
    assert "alongside daemon" in done.stderr


def test_a_bug_has_an_exit_code_and_a_log_of_its_own(daemon: StubDaemon) -> None:
    daemon.answers["/v1/status"] = {"services": "nonsense", "problems": []}
    done = run(daemon, "status")
    assert done.returncode == 3
    path = Path(done.stderr.split("is in ")[1].strip().rstrip("."))
    assert "Traceback" in path.read_text()
    path.unlink()


def test_an_interrupt_only_detaches(tmp_path: Path) -> None:
    import socket

    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "s"))
        silent.listen()
        # Whoever runs the tests in the background has interrupts ignored, and so would it.
        command = f"env --default-signal=INT {sys.executable} -m alongside --socket {tmp_path}/s"
        child = subprocess.Popen(
            [*command.split(), "up", "dns@1"], stderr=subprocess.PIPE, text=True
        )
        silent.settimeout(30)
        connection, _ = silent.accept()
        connection.recv(1)
        child.send_signal(signal.SIGINT)
        _, said = child.communicate(timeout=30)
        connection.close()
    assert child.returncode == 130
    assert "goes on" in said


@pytest.mark.parametrize("wrong", [["statsu"], ["up"], ["up", "a@1", "--nope"]])
def test_what_cannot_be_meant_ends_with_1(wrong: list[str]) -> None:
    done = run(None, *wrong)
    assert done.returncode == 1
    assert "Error:" in done.stderr


def test_the_nearest_verb_is_named() -> None:
    assert "Did you mean status?" in run(None, "statsu").stderr


def test_a_reader_that_has_seen_enough_ends_it_without_a_word(daemon: StubDaemon) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "alongside", "status"],
        env=os.environ | {"ALONGSIDE_SOCKET": str(daemon.path)},
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(write)
    assert done.stderr == "alongside: The engine does not answer.\n"


def test_the_start_of_a_verb_loads_nothing_that_it_does_not_need() -> None:
    program = (
        "import sys; from alongside.cli.entry import run; run(['status', '--help']); "
        "print(*sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    loaded = set(done.stderr.split())
    assert not loaded & {"pydantic", "rich", "fastapi", "semver", "yaml", "aiohttp"}


def test_the_daemon_runs_with_its_options_as_ever_and_has_verbs_of_its_own(tmp_path: Path) -> None:
    done = run(None, "daemon", "--help")
    assert "--state-dir" in done.stdout
    assert "uninstall" in done.stdout
    where = ("--state-dir", str(tmp_path / "state"), "--socket", str(tmp_path / "s"))
    done = run(None, "daemon", *where, "--pool", "nonsense", PATH="/nowhere")
    assert done.returncode == 1
    assert "alongside: This host lacks what alongside needs" in done.stderr


def test_volumes_are_removed_with_everything_or_not_at_all() -> None:
    done = run(None, "daemon", "uninstall", "--volumes")
    assert done.returncode == 1
    assert done.stderr.startswith("alongside: --volumes goes with --purge")


def test_completion_is_printed_for_each_shell_and_no_other() -> None:
    for shell in ("bash", "zsh", "fish"):
        assert f"# {shell} completion of alongside" in run(None, "completion", shell).stdout
    assert run(None, "completion", "tcsh").returncode == 1


def test_what_a_shell_asks_is_answered_without_a_word_of_errors(tmp_path: Path) -> None:
    names = {"services": [{"name": "dns", "versions": []}, {"name": "web", "versions": []}]}
    with StubDaemon(tmp_path / "t", answers={"/v1/names": names}) as daemon:
        assert run(daemon, "complete", "status", "").stdout == "dns\nweb\n"
        other = run(None, "complete", "--", "--socket", str(daemon.path), "rollback", "w")
        assert other.stdout == "web\n"
    done = run(daemon, "complete", "rollback", "w")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert run(None, "complete", "--", "daemon", "--state-dir", "/").stdout == ":files\n"
    assert run(None, "complete", "no-such-verb", "").returncode == 0
