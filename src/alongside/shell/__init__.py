"""Texts for shells: the functions with the article's names, and completion."""

from __future__ import annotations

from importlib.resources import files

SHELLS = ("bash", "zsh", "fish")


def completion(shell: str) -> str:
    """The completion script of one of SHELLS."""
    return files("alongside").joinpath(f"shell/completion.{shell}").read_text()
