"""Making a state from what there is, or bringing an old one up to it.

The kernel's table decides what is routed, containers what is to run: what is so now stays so.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from ipaddress import IPv6Network

from alongside.daemon.context import Context
from alongside.daemon.reconciler import BRIDGES
from alongside.daemon.relics import Key, Relics
from alongside.daemon.ways import PROXY
from alongside.domain.assignment import Assignment
from alongside.domain.errors import AlongsideError
from alongside.domain.history import Actor, Outcome, trail
from alongside.domain.instance import Instance, LocalPort, Subnet, bridge_name
from alongside.domain.release import Release
from alongside.domain.route import Follows, Route, Share, Split
from alongside.domain.version import Version
from alongside.plan.addresses import allocate
from alongside.plan.observed import Observed, Pool
from alongside.plan.wanted import wanted_ruleset
from alongside.router.protocol import Ruleset
from alongside.router.reading import Led
from alongside.store.assignments import Assignments
from alongside.store.database import Database
from alongside.store.instances import Instances
from alongside.store.journal import Journal
from alongside.store.releases import Releases
from alongside.store.routes import Routes

_RUNS = ("running", "restarting")


@dataclass
class Rebuilt:
    """What was added to a state, and what could not be, as sentences."""

    releases: list[str] = field(default_factory=list)
    instances: list[str] = field(default_factory=list)
    routes: list[str] = field(default_factory=list)  # as the table has them
    forgotten: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)


class Rebuilding:
    def __init__(self, context: Context, database: Database, relics: Relics) -> None:
        self._context = context
        self._database = database
        self._relics = relics
        self._releases = Releases(database)
        self._instances = Instances(database)
        self._routes = Routes(database)
        self._assignments = Assignments(database)
        self._journal = Journal(database)
        self._done = Rebuilt(unknown=list(relics.unknown))
        self._pool: Pool = context.pool

    def run(self, verb: str, actor: Actor, message: str) -> Rebuilt:
        """Fill the database. Raises AlongsideError where the pieces do not fit together."""
        with self._database.transaction():
            self._settings()
            self._add_releases()
            self._add_instances()
            if self._relics.table is not None:
                self._route()
            self._want()
            self._write_down(verb, actor, message)
        return self._done

    def wanted(self) -> Ruleset:
        """What the kernel should have by it."""
        instances = self._instances.all()
        bridges = frozenset(self._database.setting(BRIDGES, "").split())
        return wanted_ruleset(
            self._routes.all(),
            instances,
            self._releases.all(),
            bridges | {one.subnet.bridge for one in instances},
            self._assignments.all(),
            proxied=self._database.setting(PROXY, "yes") == "yes",
        )

    # -- what there is --------------------------------------------------------------------

    def _settings(self) -> None:
        table = self._relics.table
        if table is not None:
            self._database.keep(BRIDGES, " ".join(sorted(table.bridges)))
            self._database.keep(PROXY, "yes" if table.proxied else "no")
        seen = [*((table.subnets6 or {}).values() if table else ())]
        seen += [one.ipv6 for one in self._relics.described.values() if one.ipv6]
        prefix = seen[0].supernet(new_prefix=48) if seen else self._pool.ipv6
        kept = self._database.setting("ula", str(prefix))
        self._pool = replace(self._pool, ipv6=IPv6Network(kept))

    def _add_releases(self) -> None:
        for release in self._relics.releases.values():
            if self._releases.named(release.service, str(release.version)):
                continue
            owner = self._releases.owner(release.service)
            if owner is not None and owner[0] != release.repository:
                self._done.unknown.append(
                    f"{release.reference} is labelled as the repository {release.repository}'s, "
                    f"and {release.service} is {owner[0]}'s on this host."
                )
                continue
            self._releases.add(release)
            self._done.releases.append(release.reference)

    def _add_instances(self) -> None:
        relics, table = self._relics, self._relics.table
        guarded = (table.subnets4 or {}) if table else {}
        known = {(one.service, one.version): one for one in self._releases.all()}

        def order(key: tuple[str, Version, int]) -> tuple[bool, str, str, int]:
            """Those whose addresses are known come first: the others get what is left."""
            described = relics.described.get(key)
            fixed = bridge_name(*key) in guarded or bool(described and described.ipv4)
            return (not fixed, key[0], str(key[1]), key[2])

        for service, version, ordinal in sorted({*relics.described, *relics.containers}, key=order):
            key = (service, version, ordinal)
            bridge = bridge_name(service, version, ordinal)
            if key not in relics.containers and bridge not in guarded:
                continue  # it is gone, and its file is left
            release = known.get((service, version))
            if release is None or self._instances.get(service, version, ordinal):
                continue
            try:
                instance = self._instance(release, ordinal)
                self._instances.add(instance)
            except AlongsideError as error:
                self._done.unknown.append(
                    f"The instance {service}@{version} cannot be made again: {error.message}"
                )
                continue
            self._done.instances.append(instance.name)
        if table is None or not relics.engine:
            return
        for instance in self._instances.all():
            of = (instance.service, instance.version, instance.ordinal)
            if of not in relics.containers and instance.subnet.bridge not in guarded:
                self._instances.forget(instance)
                self._done.forgotten.append(instance.name)

    def _instance(self, release: Release, ordinal: int) -> Instance:
        """Its addresses as they were; where nothing tells them, as for one in the host's network,
        new ones."""
        described = self._relics.described.get((release.service, release.version, ordinal))
        table = self._relics.table
        bridge = bridge_name(release.service, release.version, ordinal)
        new = allocate(release, Observed(self._pool, instances=self._instances.all()))
        ipv4 = (table.subnets4 or {}).get(bridge) if table else None
        ipv6 = (table.subnets6 or {}).get(bridge) if table else None
        ipv4 = ipv4 or (described.ipv4 if described else None)
        ipv6 = ipv6 or (described.ipv6 if described else None)
        if ipv4 is not None and ipv6 is None:
            place = (int(ipv4[0]) - int(self._pool.ipv4[0])) >> 4
            ipv6 = IPv6Network((int(self._pool.ipv6[0]) + (place << 64), 64))
        subnet = Subnet(bridge, ipv4, ipv6) if ipv4 and ipv6 else new.subnet
        ports = described.local_ports if described else ()
        if described and release.spec.host_network:
            ports = tuple(
                LocalPort(one.port.protocol, one.target, described.numbers[one.target])
                for one in release.spec.ports
                if one.target in described.numbers
            )
        if release.spec.ports and not ports:
            self._done.unknown.append(
                f"The local ports of {release.reference} are not known; it got new ones, which it "
                "has when it is started anew."
            )
            ports = new.local_ports
        return replace(new, ordinal=ordinal, subnet=subnet, local_ports=tuple(dict.fromkeys(ports)))

    # -- what is routed -------------------------------------------------------------------

    def _route(self) -> None:
        """The routes become what the table has."""
        table = self._relics.table
        assert table is not None  # noqa: S101 - asked by who calls
        known = {(one.service, one.version): one for one in self._releases.all()}
        names = {one.reference: key for key, one in known.items()}
        before = {one.port: one for one in self._routes.all()}
        found: dict[str, list[Route]] = {}
        assignments: list[Assignment] = []
        for led in table.ports:
            route = self._led(led, names, known)
            if route is not None:
                found.setdefault(route.service, []).append(route)
            elif led.number and not any("@" in name for name, _ in led.shares):
                assignments.append(Assignment(led.port, led.number, led.address, led.on_host))
            elif led.port in before:
                found.setdefault(before[led.port].service, []).append(before[led.port])
            else:
                to = ", ".join(name for name, _ in led.shares) or "no version"
                self._done.unknown.append(f"{led.port} leads to {to} now, which is not known.")
        for service in {*found, *(one.service for one in before.values())}:
            self._routes.replace(service, _in_order(found.get(service, [])))
        old = [one.port for one in self._assignments.all()]
        self._assignments.replace(old, assignments)
        self._done.routes += [
            f"{route.port} to {route.service}@{', '.join(map(str, route.split.versions)) or '-'}"
            for routes in found.values()
            for route in routes
        ]
        self._done.routes += [str(one) for one in assignments]

    def _led(self, led: Led, names: dict[str, Key], known: dict[Key, Release]) -> Route | None:
        keys = [(names.get(name), weight) for name, weight in led.shares]
        services = {key[0] for key, _ in keys if key}
        if not led.shares:
            owner = next((one for one in self._newest(known) if _has(one, led)), None)
            if owner is None:
                return None
            own_port = any(one.port == led.port for one in owner.spec.ports)
            follows = None if own_port else _follows(led, [owner])
            return Route(led.port, owner.service, Split(()), follows)
        if len(services) != 1 or any(key is None for key, _ in keys):
            return None
        (service,) = services
        split = Split(
            tuple(Share(key[1], weight) for key, weight in keys if key is not None), led.assign
        )
        to = known[service, split.versions[0]]
        if any(one.port == led.port for one in to.spec.ports):
            return Route(led.port, service, split)
        own = [one for one in self._newest(known) if one.service == service]
        follows = _follows(led, own)
        return Route(led.port, service, split, follows) if follows else None

    def _newest(self, known: dict[Key, Release]) -> list[Release]:
        return sorted(known.values(), key=lambda one: one.created, reverse=True)

    # -- what is to run -------------------------------------------------------------------

    def _want(self) -> None:
        routed = {
            (route.service, version)
            for route in self._routes.all()
            for version in route.split.versions
        }
        for instance in self._instances.all():
            of = (instance.service, instance.version, instance.ordinal)
            container = self._relics.containers.get(of)
            if (instance.service, instance.version) in routed:
                self._instances.want(instance, "running")
            elif container is None:
                if self._relics.engine:
                    self._instances.want(instance, "stopped")
            elif container.state == "paused":
                self._instances.want(instance, "paused")
            else:
                runs = container.state in _RUNS
                self._instances.want(instance, "running" if runs else "stopped")

    # -- the history ----------------------------------------------------------------------

    def _write_down(self, verb: str, actor: Actor, message: str) -> None:
        done, journal = self._done, self._journal
        said = said_of(done)
        number = journal.begin(verb, "", actor, before="", after="", message=message)
        journal.end(number, Outcome.DONE, " ".join(said))
        singletons = self._instances.singletons()
        mains = {
            route.service: route.split.versions[0]
            for route in self._routes.all()
            if route.follows is None and route.split.shares
        }
        for service, version in sorted({**mains, **singletons}.items()):
            # A rollback walks what the ports came through.
            walked = trail(journal.routed(service))
            if walked and walked[-1] == version:
                continue
            before = str(walked[-1]) if walked else ""
            number = journal.begin(
                verb, service, actor, before=before, after=str(version), message=message
            )
            journal.mark_routed(number, True)
            journal.end(number, Outcome.DONE, "as the kernel has it")


def said_of(done: Rebuilt) -> list[str]:
    """As sentences."""
    said = [
        f"{what}: {', '.join(names)}."
        for what, names in (
            ("Releases made again", done.releases),
            ("Instances made again", done.instances),
            ("Routes as the kernel has them", done.routes),
            ("Instances that are gone", done.forgotten),
        )
        if names
    ]
    return [*(said or ["There was nothing to make again."]), *done.unknown]


def _has(release: Release, led: Led) -> bool:
    own = [one.port for one in release.spec.ports]
    return led.port in [*own, *(one.port for one in release.spec.also)]


def _follows(led: Led, releases: Iterable[Release]) -> Follows | None:
    """The range that chooses a port's version, by the newest release that says one."""
    for release in releases:
        for one in release.spec.also:
            if one.port == led.port:
                return Follows(one.range, one.target)
    return None


def _in_order(routes: list[Route]) -> list[Route]:
    return sorted(routes, key=lambda one: one.port.sort_key)
