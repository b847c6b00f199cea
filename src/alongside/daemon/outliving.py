"""The folder that what versions share runs from: it outlives the releases that filled it.

`services/REPOSITORY/files` has, of a tag's tree, what shared services mount: copies of the tag's
files, made before a container is, and beside them what containers wrote. `record.json` says which
files are copies, by their content, so that one that a container has changed since is known, and
never taken for one; and what an earlier version of alongside had mounted from a release's own tree.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

from alongside.domain.errors import StepFailed
from alongside.engine.mounted import Mounted
from alongside.host.files import sync_filesystem, write_whole


class Outliving:
    """Of one repository. `room` is services/REPOSITORY; nobody else may fill it meanwhile."""

    def __init__(self, room: Path) -> None:
        self._room = room
        self.files = room / "files"
        self._record = room / "record.json"
        found = self._read()
        self._copies: dict[str, list[str]] = dict(found.get("copies") or {})
        self._before: dict[str, dict[str, str]] = dict(found.get("before") or {})

    def _read(self) -> Mapping[str, Any]:
        try:
            found = json.loads(self._record.read_text())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise StepFailed(
                f"{self._record} cannot be read: {error}.",
                hint="Put it back from a backup; or remove it, and then no file beside it is "
                "taken for a copy of a tag's, so none is brought up to date.",
            ) from error
        return found if isinstance(found, dict) else {}

    def _write(self) -> None:
        self._room.mkdir(parents=True, exist_ok=True)
        record = {"copies": self._copies, "before": self._before}
        write_whole(self._record, json.dumps(record, indent=1, sort_keys=True) + "\n", mode=0o600)

    # -- what was mounted from a release's own tree --------------------------------------

    def remember(self, service: str, path: PurePosixPath, source: Path) -> None:
        """A container of the service mounts this of a release's tree. Raises StepFailed."""
        if self._before.get(service, {}).get(str(path)) != str(source):
            self._before.setdefault(service, {})[str(path)] = str(source)
            try:
                self._write()
            except OSError as error:
                raise StepFailed(
                    f"{self._record} could not be written: {error}.",
                    hint=f"Look at the free space of {self._room}.",
                ) from error

    def before(self, service: str, path: PurePosixPath) -> list[Path]:
        """Where the service has mounted it from."""
        return [Path(one) for one in [self._before.get(service, {}).get(str(path))] if one]

    def before_of_others(self, service: str, path: PurePosixPath) -> list[Path]:
        """Where the other services have."""
        others = [one for name, one in sorted(self._before.items()) if name != service]
        return [Path(one[str(path)]) for one in others if str(path) in one]

    # -- what is copied ------------------------------------------------------------------

    def is_copy(self, file: Path) -> bool:
        """Whether it is as it was copied from a tag; what is not holds data."""
        known = self._copies.get(str(file.relative_to(self.files)), ())
        return bool(known) and _content(file) in known

    def fill(self, tree: Path, paths: Iterable[PurePosixPath], mounted: Mounted) -> None:
        """Have the tree's files at `paths`, but for what a container mounts now, or has written.
        Raises StepFailed."""
        try:
            _make(self.files)
            tagged = {name: file for path in paths for name, file in _named(tree, path)}
            self._forget([one for one in self._copies if _is_within(one, paths)], tagged, mounted)
            free = [name for name, file in tagged.items() if self._is_free(name, file, mounted)]
            contents = {name: _content(tagged[name]) for name in free}
            # The former content as well, until the file has been replaced: a crash between leaves
            # either, and neither is a container's.
            for name, content in contents.items():
                self._copies[name] = [*self._copies.get(name, ()), content]
            self._write()
            for name, content in contents.items():
                self._copy(name, tagged[name])
                self._copies[name] = [content]
            sync_filesystem(self.files)
            self._write()
        except OSError as error:
            raise StepFailed(
                f"What versions share could not be given its files: {error}.",
                hint=f"Look at the free space of {self._room}.",
            ) from error

    def _forget(self, names: Iterable[str], tagged: Collection[str], mounted: Mounted) -> None:
        """Remove what the tag has no longer."""
        for name in set(names) - set(tagged):
            target = self.files / name
            led_away = any(one.is_symlink() for one in _above(self.files, name))
            there = os.path.lexists(target) and not led_away
            if there and self.is_copy(target) and not mounted.by(target):
                target.unlink()
                there = False
            if not there:
                del self._copies[name]

    def _is_free(self, name: str, file: Path, mounted: Mounted) -> bool:
        """Whether the tag's file may have that place, and has it not yet."""
        target = self.files / name
        if any(one.is_file() or one.is_symlink() for one in _above(self.files, name)):
            return False  # a container has put something else there
        if target.is_dir() and not target.is_symlink():
            with suppress(OSError):  # the engine made it, when the tag had no such file
                target.rmdir()
        if not os.path.lexists(target):
            return True
        content = _content(target)
        if content == _content(file):
            self._copies[name] = [content]
            return False
        return self.is_copy(target) and not mounted.by(target)

    def _copy(self, name: str, file: Path) -> None:
        for folder in _above(self.files, name):
            _make(folder)
        new = self._room / "new"
        new.unlink(missing_ok=True)
        shutil.copyfile(file, new, follow_symlinks=False)
        if not new.is_symlink():
            new.chmod(stat.S_IMODE(file.stat().st_mode) | stat.S_IWUSR)  # as in a work tree
        new.replace(self.files / name)


def _named(tree: Path, path: PurePosixPath) -> Iterator[tuple[str, Path]]:
    """The tree's files at `path`, by the names that they have beside each other."""
    source = tree / path
    led = Path(os.path.realpath(source))
    if source.is_symlink() and led.is_relative_to(os.path.realpath(tree)):
        source = led  # what it leads to is not beside it elsewhere
    for file in _files(source):
        yield str(path / file.relative_to(source) if file != source else path), file


def data_below(room: Path) -> list[Path]:
    """What of services/REPOSITORY containers have written, or may have: files that are no copies
    of a tag's. Raises StepFailed where the record cannot be read."""
    outliving = Outliving(room)
    return [one for one in _files(outliving.files) if not outliving.is_copy(one)]


def _files(source: Path) -> Iterator[Path]:
    """All but folders, at or below it."""
    if source.is_dir() and not source.is_symlink():
        for one in sorted(source.iterdir()):
            yield from _files(one)
    elif os.path.lexists(source):
        yield source


def _content(file: Path) -> str:
    """What is in it, in short; of a link where it leads; "" of what is neither."""
    status = file.lstat()
    if stat.S_ISLNK(status.st_mode):
        return f"-> {file.readlink()}"
    if not stat.S_ISREG(status.st_mode):
        return ""
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    return f"{digest} {bool(status.st_mode & stat.S_IXUSR):d}"


def _above(folder: Path, name: str) -> list[Path]:
    """The folders between, the outermost first."""
    return [folder / one for one in reversed(PurePosixPath(name).parents)][1:]


def _make(folder: Path) -> None:
    if not folder.is_dir():
        folder.mkdir(parents=True)
        folder.chmod(0o755)  # whatever the umask: a container's user is to read what is in it


def _is_within(name: str, paths: Iterable[PurePosixPath]) -> bool:
    return any(PurePosixPath(name).is_relative_to(path) for path in paths)
