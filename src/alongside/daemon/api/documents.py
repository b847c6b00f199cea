"""The schemas of answers. Within /v1 fields are added and never change or go, so a client reads
what it knows and leaves the rest."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Problems = Annotated[list[str], Field(description="What is wrong on the host now, as sentences.")]
State = Annotated[
    str,
    Field(
        description="The container's state in the engine's words; `none` without a container.",
        examples=["running"],
    ),
]
Health = Annotated[
    str, Field(description="`starting`, `healthy`, `unhealthy`; empty without a health check.")
]
PublicPort = Annotated[str, Field(description="`53/udp`, `192.0.2.7:80/tcp`.", examples=["53/udp"])]
Version = Annotated[str, Field(examples=["1.1.0"])]
Address4 = Annotated[str | None, Field(examples=["10.213.0.2"])]
Address6 = Annotated[str | None, Field(examples=["fd5c:9a1e:77b0::2"])]
Restarts = Annotated[int, Field(ge=0, description="By the engine, since it was created.")]


class Document(BaseModel):
    # Schemas alone: most daemons are never asked for theirs.
    model_config = ConfigDict(defer_build=True)


class EngineVersion(Document):
    """The container engine."""

    version: Annotated[str, Field(examples=["28.5.2"])]
    api: Annotated[str, Field(examples=["1.51"])]
    operating_system: str


class Info(Document):
    """The daemon itself."""

    version: Annotated[str, Field(description="alongside's own.")]
    pid: int
    state_dir: str
    socket: str
    engine: Annotated[EngineVersion | None, Field(description="null where it does not answer.")]
    compose: Annotated[str | None, Field(description="Its version.", examples=["2.26.1"])]
    problems: Problems


class Finding(Document):
    """What a check has against the host."""

    severity: Literal["warning", "problem"]
    what: Annotated[str, Field(description="What was seen.")]
    means: Annotated[str, Field(description="What follows for the ports.")]
    remedy: Annotated[str, Field(description="What to do about it; may be empty.")]
    commands: Annotated[list[str], Field(description="To be pasted, in this order.")]


class Checked(Document):
    id: Annotated[str, Field(description="Stays.", examples=["ipv6-forward"])]
    outcome: Annotated[
        Literal["ok", "unseen", "warning", "problem"],
        Field(description="Its worst finding; `unseen` where it could not be looked at."),
    ]
    said: Annotated[str, Field(description="What was seen, or why not.")]
    findings: list[Finding]


class Doctor(Document):
    checks: list[Checked]


class Share(Document):
    """A version's part of a split: its weight, of the sum of all."""

    version: Version
    weight: Annotated[int, Field(ge=1)]


class Routed(Document):
    """A public port, and who shares its traffic."""

    port: PublicPort
    split: list[Share]


class LocalPort(Document):
    """127.0.0.1 and [::1] at `number` reach the container's `target`."""

    protocol: Literal["tcp", "udp"]
    target: int
    number: int


class Places(Document):
    """Where an instance is reached from the host itself."""

    local_ports: list[LocalPort]
    address4: Address4
    address6: Address6


class Connections(Document):
    """Live ones, as conntrack has them."""

    tcp: Annotated[int, Field(ge=0)]
    udp: Annotated[int, Field(ge=0)]


class FormerStatus(Document):
    """A version that had the ports."""

    since: Annotated[datetime, Field(description="When it had them last.")]
    deadline: Annotated[
        datetime | None, Field(description="When connections that are left are cut.")
    ]
    drained: Annotated[bool, Field(description="Nobody is left on it.")]


class TrialStatus(Document):
    """A version that was given the ports and is watched."""

    version: Version
    since: datetime
    until: datetime
    operation: Annotated[int, Field(description="The deploy that waits for the verdict.")]


class HoldStatus(Document):
    """No new release is deployed by itself."""

    since: datetime
    actor: str
    message: str


class VersionStatus(Places):
    version: Version
    state: State
    health: Health
    routed: Annotated[bool, Field(description="Whether a port reaches it.")]
    current: Annotated[
        bool,
        Field(
            description="Whether it has the service's own ports; of a singleton, whether it is the "
            "version that should run."
        ),
    ]
    bad: Annotated[bool, Field(description="Marked bad: a rollback does not go there.")]
    mark: Annotated[
        Literal["good", "bad"] | None, Field(description="By its trial, or by a person.")
    ]
    mark_reason: Annotated[str, Field(description="Why it is marked as it is.")]
    connections: Annotated[
        Connections | None, Field(description="That end at it now; null where it does not run.")
    ]
    former: Annotated[
        FormerStatus | None,
        Field(description="Of one that had the ports and is kept by policy; null of others."),
    ]
    image_state: Annotated[
        Literal["present", "archived", "gone", "unknown"],
        Field(
            description="Whether the engine has its image: `archived`, it has not, and an archive "
            "is kept; `gone` for good; `unknown` where the engine does not answer."
        ),
    ]
    started: datetime | None
    restarts: Restarts
    created: Annotated[datetime, Field(description="When the release was made.")]
    commit: str


class Doing(Document):
    """An operation that runs."""

    id: Annotated[int, Field(description="Its number in the history.")]
    verb: Annotated[str, Field(examples=["activate"])]
    to: Annotated[str, Field(description="The version that it is about; empty for none.")]
    step: Annotated[str, Field(description="The step that it is at.", examples=["await-ready"])]


class ServiceStatus(Document):
    name: Annotated[str, Field(examples=["dns"])]
    repository: str
    source: str
    workload: Literal["singleton", "switched", "replicated"]
    current: Annotated[
        str | None,
        Field(description="The one version that has the ports; of a singleton the one that runs."),
    ]
    rollback_to: Annotated[str | None, Field(description="Where a rollback would go.")]
    trial: Annotated[TrialStatus | None, Field(description="null where none is watched.")]
    follow: Annotated[
        str | None,
        Field(description="Which new releases are deployed by themselves.", examples=["^1.2"]),
    ]
    hold: Annotated[HoldStatus | None, Field(description="null where it is not held.")]
    ports: list[Routed]
    doing: list[Doing]
    versions: Annotated[list[VersionStatus], Field(description="Newest first.")]


class Status(Document):
    services: list[ServiceStatus]
    problems: Problems
    revision: Annotated[
        str, Field(description="Another one for another status; for `unlike`, and to compare.")
    ]


class Release(Document):
    service: str
    version: Version
    repository: str
    source: Annotated[str, Field(description="Where the tag came from.")]
    commit: str
    tree: str
    image: Annotated[str, Field(examples=["repo/dns:1.1.0"])]
    image_id: Annotated[str, Field(description="What is run, whatever the image's name means.")]
    created: datetime
    state: State
    routed: bool


class Releases(Document):
    releases: list[Release]


class Instance(Places):
    name: Annotated[str, Field(description="The container's.", examples=["dns-1.1.0"])]
    service: str
    version: Version
    state: State
    health: Health
    image_id: str | None
    routed: bool
    restarts: Restarts
    exit_code: int | None
    started: datetime | None


class Dependency(Document):
    """A container of what the versions of a repository share."""

    name: Annotated[str | None, Field(description="The container's; null where there is none.")]
    repository: str
    service: Annotated[str, Field(description="In the compose file.", examples=["db"])]
    state: State
    health: Health
    exit_code: int | None
    restarts: Restarts
    started: datetime | None
    needed_by: Annotated[
        list[str],
        Field(description="The versions that are up and need it.", examples=[["web@1.1.0"]]),
    ]


class Instances(Document):
    instances: list[Instance]
    dependencies: Annotated[
        list[Dependency], Field(description="What versions share, `shared: true`.")
    ]


class Target(Share):
    """A version's part, and where it leads."""

    address4: Address4
    address6: Address6
    target: Annotated[int | None, Field(description="The container's port.")]
    local_port: int | None


class Port(Document):
    port: PublicPort
    service: str
    follows: Annotated[
        str | None,
        Field(
            description="The range that chooses its version, of a port of `also`.", examples=["^1"]
        ),
    ]
    split: list[Target]


class Assigned(Document):
    """A public port of what is no version of a service."""

    port: PublicPort
    target: Annotated[str, Field(examples=["50080", "10.0.3.2:5353"])]


class Ports(Document):
    ports: list[Port]
    assigned: list[Assigned]


class Entry(Document):
    """An operation."""

    id: int
    at: datetime
    finished: Annotated[datetime | None, Field(description="null while it runs.")]
    verb: Annotated[str, Field(examples=["activate"])]
    service: str
    from_: Annotated[str, Field(alias="from", description="The version before; empty for none.")]
    to: Annotated[str, Field(description="The version after; empty for none.")]
    actor: Annotated[str, Field(description="Who, by the socket's peer credentials.")]
    uid: int
    message: Annotated[str, Field(description="Why, in their words.")]
    outcome: Literal["pending", "done", "unchanged", "failed", "interrupted"]
    detail: Annotated[str, Field(description="How it ended, where there is more to say.")]
    steps: Annotated[
        list[tuple[str, str]],
        Field(description="Name, and `started` or `done`.", examples=[[["switch", "done"]]]),
    ]


class History(Document):
    history: list[Entry]


class NamedVersion(Document):
    version: Version
    instance: Annotated[bool, Field(description="Whether it has a container, running or not.")]
    routed: Annotated[bool, Field(description="Whether a port reaches it.")]


class NamedService(Document):
    name: Annotated[str, Field(examples=["dns"])]
    versions: Annotated[list[NamedVersion], Field(description="Newest first.")]


class Names(Document):
    services: list[NamedService]


class TaggedRelease(Document):
    service: str
    version: Version
    commit: str


class Tagged(Document):
    releases: list[TaggedRelease]


class Shared(Document):
    files: Annotated[list[str], Field(description="Paths in the repository.", examples=[[".env"]])]


class Kept(Document):
    path: str
    changed: Annotated[bool, Field(description="Whether it differed from what was kept.")]
