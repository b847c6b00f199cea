"""`alongside status --watch`: the picture, drawn again when something changes."""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
import textwrap
import threading
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from queue import SimpleQueue
from types import FrameType
from typing import Any

import click
from rich.console import Console, ConsoleDimensions, Group
from rich.live import Live
from rich.text import Text

from alongside.cli.picture import Line, Piece, cut, picture
from alongside.client import Client
from alongside.domain.errors import AlongsideError, Unavailable

Json = dict[str, Any]

WAIT = 20  # seconds that the daemon is asked to wait for a change
AGAIN = 0.5  # seconds between two tries to reach a daemon that is away
AGE = 1.0  # seconds between two drawings where nothing changed: ages grow


def follow(client: Client, service: str | None) -> Iterator[Json | Unavailable]:
    """The status now, and again at each change; Unavailable, once, where the daemon goes away.
    Never ends. Raises what the daemon refuses."""
    revision, away = "", False
    while True:
        asked = time.monotonic()
        try:
            found = client.get("/v1/status", service=service, unlike=revision, wait=WAIT)
        except Unavailable as error:
            if not away:
                yield error
            away, revision = True, ""
            time.sleep(AGAIN)
            continue
        if away or found["revision"] != revision:
            yield found
        elif time.monotonic() - asked < AGAIN:
            time.sleep(AGAIN)  # it did not wait: it is about to stop
        away, revision = False, found["revision"]


@dataclass
class View:
    """What was heard last."""

    document: Json | None = None
    silence: AlongsideError | None = None  # why there is no news
    changed: datetime = field(default_factory=lambda: datetime.now(UTC))

    def hear(self, news: Json | AlongsideError) -> None:
        if isinstance(news, AlongsideError):
            self.silence = news
        else:
            self.document, self.silence = news, None
        self.changed = datetime.now(UTC)

    def lines(self, width: int, height: int, now: datetime, *, ascii_only: bool) -> list[Line]:
        """A screen of them, with what is left out counted."""
        at = self.changed.astimezone().strftime("%H:%M:%S")
        if self.document is None:
            if self.silence is None:
                return []
            words = f"! {self.silence.message} {self.silence.hint} Trying again; q quits."
            return [(Piece(line, "yellow"),) for line in textwrap.wrap(words, width)]
        said: Line = (Piece(f"changed at {at}, q quits", "dim"),)
        if self.silence is not None:
            said = (Piece("! The daemon does not answer; trying again", "yellow"),)
        lines = picture(self.document, width, now, ascii_only=ascii_only)
        room = max(height - 2, 1)  # for a blank line and what is said
        if len(lines) > room:
            hidden = len(lines) - room + 1
            lines = [*lines[: room - 1], (Piece(f"and {hidden} more lines", "dim"),)]
        return [*lines, (), cut(said, width, ascii_only=ascii_only)]


def printed(client: Client, service: str | None, show: Callable[[Json], None]) -> int:
    """One status after the other, for pipes and for terminals that only print."""
    try:
        for news in follow(client, service):
            if isinstance(news, Unavailable):
                click.echo(f"alongside: {news.message} {news.hint} Trying again.", err=True)
            else:
                show(news)
    except KeyboardInterrupt:
        pass
    return 130


def print_picture(document: Json) -> None:
    """For a terminal that knows no cursor."""
    width = os.get_terminal_size(sys.stdout.fileno()).columns or 80
    for line in picture(document, width, datetime.now(UTC), ascii_only=_ascii_only()):
        click.echo("".join(piece.text for piece in line))
    click.echo()


def on_screen(client: Client, service: str | None) -> int:
    """Until `q` (0) or an interrupt (130). Raises what the daemon refuses."""
    heard: SimpleQueue[Json | AlongsideError] = SimpleQueue()
    reads, writes = os.pipe()
    for end in (reads, writes):
        os.set_blocking(end, False)

    def wake(*_: object) -> None:
        with suppress(BlockingIOError):  # it is awake
            os.write(writes, b"x")

    def listen() -> None:
        try:
            for news in follow(client, service):
                heard.put(news)
                wake()
        except AlongsideError as error:
            heard.put(error)
            wake()

    threading.Thread(target=listen, daemon=True).start()
    try:
        with _Screen(wake) as screen:
            return _until_quit(screen, heard, reads)
    except KeyboardInterrupt:
        return 130


def _until_quit(screen: _Screen, heard: SimpleQueue[Json | AlongsideError], woken: int) -> int:
    view = View()
    while True:
        screen.draw(view)
        ready, _, _ = select.select([woken, *screen.keys], [], [], AGE)
        if woken in ready:
            os.read(woken, 4096)
        for key in screen.keys:
            if key in ready and _quits(os.read(key, 64)):
                return 0
        while not heard.empty():
            news = heard.get()
            if isinstance(news, AlongsideError) and not isinstance(news, Unavailable):
                raise news
            view.hear(news)


def _quits(typed: bytes) -> bool:
    return not typed or b"q" in typed.lower() or b"\x04" in typed  # ^D, or no terminal any more


class _Screen:
    """The terminal's second screen, and its keys without Enter, for as long as the block lasts or
    the process is not suspended. However it ends, the terminal is as it was."""

    def __init__(self, wake: Callable[..., None]) -> None:
        self._wake = wake
        colours = None if os.environ.get("NO_COLOR") else "auto"
        self._console = Console(color_system=colours, highlight=False)  # type: ignore[arg-type]
        self.keys = [sys.stdin.fileno()] if sys.stdin.isatty() else []
        self._before: dict[int, Any] = {}
        self._drawn: object = None

    def __enter__(self) -> _Screen:
        handlers: dict[int, Callable[[int, FrameType | None], None]] = {
            signal.SIGWINCH: self._wake,
            signal.SIGTSTP: self._suspend,
            signal.SIGTERM: _end,
        }
        for number, handler in handlers.items():
            self._before[number] = signal.signal(number, handler)
        try:
            self._take()
        except BaseException:
            self._give_back()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._give_back()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _take(self) -> None:
        self._kept = [termios.tcgetattr(key) for key in self.keys]
        for key in self.keys:
            tty.setcbreak(key)
        self._drawn = None
        self._live = Live(
            console=self._console,
            screen=True,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()

    def _give_back(self) -> None:
        self._live.stop()
        for key, kept in zip(self.keys, self._kept, strict=True):
            termios.tcsetattr(key, termios.TCSAFLUSH, kept)

    def _suspend(self, *_: object) -> None:
        self._give_back()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)  # until somebody says fg
        signal.signal(signal.SIGTSTP, self._suspend)
        self._take()
        self._wake()

    def draw(self, view: View) -> None:
        # The terminal's own size: COLUMNS and LINES, where they are exported, do not follow it.
        width, height = os.get_terminal_size(sys.stdout.fileno())
        self._console.size = ConsoleDimensions(width, height)
        lines = view.lines(width, height, datetime.now(UTC), ascii_only=_ascii_only())
        if (lines, width, height) == self._drawn:
            return
        self._drawn = (lines, width, height)
        texts = [Text.assemble(*line, no_wrap=True, overflow="crop") for line in lines]
        self._live.update(Group(*texts), refresh=True)


def _end(number: int, _: object) -> None:
    sys.exit(128 + number)


def _ascii_only() -> bool:
    return "utf" not in (sys.stdout.encoding or "").lower()
