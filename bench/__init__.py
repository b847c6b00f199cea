"""The bench: what a switch loses, what a path costs, and how long each command takes.

`python -m bench` from the checkout, as root; bench/README.md says what it needs and does.
"""

import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent

# The hosts are the tests' own (tests/support).
sys.path.insert(0, str(ROOT / "tests"))
# Commands start as they do on a user's machine: with bytecode that is kept.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
