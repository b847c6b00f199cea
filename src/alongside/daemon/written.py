"""Files in a release's tree that its tag does not have: a container has put them there.

The tree's manifest says it (`manifest`). Of a tree that an older alongside unpacked there is none:
it has no write bits (`trees.keep`), so a file or folder that has one came later, and so did one
that was changed since the tree's first release.
"""

from __future__ import annotations

import os
import stat
from datetime import datetime
from pathlib import Path

from alongside.daemon.manifest import read_manifest, strays

_WRITE = 0o222


def written(path: Path, since: datetime | None = None) -> Path | None:
    """The first file at or below `path`, in a kept tree, that did not come from the tag; None
    where there is none. Folders alone are nothing: the engine makes those that it is to mount.
    `since`: when the first release was made of the tree. Raises OSError for what cannot be read;
    what vanishes meanwhile is passed over."""
    for tree in (path, *path.parents):
        if len(tree.parents) > 2 and read_manifest(tree) is not None:
            found = (tree / one for one in strays(tree))
            return next((one for one in found if one.is_relative_to(path)), None)
    return _below(path, since.timestamp() if since else None, loose=False)


def _below(path: Path, limit: float | None, *, loose: bool) -> Path | None:
    """`loose`: the folder that it is in was made later."""
    try:
        status = path.lstat()
        link = stat.S_ISLNK(status.st_mode)  # a link's own mode says nothing
        loose = loose or (not link and bool(status.st_mode & _WRITE))
        if not stat.S_ISDIR(status.st_mode):
            changed = limit is not None and status.st_mtime > limit
            return path if loose or (changed and not link) else None
        names = sorted(os.listdir(path))  # noqa: PTH208 - names alone
    except FileNotFoundError:
        return None
    found = (_below(path / name, limit, loose=loose) for name in names)
    return next((one for one in found if one is not None), None)
