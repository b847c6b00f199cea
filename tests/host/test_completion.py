"""Tab, in the shells themselves. The daemon only listens; what runs in its place of `alongside`
says how it was called, so that a test reads off what a shell made of the line."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

import pytest

from support.stub import StubDaemon

pytestmark = pytest.mark.host


def _service(name: str, *versions: tuple[str, bool, bool]) -> dict[str, object]:
    keys = ("version", "instance", "routed")
    return {"name": name, "versions": [dict(zip(keys, one, strict=True)) for one in versions]}


NAMES = {
    "services": [
        # 1.10.0 is newer than 1.9.0, and comes after it in the alphabet's order.
        _service("dns", ("1.10.0", True, True), ("1.9.0", True, False), ("1.0.0", False, False)),
        _service("mail", ("2.0.0", True, True)),
        _service("mailer", ("3.0.0", False, False)),
    ]
}
PORTS = {"ports": [], "assigned": [{"port": "192.0.2.7:80/tcp", "target": "50080"}]}

WRAPPER = """\
#!/bin/sh
case $1 in
complete | completion) exec {python} -m alongside "$@" ;;
esac
printf 'called'
printf ' <%s>' "$@"
printf ' end\\n'
"""


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[StubDaemon]:
    answers = {"/v1/names": NAMES, "/v1/ports": PORTS}
    with StubDaemon(tmp_path / "s", answers=answers) as daemon:
        yield daemon


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A home of its own, and `alongside` on the PATH."""
    wrapper = tmp_path / "bin" / "alongside"
    wrapper.parent.mkdir()
    wrapper.write_text(WRAPPER.format(python=sys.executable))
    wrapper.chmod(0o755)
    return {
        "HOME": str(tmp_path),
        "PATH": f"{wrapper.parent}:{os.environ['PATH']}",
        "ALONGSIDE_SOCKET": str(tmp_path / "s"),
        "TERM": "xterm",
        "LANG": "C.UTF-8",
    }


class Typist:
    """Somebody at a terminal. `typed(keys)` is how alongside was called in the end."""

    ALL = "\x18a"  # inserts every completion that there is
    SETUP: ClassVar = {
        "bash": [
            "bind 'set bell-style none'",
            "bind '\"\\C-xa\": insert-completions'",
            'eval "$(alongside completion bash)"',
        ],
        "zsh": [
            "unsetopt beep; autoload -Uz compinit; compinit -u -D",
            "zle -C all complete-word _generic; bindkey '^Xa' all",
            "zstyle ':completion:all:*' completer _all_matches _complete",
            "zstyle ':completion:all:*' insert yes",
            'eval "$(alongside completion zsh)"',
        ],
    }
    COMMAND: ClassVar = {
        "bash": ["bash", "--norc", "--noprofile", "-i"],
        "zsh": ["zsh", "-f", "-i"],
    }

    def __init__(self, shell: str, environment: dict[str, str]) -> None:
        pid, self._terminal = pty.fork()
        if pid == 0:
            os.execvpe(self.COMMAND[shell][0], self.COMMAND[shell], environment)
        self._pid = pid
        self._seen = ""
        for number, line in enumerate([*self.SETUP[shell], "PS1='ready> '"]):
            self._send(f"{line}; echo set''tled {number}\r")
            self._until(rf"settled {number}")

    def typed(self, keys: str) -> list[str]:
        self._send(f"{keys}\r")
        called = self._until(r"called((?: <[^>]*>)*) end")
        return re.findall(r"<([^>]*)>", called)

    def _send(self, keys: str) -> None:
        os.write(self._terminal, keys.encode())

    def _until(self, pattern: str, timeout: float = 30) -> str:
        deadline = time.monotonic() + timeout
        while (found := re.search(pattern, self._seen)) is None:
            readable, _, _ = select.select([self._terminal], [], [], deadline - time.monotonic())
            assert readable, f"no {pattern!r} in {self._seen!r}"
            self._seen += os.read(self._terminal, 65536).decode(errors="replace")
        self._seen = self._seen[found.end() :]
        return found[0]

    def close(self) -> None:
        os.close(self._terminal)
        with suppress(ProcessLookupError):
            os.kill(self._pid, 9)
        os.waitpid(self._pid, 0)


@pytest.fixture(params=["bash", "zsh"])
def typist(
    request: pytest.FixtureRequest, environment: dict[str, str]
) -> Iterator[Callable[[str], list[str]]]:
    typist = Typist(request.param, environment)
    yield typist.typed
    typist.close()


def test_a_service_and_its_versions_newest_first(
    daemon: StubDaemon, typist: Callable[[str], list[str]]
) -> None:
    every = Typist.ALL
    # To bash the word begins at the @, so it inserts dns@1.10.0 @1.9.0 @1.0.0.
    found = typist(f"alongside up dns@{every}")[1:]
    assert found[0] == "dns@1.10.0"
    assert [one.partition("@")[2] for one in found] == ["1.10.0", "1.9.0", "1.0.0"]
    assert typist(f"alongside up d{every}") == ["up", "dns@1.10.0", "dns@1.9.0", "dns@1.0.0"]
    assert typist("alongside up dns@1.9\t") == ["up", "dns@1.9.0"]
    # As far as it is clear: dns@1.
    assert typist("alongside up dn\t9\t") == ["up", "dns@1.9.0"]
    assert typist("alongside activate -m 'a reason' dns@1.9\t") == [
        *("activate", "-m", "a reason", "dns@1.9.0")
    ]
    # Only what has a container can be stopped.
    assert typist(f"alongside stop dn{every}") == ["stop", "dns@1.10.0", "dns@1.9.0"]
    # Two services begin alike, so neither is guessed.
    assert typist("alongside up mail\t@\t") == ["up", "mail@2.0.0"]
    assert typist("alongside up maile\t") == ["up", "mailer@3.0.0"]
    assert typist(f"alongside rollback {every}") == ["rollback", "dns", "mail", "mailer"]


def test_verbs_options_and_ports(daemon: StubDaemon, typist: Callable[[str], list[str]]) -> None:
    assert typist("alongside rollb\tdn\t") == ["rollback", "dns"]
    assert typist("alongside status --js\t") == ["status", "--json"]
    assert typist("alongside port unas\t192\t") == ["port", "unassign", "192.0.2.7:80/tcp"]
    assert typist("alongside port unassign 192.0.2.7:8\t") == [
        *("port", "unassign", "192.0.2.7:80/tcp")
    ]


def test_without_a_daemon_verbs_are_completed_and_nothing_is_said(
    typist: Callable[[str], list[str]],
) -> None:
    assert typist("alongside rollb\tdn\t") == ["rollback", "dn"]


def _fish(environment: dict[str, str], line: str) -> list[str]:
    done = subprocess.run(
        [
            *("fish", "--no-config", "--command"),
            f"alongside completion fish | source; complete --do-complete '{line}'",
        ],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_fish(daemon: StubDaemon, environment: dict[str, str]) -> None:
    assert _fish(environment, "alongside up dns@") == [
        "dns@1.10.0\thas the ports",
        "dns@1.9.0\thas a container",
        "dns@1.0.0",
    ]
    assert _fish(environment, "alongside up mail") == ["mail@", "mailer@"]
    assert _fish(environment, "alongside rollb") == [
        "rollback\tGive the ports back to the last known good version."
    ]
    assert _fish(environment, 'alongside activate -m "a reason" dns@1.9') == [
        "dns@1.9.0\thas a container"
    ]
    assert _fish(environment, "alongside port unassign 192.0.2.7:") == [
        "192.0.2.7:80/tcp\treaches 50080"
    ]


def test_fish_without_a_daemon(environment: dict[str, str]) -> None:
    assert _fish(environment, "alongside up dns@") == []


def test_a_daemon_that_hangs_does_not_hold_the_line(environment: dict[str, str]) -> None:
    import socket

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(environment["ALONGSIDE_SOCKET"])
        listener.listen(1)  # and never answers
        started = time.monotonic()
        assert _fish(environment, "alongside up dns@") == []
        assert time.monotonic() - started < 20  # a client of a verb would wait for a minute
