"""The nearest known names, for the remedy in an error."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches


def nearest(name: str, known: Sequence[str], *, what: str = "there is") -> str:
    """`Did you mean dns?`, or a list of what there is; always a sentence.

    `what` begins the list: `released are` makes `Released are: 1.0.0, 1.1.0.`
    """
    if not known:
        return f"{what.capitalize()} none yet."
    folded = {one.casefold(): one for one in reversed(known)}  # the first of two wins
    close = get_close_matches(name.casefold(), folded, n=3, cutoff=0.5)
    if close:
        return f"Did you mean {' or '.join(folded[one] for one in close)}?"
    shown = ", ".join(sorted(known)[:10])
    return f"{what.capitalize()}: {shown}{', …' if len(known) > 10 else '.'}"
