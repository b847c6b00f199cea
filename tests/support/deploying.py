"""A deploy that goes on while a test does something to it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from support.installation import Installation


class Deploying:
    """A deploy that runs, as somebody's terminal has it."""

    def __init__(self, alongside: Installation, *arguments: str) -> None:
        self.alongside = alongside
        # A shell's background jobs, of which the tests may be one, ignore Ctrl-C.
        program = ("env", "--default-signal=INT", sys.executable, "-m", "alongside")
        self.process = alongside.host.popen(
            [*program, "deploy", *arguments, "--json"],
            env=alongside.environment,
            stderr=subprocess.PIPE,
        )
        self.events: list[dict[str, Any]] = []

    def until(self, kind: str, **fields: object) -> dict[str, Any]:
        """The next event of that kind."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            event = json.loads(line)
            self.events.append(event)
            if event["event"] == kind and all(event.get(k) == v for k, v in fields.items()):
                return dict(event)
        raise AssertionError(f"no {kind}: {self.events} {self.process.communicate()}")

    def watched(self) -> None:
        """It has the ports, and was asked for the first time since."""
        self.until("probe")

    def end(self) -> tuple[int, str]:
        _, err = self.process.communicate(timeout=60)
        return self.process.returncode, err
