"""The exact text of rulesets. `ALONGSIDE_WRITE_GOLDEN=1` writes it anew: read the diff."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from rulesets import EXAMPLES, routed, ruleset

from alongside.router.compile import compile_table
from alongside.router.difference import difference
from alongside.router.protocol import Ruleset
from alongside.router.transaction import to_text

GOLDEN = Path(__file__).parents[2] / "golden" / "router"


def check(name: str, text: str) -> None:
    file = GOLDEN / f"{name}.nft"
    if os.environ.get("ALONGSIDE_WRITE_GOLDEN"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    assert text == file.read_text()


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_fresh_table(name: str) -> None:
    check(name, to_text(difference(None, compile_table(EXAMPLES[name]))))


SWITCHES: dict[str, tuple[Ruleset, Ruleset]] = {
    "switch": (
        ruleset(routed("53/udp", (0, 1)), routed("53/tcp", (0, 1))),
        ruleset(routed("53/udp", (1, 1)), routed("53/tcp", (1, 1))),
    ),
    "canary": (ruleset(routed("80/tcp", (0, 1))), ruleset(routed("80/tcp", (0, 9), (1, 1)))),
    "port-added": (
        ruleset(routed("53/udp", (0, 1))),
        ruleset(routed("53/udp", (0, 1)), routed("53/tcp", (0, 1))),
    ),
    "port-removed": (ruleset(routed("53/udp", (0, 1)), routed("80/tcp", (0, 1))), ruleset()),
    "instance-added": (ruleset(instances=1), ruleset(instances=2)),
    "emptied": (ruleset(routed("53/udp", (0, 1))), ruleset(routed("53/udp"))),
}


@pytest.mark.parametrize("name", SWITCHES)
def test_a_change(name: str) -> None:
    before, after = SWITCHES[name]
    current = compile_table(before).listing()
    check(f"change-{name}", to_text(difference(current, compile_table(after))))
