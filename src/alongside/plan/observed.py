"""What a plan looks at: one consistent picture of the host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network
from typing import Literal

from alongside.domain.assignment import Assignment
from alongside.domain.deployment import Trial
from alongside.domain.errors import Conflict, NotFound
from alongside.domain.image_names import held_name
from alongside.domain.instance import Instance
from alongside.domain.port import Port, Protocol
from alongside.domain.release import Release
from alongside.domain.route import Route
from alongside.domain.version import Version
from alongside.engine import ours
from alongside.engine.protocol import Container
from alongside.plan.steps import Allocate
from alongside.plan.well import Ill, Kind, ill


@dataclass(frozen=True, slots=True)
class Pool:
    """Where instances get their subnets and local ports from."""

    ipv4: IPv4Network
    ipv6: IPv6Network
    local_ports: range = range(20000, 30000)  # below Linux's ephemeral ports (32768)


@dataclass(frozen=True, slots=True)
class Holder:
    """A program, or a container that is not ours, that has a public port already."""

    port: Port
    program: str  # nginx (pid 812), container web-1 of the Compose project shop
    wanted: Port  # the port that it stands in the way of


@dataclass(frozen=True)
class Observed:
    pool: Pool
    releases: Sequence[Release] = ()
    instances: Sequence[Instance] = ()
    containers: Mapping[str, Container] = field(default_factory=dict)  # ours, by name
    foreign: frozenset[str] = frozenset()  # names of instances that other containers have
    networks: Mapping[str, str] = field(default_factory=dict)  # of the engine, name -> ID
    needy: Mapping[Version, str] = field(default_factory=dict)  # what they depend on is not well
    image_ids: Mapping[str, str] = field(default_factory=dict)  # image reference -> ID, now
    routes: Sequence[Route] = ()
    trail: Sequence[Version] = ()  # of the service that the plan is about
    bad: Mapping[Version, str] = field(default_factory=dict)  # marked bad, and why
    unprepared: frozenset[Version] = frozenset()  # whose `before` has still to run
    archived: frozenset[Version] = frozenset()  # of whose images an archive is kept
    trial: Trial | None = None  # of the service that the plan is about
    assignments: Sequence[Assignment] = ()
    singletons: Mapping[str, Version] = field(default_factory=dict)  # service -> what is to run
    copies: Sequence[str] = ()  # containers of the service that somebody started by hand
    holders: Sequence[Holder] = ()
    # What listens: on addresses that others can reach, or on loopback alone.
    listening: Mapping[tuple[Protocol, int], Literal["everywhere", "loopback"]] = field(
        default_factory=dict
    )
    busy_ports: frozenset[tuple[Protocol, int]] = frozenset()  # listened on, for local ports

    def release(self, service: str, version: Version) -> Release:
        for release in self.releases:
            if (release.service, release.version) == (service, version):
                return release
        raise NotFound(
            f"There is no release {service}@{version}.",
            hint=f"`alongside releases {service}` lists what there is.",
        )

    def instance(self, service: str, version: Version) -> Instance | None:
        for instance in self.instances:
            if (instance.service, instance.version, instance.ordinal) == (service, version, 1):
                return instance
        return None

    def main(self, service: str) -> tuple[Version, ...]:
        """Those that its own ports reach, not the ports that follow a range."""
        own = (route for route in self.routes_of(service) if route.follows is None)
        return tuple(dict.fromkeys(one for route in own for one in route.split.versions))

    def current(self, service: str) -> Instance | None:
        """The one instance of a singleton that is to run."""
        version = self.singletons.get(service)
        return self.instance(service, version) if version else None

    def container(self, instance: Instance) -> Container | None:
        """All versions of a singleton have one container's name, in turns."""
        found = self.containers.get(instance.name)
        if found and instance.singleton and not ours.of_version(found, instance.version):
            return None
        return found

    def ill(self, release: Release, instance: Instance) -> Ill | None:
        """What is wrong with its container, or with what it needs."""
        placed = None if release.spec.host_network else instance
        found = ill(self.container(instance), self.networks, instance=placed)
        if found is None and release.version in self.needy:
            return Ill(Kind.NEEDY, self.needy[release.version])
        return found

    def refuse_foreign(self, instance: Instance) -> None:
        """Raises Conflict where a container that is not ours has the instance's name."""
        if instance.name in self.foreign:
            raise Conflict(
                f"A container named {instance.name} is there, and alongside did not make it.",
                hint=f"Rename it (docker rename {instance.name} NAME) or remove it "
                f"(docker rm --force {instance.name}).",
            )

    def with_allocated(self, steps: Sequence[object]) -> Observed:
        """The same picture after the steps that give addresses out."""
        given = [step.instance for step in steps if isinstance(step, Allocate)]
        return replace(self, instances=[*self.instances, *given]) if given else self

    def routes_of(self, service: str) -> tuple[Route, ...]:
        return self._routes.get(service, ())

    @cached_property
    def _routes(self) -> Mapping[str, tuple[Route, ...]]:
        found: dict[str, tuple[Route, ...]] = {}
        for route in self.routes:
            found[route.service] = (*found.get(route.service, ()), route)
        return found

    def routed(self, service: str) -> tuple[Version, ...]:
        """The versions that the service's ports reach, each once."""
        return tuple(
            dict.fromkeys(
                version for route in self.routes_of(service) for version in route.split.versions
            )
        )

    def has_image(self, release: Release) -> bool:
        """Whether the engine has it; else it can be loaded. Rule 1: an image whose ID no longer
        matches its release is refused, and so is one that is gone for good."""
        for name in (release.image, held_name(release.service, release.version)):
            now = self.image_ids.get(name, release.image_id)
            if now != release.image_id:
                raise Conflict(
                    f"{name} is not the image that was released as {release.reference}: "
                    f"it is {now[:19]} now, and was {release.image_id[:19]}.",
                    hint=f"Put the old name back: docker tag {release.image_id} {name}",
                )
        if release.image_id not in self.image_ids.values():
            if release.version in self.archived:
                return False
            raise Conflict(
                f"The image of {release.reference} ({release.image}) is gone from the engine.",
                hint="A release never changes, so it is not built again under the same name: "
                "tag the commit anew with another version. `x-alongside.save: true` keeps an "
                "archive of the images of releases to come.",
            )
        return True

    def refuse_bad(self, release: Release) -> None:
        """Raises Conflict for a version that is marked bad."""
        why = self.bad.get(release.version)
        if why is not None:
            raise Conflict(
                f"{release.reference} is marked bad{f': {why}' if why else ''}.",
                hint=f"alongside mark good {release.reference} says otherwise; --force gives it "
                "the ports all the same.",
            )
