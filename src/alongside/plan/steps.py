"""The steps that plans are made of. Each is idempotent, and a fault point of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from alongside.domain.assignment import Assignment
from alongside.domain.instance import Instance
from alongside.domain.port import Port
from alongside.domain.release import Release
from alongside.domain.route import Route


@dataclass(frozen=True, slots=True)
class Allocate:
    """Keep the instance's addresses and local ports, and close them to outsiders."""

    name: ClassVar[str] = "allocate"
    instance: Instance


@dataclass(frozen=True, slots=True)
class StartShared:
    """Start the services that all versions of the repository share."""

    name: ClassVar[str] = "start-shared"
    release: Release
    services: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LoadImage:
    """Have the release's image again, from the archive that was kept of it."""

    name: ClassVar[str] = "load-image"
    release: Release


@dataclass(frozen=True, slots=True)
class RunBefore:
    """Run what is to run once, before the release first has the ports."""

    name: ClassVar[str] = "run-before"
    release: Release
    instance: Instance


@dataclass(frozen=True, slots=True)
class Wake:
    """Let the frozen processes of an instance go on."""

    name: ClassVar[str] = "wake"
    instance: Instance


@dataclass(frozen=True, slots=True)
class Start:
    """Create what is missing of the instance and start it."""

    name: ClassVar[str] = "start"
    release: Release
    instance: Instance


@dataclass(frozen=True, slots=True)
class AwaitReady:
    """Ask the instance until it answers as it should."""

    name: ClassVar[str] = "await-ready"
    release: Release
    instance: Instance


@dataclass(frozen=True, slots=True)
class RecordRoutes:
    """Write the intent down: from here on a crash ends in the new state."""

    name: ClassVar[str] = "record-routes"
    service: str
    routes: tuple[Route, ...]
    seen: tuple[Route, ...]  # the service's routes when the plan was made


@dataclass(frozen=True, slots=True)
class RecordAssignments:
    """Write the intent down for ports of what is no service: from here on a crash ends in the
    new state."""

    name: ClassVar[str] = "record-assignments"
    ports: tuple[Port, ...]
    assignments: tuple[Assignment, ...]
    seen: tuple[Assignment, ...]  # what the ports were assigned to when the plan was made


@dataclass(frozen=True, slots=True)
class Switch:
    """One kernel transaction: the ports reach what the routes say."""

    name: ClassVar[str] = "switch"


@dataclass(frozen=True, slots=True)
class CleanUdp:
    """Delete the UDP flows' entries that no route explains, so that they move. `gone`: ports
    that have no route any more, whose flows would go on to what is not an instance."""

    name: ClassVar[str] = "clean-udp"
    gone: tuple[Port, ...] = ()


@dataclass(frozen=True, slots=True)
class OpenTrial:
    """From here on the version is watched: what it does within `seconds` says whether it keeps
    the ports."""

    name: ClassVar[str] = "open-trial"
    release: Release
    seconds: float


@dataclass(frozen=True, slots=True)
class PrepareSingleton:
    """Call the one that runs by its version, and make the new container, which does not run."""

    name: ClassVar[str] = "prepare-singleton"
    release: Release
    instance: Instance


@dataclass(frozen=True, slots=True)
class RecordSingleton:
    """Write the intent down: which version is to be the one that runs, and its routes."""

    name: ClassVar[str] = "record-singleton"
    service: str
    old: Instance | None
    new: Instance | None
    routes: tuple[Route, ...]
    seen: tuple[Route, ...]


@dataclass(frozen=True, slots=True)
class ReplaceSingleton:
    """End and remove what runs and is not the one that is to; then start that."""

    name: ClassVar[str] = "replace-singleton"
    service: str


@dataclass(frozen=True, slots=True)
class TidySingleton:
    """Remove what is left of the versions that are not to run: networks, addresses, their own
    dependencies."""

    name: ClassVar[str] = "tidy-singleton"
    service: str


@dataclass(frozen=True, slots=True)
class Pause:
    """Freeze the processes of an instance."""

    name: ClassVar[str] = "pause"
    instance: Instance


@dataclass(frozen=True, slots=True)
class Stop:
    name: ClassVar[str] = "stop"
    instance: Instance


@dataclass(frozen=True, slots=True)
class Remove:
    """Remove the container, its private dependencies and its network."""

    name: ClassVar[str] = "remove"
    release: Release
    instance: Instance
    volumes: bool


@dataclass(frozen=True, slots=True)
class RemoveRelease:
    """Remove the release: its images, its archive, its tree where no other release has it.
    `data`: with what its containers have written there."""

    name: ClassVar[str] = "remove-release"
    release: Release
    data: bool = False


@dataclass(frozen=True, slots=True)
class Forget:
    """Give the instance's addresses and local ports back."""

    name: ClassVar[str] = "forget"
    instance: Instance


Step = (
    Allocate
    | StartShared
    | LoadImage
    | RunBefore
    | Wake
    | Start
    | AwaitReady
    | RecordRoutes
    | RecordAssignments
    | Switch
    | CleanUdp
    | OpenTrial
    | PrepareSingleton
    | RecordSingleton
    | ReplaceSingleton
    | TidySingleton
    | Pause
    | Stop
    | Remove
    | Forget
    | RemoveRelease
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a verb would do. No steps: nothing, and `reason` says why."""

    verb: str
    service: str
    before: str  # the version that has the ports, "" for none
    after: str  # the version that the verb is about
    steps: Sequence[Step] = ()
    reason: str = ""
    notes: Sequence[str] = ()  # what a person should know about it

    @property
    def singleton(self) -> bool:
        return any(isinstance(step, RecordSingleton) for step in self.steps)

    @property
    def trial(self) -> OpenTrial | None:
        return next((step for step in self.steps if isinstance(step, OpenTrial)), None)

    @property
    def settled_at(self) -> int:
        """The position of the step after which a failure takes nothing back: the new state
        stands, and what is left to do is tidying."""
        kinds: tuple[type, ...] = (Switch,)
        if self.singleton:
            kinds = (AwaitReady,) if self.after else (ReplaceSingleton,)
        last = [n for n, step in enumerate(self.steps, 1) if isinstance(step, kinds)]
        return last[0] if last else 0

    @property
    def routes(self) -> tuple[Route, ...] | None:
        """The routes that the service will have, None where the plan leaves them alone."""
        for step in self.steps:
            if isinstance(step, RecordRoutes | RecordSingleton):
                return step.routes
        return None
