"""The command line: one small module a verb, loaded when it is used."""

from alongside.cli.entry import main

__all__ = ["main"]
