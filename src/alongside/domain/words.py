"""Words of programs: what they write has no end that anybody promised."""

from __future__ import annotations

LONGEST = 500  # characters of what stands within a sentence
LONGEST_LINE = 2000  # characters of a line that a person looks into


def clipped(text: str, limit: int = LONGEST) -> str:
    """At most `limit` characters; what is cut off is an ellipsis."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def one_line(text: str, limit: int = LONGEST) -> str:
    """The same without line breaks, so that it can stand within a sentence."""
    begins = text[: 4 * limit]  # what is far beyond the limit is not even looked at
    more = "…" if len(text) > len(begins) else ""
    return clipped(" ".join(begins.split()) + more, limit)
