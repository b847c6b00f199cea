"""Asking an instance whether it is ready."""

from alongside.ready.wait import wait_ready

__all__ = ["wait_ready"]
