"""What every verb works with, and the one picture of the host that plans look at."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Literal

from alongside.daemon.half_open import HalfOpen
from alongside.daemon.known_images import image_ids
from alongside.daemon.news import News
from alongside.daemon.operations import Operations
from alongside.daemon.paths import StatePaths
from alongside.daemon.reopening import Reopening
from alongside.daemon.supervise import Supervisor
from alongside.domain.deployment import Mark
from alongside.domain.history import trail
from alongside.domain.image_names import held_repository
from alongside.domain.instance import Instance
from alongside.domain.port import Port, Protocol
from alongside.domain.release import Release
from alongside.domain.version import Dated, Version
from alongside.engine import ours
from alongside.engine.protocol import (
    LABEL_ORDINAL,
    LABEL_SERVICE,
    Compose,
    Container,
    Engine,
    Published,
)
from alongside.host.addresses import local_addresses
from alongside.host.listeners import Listener, holders, identify, listeners
from alongside.made import Made
from alongside.plan.beside import is_singleton
from alongside.plan.observed import Holder, Observed, Pool
from alongside.plan.wanted import wanted_ruleset
from alongside.router.protocol import Router, Ruleset
from alongside.store.assignments import Assignments
from alongside.store.database import Database
from alongside.store.former import Formers
from alongside.store.holds import Holds
from alongside.store.instances import Instances
from alongside.store.journal import Journal
from alongside.store.releases import Releases
from alongside.store.routes import Routes
from alongside.store.trials import Trials
from alongside.store.wanted_before import WantedBefore

if TYPE_CHECKING:
    from alongside.daemon.collector import Collector
    from alongside.daemon.follower import Follower
    from alongside.daemon.healing import Healing
    from alongside.daemon.retirement import Retirement
    from alongside.daemon.watcher import Watcher


@dataclass
class Context:
    paths: StatePaths
    pool: Pool
    database: Database
    engine: Engine
    compose: Compose
    router: Router
    socket: str = ""
    ipv6: bool = True  # whether this host has it; else instances have IPv4 addresses alone
    # Held for a commit to the kernel and nothing longer.
    switching: asyncio.Lock = field(default_factory=asyncio.Lock)
    # One a version (dns@1.0.0): what starts or stops it goes one after the other. A rollback
    # never waits for a version that does not become ready.
    locks: defaultdict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))
    # Services whose new routes are written down, and may not be in the kernel yet.
    switching_now: set[str] = field(default_factory=set)
    bridges: frozenset[str] = frozenset()  # of the engine's networks; the reconciler follows them
    proxied: bool = True  # whether the engine's proxy answers on local ports; looked at (ways)
    # Versions whose address is another container's, or on no network: no port leads there.
    astray: frozenset[tuple[str, Version]] = frozenset()
    problems: dict[str, str] = field(default_factory=dict)  # by what they are about
    operations: Operations = field(default_factory=Operations)
    background: set[asyncio.Task[None]] = field(default_factory=set)
    lost: str = ""  # why there is no state, as sentences: then nothing is done by it
    reopening: Reopening = field(default_factory=Reopening)
    # What goes on beside operations; daemon/parts.py puts them here.
    watcher: Watcher = field(init=False)
    retirement: Retirement = field(init=False)
    follower: Follower = field(init=False)
    collector: Collector = field(init=False)
    healing: Healing = field(init=False)

    news: News = field(default_factory=News)

    def __post_init__(self) -> None:
        self.database.on_commit = self.news.tell
        self.releases = Releases(self.database)
        self.instances = Instances(self.database)
        self.routes = Routes(self.database)
        self.assignments = Assignments(self.database)
        self.journal = Journal(self.database)
        self.wanted_before = WantedBefore(self.database)
        self.trials = Trials(self.database)
        self.former = Formers(self.database)
        self.holds = Holds(self.database)
        self.supervisor = Supervisor(self.problems, self.news.tell)
        self.half_open = HalfOpen(self.router, self.wanted, self.problems)
        self._known: Made[dict[str, list[Dated]]] = Made()
        self._bridges: Made[frozenset[str]] = Made()

    def wanted(self) -> Ruleset:
        """What the kernel should have now."""
        instances = self.instances.all()
        return wanted_ruleset(
            self.routes.all(),
            instances,
            self.releases.all(),
            self.all_bridges(instances),
            self.assignments.all(),
            proxied=self.proxied,
            astray=self.astray,
        )

    async def commit(self) -> None:
        """Bring the kernel to what is wanted. Raises StepFailed, and then nothing has changed."""
        async with self.switching:
            await self.router.apply(self.wanted())
        self.half_open.look()

    def all_bridges(self, instances: Iterable[Instance]) -> frozenset[str]:
        """Every bridge that packets from containers come in by."""
        instances = tuple(instances)
        sources = (self.bridges, *instances)
        return self._bridges.of(None, sources, partial(_bridges, self.bridges, instances))

    def trail(self, service: str) -> list[Version]:
        """The versions that its ports came through, as a rollback walks them."""
        marks = self.releases.marks(service)
        good = {version for version, one in marks.items() if one.mark is Mark.GOOD}
        return trail(self.journal.routed(service), good)

    def in_force(self, service: str) -> Release | None:
        """The version that has the service's own ports; of a singleton the one that is to run."""
        version = self.instances.singletons().get(service)
        for route in self.routes.all():
            if route.service == service and route.follows is None and route.split.shares:
                version = route.split.versions[0]
        return self.releases.get(service, version) if version else None

    def bad(self, service: str) -> dict[Version, str]:
        """The versions that are marked bad, and why."""
        marks = self.releases.marks(service)
        return {version: one.reason for version, one in marks.items() if one.mark is Mark.BAD}

    def on_bridge(self, instance: Instance) -> bool:
        """Whether it has a network of its own, and not the host's."""
        release = self.releases.get(instance.service, instance.version)
        return release is not None and not release.spec.host_network

    def known(self) -> Mapping[str, list[Dated]]:
        """The versions of each service, as references are resolved against them."""
        releases = self.releases.all()
        return self._known.of(None, tuple(releases), partial(_versions, releases))

    async def observe(
        self, service: str, versions: Iterable[Release] = (), *, ports: Iterable[Port] = ()
    ) -> Observed:
        """One picture for a plan about `service`: the containers and images of `versions`, and
        who holds `ports`. Raises Unavailable where the engine does not answer."""
        versions, ports = list(versions), list(ports)
        found, images, (held, heard), copies, (networks, needy) = await asyncio.gather(
            self._containers(versions),
            image_ids(self.engine, versions),
            self._holders(ports),
            self.copies([release for release in versions if is_singleton(release)][:1]),
            self.healing.look_at(versions),
        )
        containers, foreign = found
        return Observed(
            pool=self.pool,
            releases=self.releases.all(),
            instances=self.instances.all(),
            containers=containers,
            foreign=foreign,
            networks=networks,
            needy=needy,
            image_ids=images,
            routes=self.routes.all(),
            trail=self.trail(service),
            bad=self.bad(service),
            unprepared=frozenset(
                one.version
                for one in versions
                if one.spec.before and not self.releases.prepared(one.service, one.version)
            ),
            archived=frozenset(one.version for one in versions if self.paths.archive(one).exists()),
            trial=self.trials.get(service),
            assignments=self.assignments.all(),
            singletons=self.instances.singletons(),
            copies=copies,
            holders=held,
            listening=_listening(heard),
            busy_ports=frozenset((one.protocol, one.number) for one in heard),
        )

    async def copies(self, singletons: Iterable[Release]) -> list[str]:
        """The containers of these services that run and are none of ours: somebody started them
        by hand, from a release's image or from one of the same name."""
        services, images = set(), set()
        for release in singletons:
            services.add(release.service)
            # Where the person's name is another image's, what runs from that is no copy.
            images |= {release.image.rpartition(":")[0], held_repository(release.service)}
        return [
            container.name
            for container in (await self.engine.running() if services else ())
            if LABEL_ORDINAL not in container.labels
            and (
                container.labels[LABEL_SERVICE] in services
                if LABEL_SERVICE in container.labels
                else container.image.partition("@")[0].rpartition(":")[0] in images
                or container.image in images
            )
        ]

    async def _containers(
        self, releases: Iterable[Release]
    ) -> tuple[dict[str, Container], frozenset[str]]:
        """Those of the releases' instances, and the names that others have."""
        expected: dict[str, tuple[str, Version | None]] = {}
        for one in releases:
            expected[f"{one.service}-{one.version}"] = (one.service, one.version)
            if is_singleton(one):
                expected[f"{one.service}-current"] = (one.service, None)
        found = await asyncio.gather(*(self.engine.container(name) for name in expected))
        containers: dict[str, Container] = {}
        foreign: set[str] = set()
        for name, container in zip(expected, found, strict=True):
            service, version = expected[name]
            if container is None:
                continue
            if ours.of_service(container, service) and (
                version is None or ours.of_version(container, version)
            ):
                containers[name] = container
            else:
                foreign.add(name)
        return containers, frozenset(foreign)

    async def _holders(self, ports: list[Port]) -> tuple[list[Holder], list[Listener]]:
        heard, published = await asyncio.gather(listeners(programs=False), self.engine.published())
        addresses = await local_addresses() if ports else frozenset()
        found: list[Holder] = []
        for port in ports:
            found += _publishing(port, published)
            # Only what stands in the way is asked for its name: that takes a look at every process.
            for one in await identify(holders(port, heard, addresses)):
                if one.program != "docker-proxy":
                    program = f"{one.program or 'a program'} (pid {one.pid})"
                    found.append(Holder(_port_of(one), program, port))
        return found, heard


def _versions(releases: Iterable[Release]) -> dict[str, list[Dated]]:
    known: dict[str, list[Dated]] = {}
    for release in releases:
        known.setdefault(release.service, []).append(Dated(release.version, release.created))
    return known


def _bridges(bridges: frozenset[str], instances: Iterable[Instance]) -> frozenset[str]:
    return bridges | {instance.subnet.bridge for instance in instances}


def _listening(
    heard: Iterable[Listener],
) -> dict[tuple[Protocol, int], Literal["everywhere", "loopback"]]:
    found: dict[tuple[Protocol, int], Literal["everywhere", "loopback"]] = {}
    for one in heard:
        key = (one.protocol, one.number)
        if one.address is None or not one.address.is_loopback:
            found[key] = "everywhere"
        else:
            found.setdefault(key, "loopback")
    return found


def _port_of(listener: Listener) -> Port:
    address = listener.address
    return Port(
        listener.protocol,
        listener.number,
        None if address is None or address.is_unspecified else address,
    )


def _publishing(port: Port, published: Iterable[Published]) -> list[Holder]:
    """Containers that publish the port through the engine, whether or not a proxy listens."""
    found = {}
    for one in published:
        address = None if one.address.is_unspecified else one.address
        there = Port(one.protocol, one.number, address)
        loopback = address is not None and address.is_loopback and str(address) != "127.0.0.1"
        if there.overlaps(port) and not loopback:
            where = f" of the Compose project {one.project}" if one.project else ""
            found[one.container] = Holder(there, f"the container {one.container}{where}", port)
    return list(found.values())
