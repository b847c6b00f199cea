"""Load from a namespace: many workers, every answer kept with its version, every failure too."""

from __future__ import annotations

import json
import mmap
import struct
import subprocess
import sys
import tempfile
import time
from array import array
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from support.namespace import Namespace
from support.volley import DONE, WORD

_VOLLEY = Path(__file__).with_name("volley.py")


@dataclass(frozen=True, slots=True)
class Answer:
    started: int  # time.monotonic_ns when it was asked
    microseconds: int  # until the answer was whole
    version: str


@dataclass(frozen=True, slots=True)
class Failure:
    started: int
    microseconds: int
    error: str  # ConnectionRefusedError: …


@dataclass(frozen=True, slots=True)
class Report:
    answers: list[Answer]  # by the time they were asked
    failures: list[Failure]
    seconds: float  # from the first question to the last answer

    @property
    def versions(self) -> Counter[str]:
        return Counter(answer.version for answer in self.answers)

    @property
    def per_second(self) -> float:
        return len(self.answers) / self.seconds if self.seconds else 0.0

    def percentile(self, percent: float) -> float:
        """Milliseconds that `percent` of the answers took at the most."""
        times = sorted(answer.microseconds for answer in self.answers)
        return times[min(len(times) - 1, int(len(times) * percent / 100))] / 1000

    def asked_after(self, moment: int) -> list[Answer]:
        """Those asked after `moment` (time.monotonic_ns)."""
        return [answer for answer in self.answers if answer.started > moment]


class Load:
    """Workers that ask until they are stopped, or have asked `count` times each, or `seconds`
    are over.

        with Load(host.client, "tcp", host.address4, 80, dialect="http", workers=4) as load:
            load.wait_for(1000)
            …the switch…
            load.wait_for(1000)
        report = load.stop()
        assert not report.failures

    tcp: a new connection for each question. udp: a fresh source port for each, or with
    `source_port` one fixed port a worker, from that number upwards. Dialects: `line` (support's
    responder), `http` (the first word of the body is the version), `dns` (the TXT record at
    `name` is). A question without an answer in `timeout` seconds is a failure.
    """

    def __init__(
        self,
        source: Namespace,
        transport: Literal["tcp", "udp"],
        address: str,
        port: int,
        *,
        dialect: Literal["line", "http", "dns"] = "line",
        workers: int = 2,
        count: int = 1_000_000,
        seconds: float = 60,
        timeout: float = 2,
        pause: float = 0,
        source_port: int = 0,
        path: str = "/",
        name: str = "version.test",
    ) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="alongside-load-")
        self._workers = workers
        shared = Path(self._folder.name, "shared")
        shared.write_bytes(bytes(WORD * (1 + DONE * workers)))
        with shared.open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), 0)
        self._words = memoryview(self._shared).cast("q")
        self._report: Report | None = None
        self._results = [Path(self._folder.name, str(number)) for number in range(workers)]
        self._children: list[subprocess.Popen[str]] = []
        for worker, result in enumerate(self._results):
            order = {
                "shared": str(shared),
                "result": str(result),
                "worker": worker,
                "transport": transport,
                "dialect": dialect,
                "address": address,
                "port": port,
                "count": count,
                "seconds": seconds,
                "timeout": timeout,
                "pause": pause,
                "source_port": source_port,
                "path": path,
                "name": name,
            }
            self._children.append(
                source.popen([sys.executable, "-I", "-S", str(_VOLLEY), json.dumps(order)])
            )

    @property
    def answered(self) -> int:
        """How many answers there are by now."""
        return sum(self._words[1 + DONE * worker] for worker in range(self._workers))

    @property
    def failed(self) -> int:
        return sum(self._words[2 + DONE * worker] for worker in range(self._workers))

    def wait_for(self, more: int, timeout: float = 30) -> None:
        """Return when there are `more` answers than now. Raises TimeoutError."""
        wanted, deadline = self.answered + more, time.monotonic() + timeout
        while self.answered < wanted:
            ended = all(child.poll() is not None for child in self._children)
            if (ended and self.answered < wanted) or time.monotonic() > deadline:
                raise TimeoutError(
                    f"{wanted - self.answered} of {more} answers are wanting"
                    f"{' and the load has ended' if ended else ''}; {self.failed} failures"
                )
            time.sleep(0.002)

    def wait(self, timeout: float = 120) -> Report:
        """Until every worker has asked all that it should."""
        for child in self._children:
            child.wait(timeout)
        return self.stop()

    def stop(self) -> Report:
        """Stop after the questions now under way. May be called again."""
        if self._report is None:
            self._words[0] = 1
            for child in self._children:
                words, _ = child.communicate(timeout=60)
                if child.returncode != 0:
                    raise AssertionError(f"a worker of the load ended:\n{words}")
            self._report = _read(self._results)
            self._words.release()
            self._shared.close()
            self._folder.cleanup()
        return self._report

    def __enter__(self) -> Load:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.stop()
            return
        for child in self._children:  # the test has failed already: no report is wanted
            child.kill()
            child.communicate()
        if self._report is None:
            self._words.release()
            self._shared.close()
            self._folder.cleanup()


def _read(results: list[Path]) -> Report:
    answers: list[Answer] = []
    failures: list[Failure] = []
    for path in results:
        with path.open("rb") as file:
            (length,) = struct.unpack("q", file.read(8))
            head = json.loads(file.read(length))
            columns = [array(code) for code in "qIB"]
            for column in columns:
                column.fromfile(file, head["answers"])
        names = head["names"]
        answers += [Answer(at, took, names[name]) for at, took, name in zip(*columns, strict=True)]
        failures += [Failure(at, took // 1000, error) for at, took, error in head["failures"]]
    answers.sort(key=lambda answer: answer.started)
    failures.sort(key=lambda failure: failure.started)
    both: list[Answer | Failure] = [*answers, *failures]
    ends = [one.started + one.microseconds * 1000 for one in both]
    starts = [one.started for one in both]
    return Report(answers, failures, (max(ends) - min(starts)) / 1e9 if ends else 0.0)
