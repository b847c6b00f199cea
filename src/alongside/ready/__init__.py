"""Asking an instance whether it is ready."""

from alongside.ready.once import ask_once
from alongside.ready.wait import asked_at, wait_ready

__all__ = ["ask_once", "asked_at", "wait_ready"]
