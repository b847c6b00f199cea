from __future__ import annotations

import sys
from pathlib import Path

from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parent))

# A deadline measures the machine that the tests share with others, not the code.
settings.register_profile("alongside", deadline=None)
settings.load_profile("alongside")
