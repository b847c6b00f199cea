"""What a full, read-only or broken disk does to files, in our own words."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from alongside.domain.errors import StepFailed

DISK = "disk"  # the key of the problem that the state folder's is

_OF_THE_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG}


def disk_error(error: BaseException) -> StepFailed | None:
    """What it means, where it is the disk's; None for any other."""
    if not isinstance(error, OSError) or error.errno not in _OF_THE_DISK:
        return None
    where = f" at {error.filename}" if error.filename else ""
    return StepFailed(
        f"The disk refused{where}: {error.strerror}.",
        hint="Look at the free space of the state folder, and whether its disk is read-only.",
    )


@contextmanager
def disk_errors() -> Iterator[None]:
    """Raises StepFailed for them."""
    try:
        yield
    except OSError as error:
        said = disk_error(error)
        if said is None:
            raise
        raise said from error
