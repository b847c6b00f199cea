"""How another process starts this very installation, whatever folder it is in."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path

from alongside.domain.errors import MissingRequirement

# Python looks for modules in the folder that `-m` is said in, before its own: a repository with a
# `select.py` or an `alongside/` at its top would be run in the place of ours, as root where root
# says it. And it looks where PYTHONPATH says. -I keeps it from both, and from the user's own
# packages; for an installation by `pip install --user`, which is among those, -E and -P do.
_ISOLATED = (("-I",), ("-E", "-P"))
_WHERE = "import alongside.cli.entry; print(alongside.__file__)"


@cache
def isolated() -> tuple[str, ...]:
    """The interpreter by its absolute path, and what has it run nothing but what is installed: the
    beginning of a command. Raises MissingRequirement where that does not find this alongside."""
    import alongside  # noqa: PLC0415 - for its place alone

    for options in _ISOLATED:
        found = subprocess.run(
            [sys.executable, *options, "-c", _WHERE],
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        ).stdout.strip()
        if found and Path(found).resolve() == Path(alongside.__file__).resolve():
            # Who wants no bytecode says so by a variable, which is not looked at then.
            return (sys.executable, *options, *(("-B",) if sys.dont_write_bytecode else ()))
    raise MissingRequirement(
        f"{sys.executable} finds this alongside ({Path(alongside.__file__).parent}) only by "
        "PYTHONPATH or the folder that it is started in, and hooks do not go by these.",
        hint="Install it: pipx install alongside, or pip install in a venv.",
    )


def command() -> tuple[str, ...]:
    """`alongside`, for its arguments to follow. Raises as `isolated` does."""
    return (*isolated(), "-m", "alongside")
