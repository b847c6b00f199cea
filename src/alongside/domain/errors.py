"""The one tree of exceptions.

    AlongsideError
    ├── InvalidInput         what was typed or sent cannot be meant
    │   └── TooLarge         more was sent than is taken
    ├── NotFound             a service, version, release or instance that is not known
    ├── Conflict             it stands against something that is there
    │   └── PortTaken        a port that somebody else holds
    ├── BuildFailed          the image did not build
    ├── NotReady             an instance did not become ready
    ├── TrialFailed          a version that was given the ports has lost them again
    ├── StepFailed           the engine, Compose or the kernel refused a step
    │   └── StateUnwritable  the state folder's disk is full, read-only or broken
    ├── Unavailable          the engine, or the daemon, does not answer
    │   └── StateDamaged     the state file is there no longer, or cannot be read
    └── MissingRequirement   the host lacks something; all that is missing is said at once

Every error is a sentence for a person: what was asked and what stood in the way (`message`),
what to do about it (`hint`), and where a program said something itself, its last words (`log`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class AlongsideError(Exception):
    """A refusal or a failure that a person can act on. Exit code 1."""

    code = "error"
    status = 400

    def __init__(self, message: str, *, hint: str = "", log: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.log = tuple(log)

    def __str__(self) -> str:
        return self.message  # which may have been added to

    def to_problem(self) -> dict[str, Any]:
        """The error as problem+json (RFC 9457), with `hint` and `log` as extensions."""
        return {
            "type": f"urn:alongside:{self.code}",
            "title": self.code,
            "status": self.status,
            "detail": self.message,
            "hint": self.hint,
            "log": list(self.log),
        }


class InvalidInput(AlongsideError):
    code = "invalid-input"
    status = 400


class TooLarge(InvalidInput):
    code = "too-large"
    status = 413


class NotFound(AlongsideError):
    code = "not-found"
    status = 404


class Conflict(AlongsideError):
    code = "conflict"
    status = 409


class PortTaken(Conflict):
    code = "port-taken"


class BuildFailed(AlongsideError):
    code = "build-failed"
    status = 422


class NotReady(AlongsideError):
    code = "not-ready"
    status = 422


class TrialFailed(AlongsideError):
    code = "trial-failed"
    status = 422


class StepFailed(AlongsideError):
    code = "step-failed"
    status = 502


class StateUnwritable(StepFailed):
    pass


class Unavailable(AlongsideError):
    code = "unavailable"
    status = 503


class StateDamaged(Unavailable):
    pass


class MissingRequirement(AlongsideError):
    code = "missing-requirement"
    status = 503


_BY_CODE: dict[str, type[AlongsideError]] = {
    kind.code: kind
    for kind in (
        InvalidInput,
        TooLarge,
        NotFound,
        Conflict,
        PortTaken,
        BuildFailed,
        NotReady,
        TrialFailed,
        StepFailed,
        Unavailable,
        MissingRequirement,
    )
}


def from_problem(problem: Mapping[str, Any]) -> AlongsideError:
    """The error that `to_problem` wrote, on the other side of the socket."""
    kind = _BY_CODE.get(str(problem.get("title", "")), AlongsideError)
    return kind(
        str(problem.get("detail", "the daemon refused without a word")),
        hint=str(problem.get("hint", "")),
        log=[str(line) for line in problem.get("log", ())],
    )


def said_of(error: BaseException) -> str:
    """An error in the words that the history keeps."""
    if isinstance(error, AlongsideError):
        return error.message
    return " ".join([str(error) or repr(error), *notes_of(error)])


def add_words(error: BaseException, said: str) -> None:
    """What is to be told with an error, after its own words; once, where it says so already."""
    if isinstance(error, AlongsideError):
        if said not in error.message:
            error.message = f"{error.message} {said}"
    elif said not in notes_of(error):
        error.add_note(said)


def notes_of(error: BaseException) -> list[str]:
    return list(getattr(error, "__notes__", ()))
