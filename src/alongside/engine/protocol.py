"""The seams between alongside and the container engine: the Engine API, and Compose."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import IPv4Address, IPv4Network, IPv6Address
from pathlib import Path
from typing import Any
from typing import Protocol as Seam

from alongside.domain.port import Protocol

# Labels on images and containers of ours: enough to rebuild the state from.
LABEL_SERVICE = "alongside.service"
LABEL_VERSION = "alongside.version"
LABEL_COMMIT = "alongside.commit"
LABEL_REPOSITORY = "alongside.repository"
LABEL_ORDINAL = "alongside.ordinal"
# Of images alone: where the release came from, below the state folder's trees/REPOSITORY/.
LABEL_TREE = "alongside.tree"
LABEL_COMPOSE_FILE = "alongside.compose-file"

NFTABLES = "nftables"  # EngineInfo.firewall


@dataclass(frozen=True, slots=True)
class EngineInfo:
    version: str
    api: str
    operating_system: str
    root: str  # its data root
    live_restore: bool = False  # containers run on while it is restarted
    rootless: bool = False
    firewall: str = ""  # iptables, nftables; "" where it does not say (before 28)
    pools: tuple[IPv4Network, ...] = ()  # default-address-pools, where they are set


@dataclass(frozen=True, slots=True)
class Image:
    id: str  # sha256:…
    tags: tuple[str, ...]
    labels: Mapping[str, str]
    size: int  # bytes


@dataclass(frozen=True, slots=True)
class Mount:
    """What a container has of the host's: a folder or file, or a volume of the engine's."""

    kind: str  # bind, volume; tmpfs and npipe have no source
    source: str  # the path on the host, of a volume too; "" where there is none
    target: str  # the path in the container
    volume: str = ""  # a volume's name
    writable: bool = True


@dataclass(frozen=True, slots=True)
class Container:
    id: str
    name: str  # without the leading slash
    image_id: str
    state: str  # created, running, paused, restarting, removing, exited, dead
    health: str  # "", starting, healthy, unhealthy
    exit_code: int
    restarts: int
    pid: int  # on the host; 0 if it does not run
    started: datetime | None
    labels: Mapping[str, str]
    ipv4: Mapping[str, IPv4Address] = field(default_factory=dict)  # by network name
    ipv6: Mapping[str, IPv6Address] = field(default_factory=dict)
    health_output: str = ""  # what the last health check wrote
    finished: datetime | None = None  # when it last ended
    image: str = ""  # as it was asked for when the container was made: repo/dns:1.0.0, sha256:…
    oom: bool = False  # the last run that has ended was killed for want of memory
    mounts: tuple[Mount, ...] = ()
    # The networks that it is to be on, also of one that does not run: name -> ID, "" until it was
    # first started. A network that was made anew has another ID, and such a container cannot start.
    networks: Mapping[str, str] = field(default_factory=dict)

    @property
    def running(self) -> bool:
        return self.state == "running"


@dataclass(frozen=True, slots=True)
class Published:
    """A port that the engine publishes for a container, ours or not."""

    container: str
    protocol: Protocol
    address: IPv4Address | IPv6Address
    number: int
    project: str  # Compose's project, "" if it has none


@dataclass(frozen=True, slots=True)
class Network:
    name: str
    driver: str
    bridge: str  # interface name; "" where the driver is not bridge
    id: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    kind: str  # container, network, image
    action: str  # start, die, destroy, create, connect, …
    name: str
    attributes: Mapping[str, str]


def exit_code(event: Event) -> int | None:
    """With what a container ended, of its `die`. A container that runs again says 0."""
    said = event.attributes.get("exitCode", "")
    return int(said) if event.action == "die" and said.isdigit() else None


class Engine(Seam):
    """The Engine API. Raises Unavailable when it does not answer, StepFailed when it refuses."""

    async def info(self) -> EngineInfo: ...
    async def containers(self) -> list[Container]:
        """Every container that bears LABEL_SERVICE, running or not."""
        ...

    async def container(self, name: str) -> Container | None:
        """By its exact name, never by a part of it; None is the API's 404 and nothing else."""
        ...

    async def running(self) -> list[Container]:
        """Every container that runs, is paused or is about to be restarted, ours or not."""
        ...

    async def everything(self) -> list[Container]:
        """Every container, running or not, ours or not."""
        ...

    async def rename(self, name: str, new: str) -> None:
        """Raises StepFailed where the new name is taken, or the old one not there."""
        ...

    async def image(self, reference: str) -> Image | None: ...
    async def tag_image(self, image_id: str, reference: str) -> None:
        """The image has that name as well; whoever had it loses it. Raises StepFailed where
        there is no such image."""
        ...

    async def images(self) -> list[Image]:
        """Every image that bears LABEL_SERVICE."""
        ...

    async def untag(self, reference: str) -> None:
        """Take the name off; with its last name, and no container, the image goes too. Nothing
        where there is no such name."""
        ...

    async def remove_image(self, image_id: str) -> None:
        """The image goes, with all of its names; nothing where there is none. Raises StepFailed,
        with its names kept, where a container uses it."""
        ...

    async def save(self, reference: str, path: Path) -> None:
        """The image as an archive at `path`: whole and on the disk, or not there. The archive has
        the name that is asked for. Raises StepFailed where there is no such image."""
        ...

    async def load(self, path: Path) -> None:
        """The archive's images, with their very IDs, and their names. Raises StepFailed where it
        is none."""
        ...

    async def start(self, name: str) -> None:
        """The container runs afterwards, paused or not before. Raises NotFound."""
        ...

    async def pause(self, name: str) -> None:
        """The container is paused afterwards, its processes frozen; nothing where it is paused
        already. Raises NotFound, StepFailed where it does not run."""
        ...

    async def exec(self, name: str, command: Sequence[str]) -> tuple[int, str]:
        """Run a command in the container, as its user: its exit code, and the last lines of what
        it wrote, at most 4 KiB. A command that is not there is exit code 126 or 127, and says so.

        Whoever cancels it ends the command too. Raises NotFound, StepFailed where the container
        does not run or is paused.
        """
        ...

    async def stop(self, name: str, timeout: int = 10) -> None:
        """No container of that name runs afterwards; nothing where there is none. It has
        `timeout` seconds until it is killed."""
        ...

    async def remove(self, name: str) -> None:
        """No container of that name is there afterwards, running or not before; its anonymous
        volumes go with it."""
        ...

    async def published(self) -> list[Published]: ...
    async def networks(self) -> list[Network]: ...
    async def volumes(self) -> list[str]:
        """The names of all volumes, anonymous ones included."""
        ...

    def logs(self, name: str, *, tail: int, follow: bool = False) -> AsyncGenerator[str, None]:
        """Lines without their line ends, standard output and error as they came; `follow` until
        the container ends. Raises NotFound where there is no such container."""
        ...

    def events(self) -> AsyncGenerator[Event, None]:
        """Events since the call itself. Ends, or raises Unavailable, when the engine goes away."""
        ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Project:
    """One invocation's worth of Compose: which files, as whom, where."""

    name: str
    directory: Path
    files: Sequence[Path]
    environment: Mapping[str, str]  # for interpolation, over the daemon's own PATH and HOME


class Compose(Seam):
    """`docker compose`, version 2. Raises StepFailed with its own words."""

    async def version(self) -> str: ...
    async def config(self, project: Project) -> Mapping[str, Any]:
        """The model as Compose understands it (`config` as YAML, x- keys kept). It holds
        secrets in clear: never store it. Raises InvalidInput where the file does not parse."""
        ...

    def build(self, project: Project, services: Sequence[str]) -> AsyncGenerator[str, None]:
        """BuildKit's plain progress, line by line. Raises BuildFailed with the failing step."""
        ...

    async def up(self, project: Project, services: Sequence[str]) -> None:
        """Create and start, in the background, without building or pulling what is there."""
        ...

    async def recreate(self, project: Project, services: Sequence[str]) -> None:
        """Make the containers of these services anew and start them, their networks too where
        those are gone. Volumes stay, anonymous ones included; other services are left alone."""
        ...

    async def create(self, project: Project, services: Sequence[str]) -> None:
        """Make what `up` would start, dependencies included, and start nothing."""
        ...

    def run(
        self, project: Project, service: str, command: Sequence[str]
    ) -> AsyncGenerator[str, None]:
        """Run a command in a container of the service's that is there for this alone, after what
        it depends on within the project; its lines as they come. Without a command, the service's
        own.

        However it ends, nothing is left of the container: whoever stops reading or is cancelled
        stops it, and it has ten seconds to end by itself. Raises StepFailed with the exit code and
        the last lines where that is not 0.
        """
        ...

    async def down(self, project: Project, *, volumes: bool = False) -> None: ...
