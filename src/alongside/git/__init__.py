"""Reading a person's repository, as that person. The daemon never does."""

from alongside.git.repository import Repository, TagSource

__all__ = ["Repository", "TagSource"]
