"""What was seen of a host. A part that could not be seen is `Unseen`, and says why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TypeVar

from alongside.doctor.foreign.rules import Base
from alongside.engine.protocol import EngineInfo, Published
from alongside.host.listeners import Listener
from alongside.host.requirements import Missing
from alongside.router.protocol import Ruleset

T = TypeVar("T")
POOL = IPv4Network("10.213.0.0/16")  # the daemon's, unless it was given another


@dataclass(frozen=True, slots=True)
class Unseen:
    why: str = "not looked at"


@dataclass(frozen=True, slots=True)
class Failed(Unseen):
    """It was asked, and did not answer: what is known of it is that it is down."""


class NotSeen(Exception):
    """A check asked for what could not be seen."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


def seen(fact: T | Unseen) -> T:
    """Raises NotSeen, which ends the check."""
    if isinstance(fact, Unseen):
        raise NotSeen(fact.why)
    return fact


@dataclass(frozen=True, slots=True)
class Kernel:
    release: tuple[int, ...]
    settings: Mapping[str, str]  # net.ipv4.ip_forward -> 1; those that are there
    advertised: tuple[str, ...] = ()  # interfaces with a default route from router advertisements
    conntrack: tuple[int, int] | None = None  # entries now, and at most
    bridges: bool = False  # whether any instance's is there


@dataclass(frozen=True, slots=True)
class Tools:
    nft: Mapping[str, str] = field(default_factory=dict)  # every nft on the path -> its version
    compose: str = ""
    buildx: str = ""  # "" where it is not there
    missing: tuple[Missing, ...] = ()  # as the daemon asks for at its start


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """What the running dockerd was told, by its command line and its configuration file."""

    userland_proxy: bool = True
    iptables: bool = True
    ip6tables: bool | None = None  # None: not said, so its version decides
    ip_forward: bool = True
    file: str = "/etc/docker/daemon.json"


@dataclass(frozen=True, slots=True)
class InstanceState:
    name: str
    reference: str
    state: str  # the engine's word; "none" without a container, "paused by hand"
    bridge: str
    proxy6: IPv6Address | None  # what containers take over IPv6; None where there is no IPv6
    local_ports: tuple[tuple[str, int], ...]  # tcp, 20000
    on_host: bool = False  # in the host's network
    wanted: bool = True  # whether it is to run
    routed: bool = False


@dataclass(frozen=True, slots=True)
class PartProblem:
    """A part of the daemon that failed and is started again, or one that hangs."""

    message: str
    hangs: bool


@dataclass(frozen=True, slots=True)
class ImageProblem:
    message: str
    hint: str
    needed: bool  # a version that is to run, or that a port reaches


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the daemon knows."""

    ruleset: Ruleset
    instances: tuple[InstanceState, ...] = ()
    pool4: IPv4Network = POOL
    pool6: IPv6Network | None = None
    local_ports: tuple[int, int] = (20000, 29999)  # first and last
    problems: tuple[str, ...] = ()
    parts: tuple[PartProblem, ...] = ()
    lacking: tuple[str, ...] = ()  # what versions share and is not well, as sentences


@dataclass(frozen=True, slots=True)
class Ports:
    """Who listens and who publishes."""

    listeners: tuple[Listener, ...] = ()
    published: tuple[Published, ...] | Unseen = ()
    addresses: frozenset[IPv4Address | IPv6Address] = frozenset()


@dataclass(frozen=True, slots=True)
class Firewall:
    """Other owners' base chains, and which programs manage a firewall here."""

    bases: tuple[Base, ...] = ()
    unreadable: tuple[str, ...] = ()  # tables, with why
    uplinks: tuple[str, ...] = ()  # interfaces that the rest of the world is behind
    ufw: bool = False
    firewalld: bool = False


@dataclass(frozen=True, slots=True)
class Space:
    path: str
    of: str  # the state folder
    free: int  # bytes
    total: int


@dataclass(frozen=True, slots=True)
class StateFolder:
    path: str
    uid: int
    mode: int


@dataclass(frozen=True, slots=True)
class Socket:
    """The daemon's socket, as the person at the terminal meets it."""

    path: str
    mode: int
    group: str
    user: str
    is_root: bool
    has_group: bool  # whether the group alongside is there
    member: bool  # the user, by the group's list
    in_session: bool  # this very session has the group


@dataclass(frozen=True, slots=True)
class Answer:
    """How the daemon answered. `error` is its client's words where it did not."""

    version: str = ""
    ours: str = ""
    pid: int = 0
    error: str = ""
    hint: str = ""
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Hooks:
    """A repository's hooks, in the folder where git looks for them now."""

    repository: str
    there: bool  # `alongside init` was said here
    folder: str
    origin: str = ""  # the file that sets core.hooksPath, "" for git's own folder
    missing: tuple[str, ...] = ()
    stale: tuple[str, ...] = ()  # written by another version of alongside
    not_executable: tuple[str, ...] = ()
    exposed: tuple[str, ...] = ()  # start Python so that it runs modules of the work tree
    python: str = ""  # the interpreter that they start, where it is gone
    socket: str = ""  # of the daemon that they speak to
    wanted_socket: str = ""
    released: bool = False  # the daemon has releases of this repository


@dataclass(frozen=True, slots=True)
class Facts:
    kernel: Kernel | Unseen = Unseen()
    tools: Tools | Unseen = Unseen()
    engine: EngineInfo | Unseen = Unseen()
    engine_host: str = ""  # as in DOCKER_HOST
    options: EngineOptions | Unseen = Unseen()
    wanted: Wanted | Unseen = Unseen()
    table: bool | Unseen = Unseen()  # whether the kernel has what is wanted
    ports: Ports | Unseen = Unseen()
    images: tuple[ImageProblem, ...] | Unseen = Unseen()
    routes: str | Unseen = Unseen()  # what overlaps the pool, "" for nothing
    firewall: Firewall | Unseen = Unseen()
    space: tuple[Space, ...] | Unseen = Unseen()
    state: StateFolder | Unseen = Unseen()
    socket: Socket | Unseen = Unseen()
    answer: Answer | Unseen = Unseen()
    hooks: Hooks | Unseen = Unseen()
