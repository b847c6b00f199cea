"""The command line: one small module a verb, loaded when it is used."""

from __future__ import annotations

import gc
import sys


def main(arguments: list[str] | None = None) -> None:
    """Run, and end the process with its exit code."""
    # What a start loads stays to the end. Looking through it for garbage, as it is loaded and once
    # more at the end, is a fifth of what a verb takes; `entry` turns that on when all is loaded.
    gc.disable()
    from alongside.cli.entry import run

    code = run(arguments)
    gc.freeze()
    sys.exit(code)
