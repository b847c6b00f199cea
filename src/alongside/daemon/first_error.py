"""What is done because something failed may fail as well; the first error is the one to tell."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from alongside.domain.errors import AlongsideError, add_words

_log = logging.getLogger(__name__)


@contextmanager
def added_to(first: BaseException) -> Iterator[None]:
    """Whatever fails inside is told with `first`, after its own words, and never in its place."""
    try:
        yield
    except AlongsideError as error:
        _log.error("%s", error.message)
        add_words(first, error.message)
    except Exception as error:
        _log.exception("internal error while a failed operation was taken back")
        add_words(first, f"Internal error after that: {error!r}.")
