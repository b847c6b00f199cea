"""Who else writes where a container that is to be started will write.

Two servers on one data folder destroy it, so a start is refused where the other one is a server
of the same kind: of the same Compose service, or of the person's own stack of this repository.
Any other writer may well be meant (a backup, a collector of logs) and is a note.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from alongside.domain.errors import Conflict


@dataclass(frozen=True, slots=True)
class Place:
    """A volume, or a folder or file of the host, that a container may write to."""

    volume: str = ""  # the engine's name for it
    path: str = ""  # of a folder or a file, without symbolic links
    inode: tuple[int, int] | None = None  # device and number: one folder may have several names

    def __str__(self) -> str:
        return f"the volume {self.volume}" if self.volume else self.path

    def meets(self, other: Place) -> bool:
        """Whether what is written to one of them is seen in the other."""
        if self.volume and self.volume == other.volume:
            return True
        if self.inode is not None and self.inode == other.inode:
            return True
        if not self.path or not other.path:
            return False
        one, two = PurePath(self.path), PurePath(other.path)
        return one == two or _within(one, two) or _within(two, one)


def _within(inner: PurePath, outer: PurePath) -> bool:
    # Who has all of the host mounted watches it, and is no second server on one of its folders.
    return outer in inner.parents and outer != PurePath(outer.anchor)


@dataclass(frozen=True, slots=True)
class Writer:
    """A container that runs, and where it may write. `ended_by`: what ends it, for a shell."""

    name: str
    project: str  # Compose's, "" where it has none
    service: str  # Compose's, "" where it has none
    places: tuple[Place, ...]
    ended_by: str
    repository: str = ""  # of one of alongside's own: whose
    released: bool = False  # of one of alongside's own: whether it is a version of a service

    def __str__(self) -> str:
        where = f" of the Compose project {self.project}" if self.project else ""
        return f"the container {self.name}{where}"


@dataclass(frozen=True, slots=True)
class Starting:
    """A container that is to be started."""

    project: str
    service: str
    places: tuple[Place, ...]
    repository: str
    built: bool = False  # whether it is a version of a service, or a copy of one
    # The person's own Compose projects of this repository: what they run without alongside.
    stacks: frozenset[str] = frozenset()
    said_shared: frozenset[str] = frozenset()  # volumes of which the compose file says so


@dataclass(frozen=True, slots=True)
class Meeting:
    """A container that is to be started, and one that writes to the same place already."""

    starting: Starting
    writer: Writer
    place: Place  # as the one that is to be started has it

    @property
    def destroys(self) -> bool:
        """Whether they are two servers of one kind, and not two that are to share."""
        one, two = self.starting, self.writer
        if two.service and two.service == one.service:
            return True
        return bool(two.project) and not two.repository and two.project in one.stacks


def meetings(starting: Iterable[Starting], writers: Sequence[Writer]) -> Iterator[Meeting]:
    """Each once, with its first place; what is meant to be so is left out."""
    for one in starting:
        for writer in writers:
            met = [place for place in one.places if any(map(place.meets, writer.places))]
            if writer.repository == one.repository:
                met = [place for place in met if place.volume not in one.said_shared]
            if met and not _by_design(one, writer):
                yield Meeting(one, writer, met[0])


def _by_design(starting: Starting, writer: Writer) -> bool:
    """Whether the compose file itself puts the two on one place: services of one project, and a
    repository's services and their versions, which share what is not said to be their own. A
    second server of one dependency is none of these."""
    if writer.project == starting.project:
        return True
    if not writer.repository or writer.repository != starting.repository:
        return False
    return writer.released or starting.built or writer.service != starting.service


def refuse(what: str, found: Iterable[Meeting]) -> list[str]:
    """Raises Conflict where `what` must not be started; else returns notes, a sentence each."""
    found = list(found)
    destroying = [one for one in found if one.destroys]
    if not destroying:
        return list(
            dict.fromkeys(
                f"{_capital(one.writer)} writes to {one.place}, as {one.starting.service} does."
                for one in found
            )
        )
    said = "; ".join(
        f"{one.writer} writes to {one.place}, as {one.starting.service} would" for one in destroying
    )
    commands = dict.fromkeys(one.writer.ended_by for one in destroying)
    raise Conflict(
        f"{what} is not started: {said}, and two servers on one data folder destroy it.",
        hint=f"Stop the one that runs first: {' && '.join(commands)}. Where it only reads, mount "
        "it read-only (`:ro`).",
    )


def _capital(writer: Writer) -> str:
    return f"T{str(writer)[1:]}"
