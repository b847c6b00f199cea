"""What a failed build said, out of BuildKit's plain progress."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence

from alongside.domain.errors import BuildFailed

KEPT = 200  # lines of one step that are kept while it runs
SHOWN = 40  # lines of the failing one that are worth reading

# `#6 [dns 3/3] RUN make`, `#6 0.285 cc -c x.c`, `#6 DONE 0.3s`, `#6 ERROR: exit code: 3`
_VERTEX = re.compile(r"#(?P<number>\d+) (?P<text>.*)")
_SECONDS = re.compile(r"\d+\.\d+ ")
_ENDED = ("DONE ", "CACHED", "CANCELED")
_FRAME = re.compile(r"-{3,}|={3,}| > .*|\s*")

_TARGET = re.compile(r"target ([\w.-]+): ")

# How each layer that an error came through says so; the last of them is the one to read.
_WRAPPED = re.compile(
    r"(target [\w.-]+: )?failed to solve( with frontend [\w.-]+)?: "
    r"|rpc error: code = \w+ desc = "
    r"|failed to create LLB definition: "
)


class BuildLog:
    """Fed line by line while the build runs; holds no more than the steps that are under way."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._steps: dict[str, deque[str]] = {}
        self._failed = ""
        self._error = ""
        self._outside: deque[str] = deque(maxlen=KEPT)

    def feed(self, line: str) -> None:
        match = _VERTEX.fullmatch(line)
        if match is None:
            if not _FRAME.fullmatch(line):
                self._outside.append(line)
            return
        number, text = match["number"], match["text"]
        if text.startswith("ERROR: "):
            self._failed, self._error = number, text.removeprefix("ERROR: ")
        elif text.startswith(_ENDED):
            self._steps.pop(number, None)
        elif number not in self._names:
            self._names[number] = text
        elif text != self._names[number]:  # a step's name is said anew when others spoke between
            said = self._steps.setdefault(number, deque(maxlen=KEPT))
            said.append(_SECONDS.sub("", text, count=1) if _SECONDS.match(text) else text)

    def failure(self, services: Sequence[str]) -> BuildFailed:
        """The error for a build that ended with a status that is not zero."""
        step = self._names.get(self._failed, "")
        log = list(self._steps.get(self._failed, ()))[-SHOWN:]
        # What Compose itself wrote last; of a step's failure it repeats what the step said.
        last = self._outside[-1] if self._outside else ""
        reason = _unwrapped(last) if last else self._error
        # A step may not say whose it is (buildx 0.29); Compose's last line does.
        target = _TARGET.match(last)
        whose = [target[1]] if target and target[1] in services else services
        what = f"The image of {' and '.join(whose)} did not build"
        if step:
            log = [step, *log]
            what = f"{what}, at {step}"
        elif not log:
            log = list(self._outside)[-SHOWN:]
        return BuildFailed(
            f"{what}: {reason or 'the build ended without a word'}",
            hint=_hint(step, reason),
            log=log,
        )


def _unwrapped(line: str) -> str:
    return _WRAPPED.sub("", line).strip()


def _hint(step: str, reason: str) -> str:
    if "docker/dockerfile" in step or "frontend gateway" in reason:
        return (
            "Its `# syntax=` line makes BuildKit fetch that image from a registry. Take the line "
            "out, or load the image into the engine beforehand."
        )
    if "load metadata for" in step or "pull access denied" in reason:
        return (
            "Its base image is neither in the engine nor in a registry that the engine reaches: "
            "`docker pull` or `docker load` it, or correct the FROM line."
        )
    if "no space left on device" in reason:
        return "The disk is full. `docker builder prune` frees what BuildKit keeps of old builds."
    if "failed to read dockerfile" in reason or "no such file or directory" in reason:
        return "The build sees the tag's tree alone: is the file committed, and not ignored?"
    return "The failing step's own output stands below; correct it, and tag the corrected commit."
