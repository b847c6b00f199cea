"""A terminal to look at: tmux, with a server of its own."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

PROMPT = "the-shell-is-back"


class Terminal:
    """A shell on a screen of `width` by `height`, and `alongside` with the arguments in it.

        with Terminal(folder, ["status", "--watch"], environment) as terminal:
            terminal.shows("dns")
            terminal.type("q")
            terminal.ended() -> exit status

    The folder's path is to be short: tmux's socket is in it.
    """

    def __init__(
        self,
        folder: Path,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        *,
        width: int = 80,
        height: int = 24,
        unset: Sequence[str] = (),
    ) -> None:
        self._socket = folder / "t"
        self._pid = folder / "pid"
        self._arguments = arguments
        self._environment = [f"{key}={text}" for key, text in environment.items()]
        self._unset = unset
        self._size = ("-x", str(width), "-y", str(height))

    def __enter__(self) -> Terminal:
        inherited = {key: text for key, text in os.environ.items() if key not in self._unset}
        inherited["LC_ALL"] = "C.UTF-8"
        start = ["-f", "/dev/null", "new-session", "-d", *self._size, "sh"]
        self._tmux(*start, env=inherited)
        half = len(PROMPT) // 2
        self.type(f"PS1='{PROMPT[:half]}''{PROMPT[half:]} '", "Enter")
        self.shows(PROMPT)
        # tmux has a TERM of its own, so the rest goes the same way.
        python = [sys.executable, "-m", "alongside", *self._arguments]
        command = shlex.join(["env", *self._environment, *python])
        command = f"sh -c {shlex.quote(f'echo $$ >{self._pid}; exec {command}')}"
        self.type(f"stty -a | cksum; {command}; echo ended with $?; stty -a | cksum", "Enter")
        return self

    def __exit__(self, *_: object) -> None:
        self._tmux("kill-server")

    def _tmux(self, *arguments: str, env: Mapping[str, str] | None = None) -> str:
        done = subprocess.run(
            ["tmux", "-u", "-S", str(self._socket), *arguments],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=30,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def type(self, *keys: str) -> None:
        self._tmux("send-keys", *keys)

    def kill(self, signal: int) -> None:
        os.kill(int(self._pid.read_text()), signal)

    def resize(self, width: int, height: int) -> None:
        self._tmux("resize-window", "-x", str(width), "-y", str(height))

    def text(self) -> str:
        return self._tmux("capture-pane", "-p")

    def painted(self) -> str:
        """With the escape sequences of colours and the like."""
        return self._tmux("capture-pane", "-p", "-e")

    def on_second_screen(self) -> bool:
        return self._tmux("display-message", "-p", "#{alternate_on}").strip() == "1"

    def cursor(self) -> bool:
        return self._tmux("display-message", "-p", "#{cursor_flag}").strip() == "1"

    def shows(self, *wanted: str, timeout: float = 60) -> str:
        """The text, when all that is wanted is in it."""
        return self.until(lambda text: all(one in text for one in wanted), timeout=timeout)

    def until(self, seen: Callable[[str], bool], *, timeout: float = 60) -> str:
        deadline = time.monotonic() + timeout
        while not seen(text := self.text()):
            assert time.monotonic() < deadline, f"it is not seen in:\n{text}"
            time.sleep(0.02)
        return text

    def ended(self) -> int:
        """Its exit status. The terminal is as it was before."""
        text = self.shows("ended with ")
        text = self.until(lambda text: text.rstrip().endswith(PROMPT))
        assert not self.on_second_screen()
        assert self.cursor()
        whole = self._tmux("capture-pane", "-p", "-S", "-200")  # what has scrolled away, too
        before, after = (line for line in whole.splitlines() if line.split()[1:] and _is_sum(line))
        assert before == after
        (status,) = re.findall(r"ended with (\d+)$", text, re.MULTILINE)
        return int(status)


def _is_sum(line: str) -> bool:
    return all(word.isdigit() for word in line.split())
