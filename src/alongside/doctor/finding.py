"""What a check says."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from alongside.doctor.facts import Facts, NotSeen

Json = dict[str, Any]


class Outcome(StrEnum):
    """Worst last, but for `unseen`: whoever looked was not let see it."""

    OK = "ok"
    UNSEEN = "unseen"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """`what` was seen, what it `means` for the person's ports, and what to do: a sentence in
    `remedy`, and `commands` that can be pasted."""

    severity: Outcome
    what: str
    means: str
    remedy: str = ""
    commands: tuple[str, ...] = ()


def problem(what: str, means: str, remedy: str = "", *commands: str) -> Finding:
    """Something does not work that is meant to."""
    return Finding(Outcome.PROBLEM, what, means, remedy, commands)


def warning(what: str, means: str, remedy: str = "", *commands: str) -> Finding:
    """It works; something may surprise."""
    return Finding(Outcome.WARNING, what, means, remedy, commands)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a check saw, in a few words for its line, and what it has against it."""

    said: str
    findings: tuple[Finding, ...] = ()

    @classmethod
    def of(cls, findings: Iterable[Finding], otherwise: str) -> Seen:
        """The line says the first finding, or that there is none."""
        found = tuple(findings)
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        return cls(f"{found[0].what.rstrip('.')}{more}" if found else otherwise, found)


@dataclass(frozen=True, slots=True)
class Check:
    """`id` is for machines, and stays; `about` says what is looked at."""

    id: str
    about: str
    look: Callable[[Facts], Seen]

    def __call__(self, facts: Facts) -> Checked:
        try:
            seen = self.look(facts)
        except NotSeen as error:
            return Checked(self.id, Outcome.UNSEEN, error.why)
        order = list(Outcome)
        outcome = max((one.severity for one in seen.findings), key=order.index, default=Outcome.OK)
        return Checked(self.id, outcome, seen.said, seen.findings)


@dataclass(frozen=True, slots=True)
class Checked:
    """The outcome of one check."""

    id: str
    outcome: Outcome
    said: str
    findings: tuple[Finding, ...] = ()

    def to_json(self) -> Json:
        return {
            "id": self.id,
            "outcome": self.outcome.value,
            "said": self.said,
            "findings": [
                {
                    "severity": one.severity.value,
                    "what": one.what,
                    "means": one.means,
                    "remedy": one.remedy,
                    "commands": list(one.commands),
                }
                for one in self.findings
            ],
        }
