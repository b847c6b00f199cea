"""Load: wrk in a client's namespace, with a record of every answer.

wrk, because two cores must make some 10,000 new connections a second and serve them too: Python
with epoll spends five times the processor time on a connection, and ab cannot say who answered
when. wrk is in Debian, and its LuaJIT writes 24 bytes an answer (load.lua): when its connection
began, when it was whole, and which version it came from.
"""

from __future__ import annotations

import json
import shutil
import signal
import struct
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles

from bench import HERE
from support.namespace import Namespace

CLIENTS = 8
LONGEST = 3600  # seconds; a load is ended before
SLOW = 0.9  # seconds; a SYN that got no answer is sent again after one

_RECORD = struct.Struct("<dd8s")


@dataclass(frozen=True, slots=True)
class Answer:
    """One connection. Times are `time.monotonic()` seconds; `version` is what the body said, or
    `!STATUS`."""

    begun: float
    ended: float
    version: str

    @property
    def seconds(self) -> float:
        return self.ended - self.begun


@dataclass(slots=True)
class Loaded:
    """All that came of a load: answers in the order of their ends, and what never came."""

    answers: list[Answer] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    @property
    def failed(self) -> int:
        """Connections refused, reset or cut, answers that are no 200, and clients that waited
        for ever at the end."""
        return sum(self.errors.values())

    @property
    def slow(self) -> int:
        return sum(answer.seconds > SLOW for answer in self.answers)

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.answers) / self.seconds if self.seconds else 0.0

    def latency(self) -> tuple[float, float]:
        """p50 and p99 in seconds, connecting included."""
        cuts = quantiles((answer.seconds for answer in self.answers), n=100)
        return cuts[49], cuts[98]

    def between(self, begun: float, ended: float) -> Loaded:
        """Only the answers that ended then."""
        inside = [answer for answer in self.answers if begun <= answer.ended < ended]
        return Loaded(inside, self.errors, ended - begun)

    def add(self, other: Loaded) -> None:
        self.answers += other.answers
        self.errors += other.errors
        self.seconds += other.seconds


class Load:
    """A load that runs until it is ended. `kept`: connections are kept, else one a request."""

    def __init__(self, client: Namespace, url: str, *, kept: bool = False) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="bench-load-"))
        argv = ["wrk", f"-t{CLIENTS}", f"-c{CLIENTS}", f"-d{LONGEST}s", "--timeout=5s"]
        argv += [] if kept else ["-H", "Connection: close"]
        argv += ["-s", str(HERE / "load.lua"), url, "--", str(self._folder)]
        self._wrk = client.popen(argv, stdout=subprocess.PIPE)
        while len(list(self._folder.iterdir())) < CLIENTS and self._wrk.poll() is None:
            time.sleep(0.005)

    def end(self) -> Loaded:
        """Raises RuntimeError where wrk itself failed."""
        try:
            ended = time.monotonic()
            said = self._interrupt()
            if self._wrk.returncode != 0 or not said.rstrip().endswith("}"):
                raise RuntimeError(f"wrk failed: {said}")
            summary = json.loads(said.rstrip().splitlines()[-1])
            summary.pop("requests")
            return self._read(summary, ended)
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _interrupt(self) -> str:
        """What wrk printed. Its threads stop at the first interrupt, but where that comes before
        its main thread sleeps, the sleep goes on until the next one."""
        for _ in range(60):
            self._wrk.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                return self._wrk.communicate(timeout=0.5)[0]
        raise RuntimeError("wrk does not end")

    def _read(self, errors: dict[str, int], ended: float) -> Loaded:
        answers: list[Answer] = []
        waiting = 0
        for file in self._folder.glob("answers-*"):
            mine = [
                Answer(begun, done, version.rstrip(b"\0").decode())
                for begun, done, version in _RECORD.iter_unpack(file.read_bytes())
            ]
            waiting += not mine or ended - mine[-1].ended > SLOW
            answers += mine[1:]  # the first began before its thread did
        answers.sort(key=lambda answer: answer.ended)
        counted = Counter({**errors, "waiting": waiting})
        return Loaded(answers, +counted, ended - answers[0].ended if answers else 0.0)


@contextmanager
def load(client: Namespace, url: str, *, kept: bool = False) -> Iterator[Loaded]:
    """Load while the body runs; what is yielded is filled at its end."""
    running = Load(client, url, kept=kept)
    loaded = Loaded()
    try:
        yield loaded
    finally:
        loaded.add(running.end())


@dataclass(frozen=True, slots=True)
class Switch:
    """`begun` to `ended`: while either version may answer."""

    begun: float
    ended: float
    to: str


def strangers(answers: Sequence[Answer], first: str, switches: Sequence[Switch]) -> list[Answer]:
    """The answers from a version that the port did not name at any moment from the connection's
    beginning to its end. `first` had the port before all switches."""
    named: dict[str, list[tuple[float, float]]] = {}
    since, version = float("-inf"), first
    for switch in switches:
        named.setdefault(version, []).append((since, switch.ended))
        since, version = switch.begun, switch.to
    named.setdefault(version, []).append((since, float("inf")))
    found = []
    place = dict.fromkeys(named, 0)
    for answer in answers:  # by their ends; an answer began at most a little before that
        spans = named.get(answer.version, [])
        at = place.get(answer.version, 0)
        while at < len(spans) and spans[at][1] < answer.begun:
            at += 1
        if at == len(spans) or spans[at][0] > answer.ended:
            # An earlier, slower connection may still belong to a span that was passed.
            if not any(since <= answer.ended and until >= answer.begun for since, until in spans):
                found.append(answer)
        elif answer.seconds < SLOW:
            place[answer.version] = at
    return found
