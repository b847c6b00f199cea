"""Services: what a compose file says of a workload that has versions."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from alongside.domain.policy import FOREVER, Retention, Standby, Watch
from alongside.domain.port import Port, Publish


class Workload(StrEnum):
    SINGLETON = "singleton"  # one instance on the whole host, ever
    SWITCHED = "switched"  # many versions run, one has the ports
    REPLICATED = "replicated"  # many instances of many versions share the traffic


class ReadyKind(StrEnum):
    HEALTH = "health"  # the Compose health check
    TCP = "tcp"
    HTTP = "http"
    DNS = "dns"
    EXEC = "exec"  # a command in the container
    COMMAND = "command"  # a command on the host
    RUNNING = "running"  # nothing to ask: it has run for a second without exiting


@dataclass(frozen=True, slots=True)
class Ready:
    """How an instance is known to be ready, asked from the host at the container's address."""

    kind: ReadyKind
    port: int = 0  # the container's port; 0 where none is asked
    path: str = "/"  # HTTP
    status: int = 200  # HTTP
    body: str = ""  # HTTP: a text that the body must contain
    name: str = ""  # DNS: the name that is asked for
    protocol: str = "udp"  # DNS: udp or tcp
    command: tuple[str, ...] = ()  # exec and command: the program and its arguments
    timeout: float = 60.0  # seconds until it counts as failed
    interval: float = 0.2  # seconds between two probes


class Sharing(StrEnum):
    SHARED = "shared"  # one for the repository
    OWN = "own"  # one a version


@dataclass(frozen=True, slots=True)
class Dependency:
    """A service of the same compose file that this one depends on.

    One that is `built` has versions itself; a version of this service has a copy of it from its
    own tag.
    """

    name: str
    sharing: Sharing
    built: bool = False


@dataclass(frozen=True, slots=True)
class Volume:
    """A named volume of the compose file, mounted by a released service or its dependencies."""

    name: str  # as the compose file has it
    sharing: Sharing
    fixed: str = ""  # the engine's name for it, where the compose file says one (`name:`)


@dataclass(frozen=True, slots=True)
class Also:
    """A further public port, which reaches the highest release of a range."""

    port: Port
    target: int  # the container's port
    range: str  # as npm writes them: ^1


@dataclass(frozen=True, slots=True)
class Service:
    """A released service as one compose file has it."""

    name: str
    image: str  # repository of the image, without a tag: repo/dns
    ports: tuple[Publish, ...]
    ready: Ready
    workload: Workload = Workload.SWITCHED
    tags: tuple[str, ...] = ("*",)  # git tag patterns; the version is what follows the last '/'
    depends: tuple[Dependency, ...] = ()
    volumes: tuple[Volume, ...] = ()
    also: tuple[Also, ...] = ()
    host_network: bool = False  # `network_mode: host`: it listens on numbers that it is given
    linked: tuple[str, ...] = ()  # files that git ignores, relative to the compose file's folder
    before: tuple[str, ...] = ()  # a command that runs once, before a version first has the ports
    watch: Watch = field(default_factory=Watch)
    drain: float | None = FOREVER  # seconds until connections to a version that was left are cut
    standby: Standby = field(default_factory=Standby)
    retention: Retention = field(default_factory=Retention)
    follow: str = ""  # which new releases are deployed by themselves: a range, latest, a pattern
    save: bool = False  # whether an archive of the image is kept
