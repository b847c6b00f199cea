"""What every part works with: the hosts, made when they are first asked for, and how long."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from bench.hosts import Alongside, Plain
from bench.proxies import Haproxy, Nginx
from bench.results import Results


@dataclass(frozen=True, slots=True)
class Size:
    """How long a run is."""

    switches: int = 1000  # of the router; the daemon makes a fifth, the others a twentieth
    seconds: float = 1.0  # of one measurement of a path
    rounds: int = 15  # how often each path is measured
    repeats: int = 30  # of a command
    idle: float = 30.0  # seconds that the daemon is watched


class Stage:
    def __init__(self, size: Size, results: Results) -> None:
        self.size = size
        self.results = results
        self._begun = time.monotonic()

    @cached_property
    def alongside(self) -> Alongside:
        self.say("a host with alongside: engine, daemon, two versions")
        return _set_up(Alongside())

    @cached_property
    def plain(self) -> Plain:
        self.say("a host without alongside: engine, two versions")
        return _set_up(Plain())

    @cached_property
    def nginx(self) -> Nginx:
        made = Nginx(self.plain)
        made.start()
        return made

    @cached_property
    def haproxy(self) -> Haproxy:
        made = Haproxy(self.plain)
        made.start()
        return made

    def say(self, words: str) -> None:
        seconds = time.monotonic() - self._begun
        print(f"[{seconds:6.1f} s] {words}", file=sys.stderr, flush=True)

    def close(self) -> None:
        for name in ("alongside", "plain"):
            made = self.__dict__.pop(name, None)
            if made is not None:
                made.close()


_Host = TypeVar("_Host", Alongside, Plain)


def _set_up(made: _Host) -> _Host:
    try:
        made.set_up()
    except BaseException:
        made.close()
        raise
    return made
