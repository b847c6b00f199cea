"""The hooks in a person's repository: installing them, taking them out, and what they do."""

from alongside.githooks.install import (
    install,
    installed,
    planned,
    planned_removal,
    problem,
    remove,
)
from alongside.githooks.run import Builds, run

__all__ = [
    "Builds",
    "install",
    "installed",
    "planned",
    "planned_removal",
    "problem",
    "remove",
    "run",
]
