"""An engine and a Compose in memory, as strict as the real ones, for what cannot be provoked."""

from alongside.engine.fake.compose import FakeCompose
from alongside.engine.fake.engine import FakeEngine, Script

__all__ = ["FakeCompose", "FakeEngine", "Script"]
