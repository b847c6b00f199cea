"""Asking an instance whether it is ready."""

from alongside.ready.wait import asked_at, wait_ready

__all__ = ["asked_at", "wait_ready"]
