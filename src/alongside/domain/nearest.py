"""The nearest known names, for the remedy in an error."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches


def nearest(name: str, known: Sequence[str], *, what: str = "there is") -> str:
    """`Did you mean dns? …` or a list of what there is; always a sentence."""
    if not known:
        return f"{what.capitalize()} none yet."
    close = get_close_matches(name, known, n=3, cutoff=0.5)
    if close:
        return f"Did you mean {' or '.join(close)}?"
    shown = ", ".join(sorted(known)[:10])
    return f"{what.capitalize()}: {shown}{', …' if len(known) > 10 else ''}."
