"""What the daemon answers to those who only look."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any

from pydantic_core import to_json

from alongside import __version__
from alongside.daemon.beside import Beside
from alongside.daemon.context import Context
from alongside.daemon.needs import shared_rows
from alongside.domain.deployment import Hold, Trial
from alongside.domain.errors import AlongsideError, NotFound
from alongside.domain.history import Entry, known_good
from alongside.domain.instance import Instance
from alongside.domain.nearest import nearest
from alongside.domain.release import Release
from alongside.domain.route import Route
from alongside.domain.tags import claims
from alongside.domain.version import Dated, Version, newest_first
from alongside.engine import ours
from alongside.engine.protocol import Container
from alongside.plan.beside import is_singleton
from alongside.router.protocol import HostTarget, InstanceTarget, Target

Json = dict[str, Any]


async def info(context: Context, pid: int) -> Json:
    engine: Json | None = None
    compose: str | None = None
    problems = list(context.problems.values())
    try:
        found = await context.engine.info()
        engine = {
            "version": found.version,
            "api": found.api,
            "operating_system": found.operating_system,
        }
        compose = await context.compose.version()
    except AlongsideError as error:
        problems.append(error.message)
    return {
        "version": __version__,
        "pid": pid,
        "state_dir": str(context.paths.root),
        "socket": context.socket,
        "engine": engine,
        "compose": compose,
        "problems": list(dict.fromkeys(problems)),
    }


async def status(context: Context, service: str | None) -> Json:
    picture = await _Picture.take(context, service)
    services: list[Json] = []
    pending = context.journal.running()
    for name in picture.services():
        routes = [route for route in picture.routes if route.service == name]
        versions = list(dict.fromkeys(one for route in routes for one in route.split.versions))
        one, in_force = picture.singletons.get(name), context.in_force(name)
        current = one or (versions[0] if len(versions) == 1 else None)
        steps = context.trail(name)
        bad = context.bad(name)
        trial, hold = context.trials.get(name), context.holds.get(name)
        back = known_good(steps, current or (versions[0] if versions else None), bad)
        releases = picture.newest(name)
        picture.problems += picture.lost_images(name, current, back)
        services.append(
            {
                "name": name,
                "repository": releases[0].repository,
                "source": releases[0].source,
                "workload": releases[0].spec.workload.value,
                "current": str(current) if current else None,
                "rollback_to": str(back) if back else None,
                "trial": _trial(trial) if trial else None,
                "follow": picture.follow(name, current),
                "hold": _hold(hold) if hold else None,
                "ports": [{"port": str(route.port), "split": _shares(route)} for route in routes],
                "doing": [_doing(context, entry) for entry in pending if entry.service == name],
                "versions": [
                    picture.version(release, versions, current=release == in_force)
                    for release in releases
                ],
            }
        )
    document = {"services": services, "problems": picture.problems}
    return document | {"revision": _revision(services, picture.problems)}


def _revision(services: Iterable[Json], problems: list[str]) -> str:
    """Of all but the numbers of connections, which are others at each look; while a version
    drains they make another one each second."""
    draining = False
    stripped = []
    for service in services:
        versions = [{**one, "connections": None} for one in service["versions"]]
        stripped.append({**service, "versions": versions})
        draining |= any(one["former"] and not one["former"]["drained"] for one in versions)
    second = int(time.time()) if draining else 0
    text = to_json([stripped, problems, second])
    return blake2b(text, digest_size=8).hexdigest()


async def releases(context: Context, service: str | None) -> Json:
    picture = await _Picture.take(context, service)
    routed = {(route.service, one) for route in picture.routes for one in route.split.versions}
    return {
        "releases": [
            {
                "service": release.service,
                "version": str(release.version),
                "repository": release.repository,
                "source": release.source,
                "commit": release.commit,
                "tree": release.git_tree,
                "image": release.image,
                "image_id": release.image_id,
                "created": release.created.isoformat(),
                "state": picture.state(release),
                "routed": (release.service, release.version) in routed,
            }
            for name in picture.services()
            for release in picture.newest(name)
        ]
    }


async def instances(context: Context, service: str | None) -> Json:
    picture = await _Picture.take(context, service)
    routed = {(route.service, one) for route in picture.routes for one in route.split.versions}
    rows = []
    for instance in picture.instances.values():
        container = picture.container(instance)
        rows.append(
            {
                "name": instance.name,
                "service": instance.service,
                "version": str(instance.version),
                "state": container.state if container else "none",
                "health": container.health if container else "",
                "image_id": container.image_id if container else None,
                "routed": (instance.service, instance.version) in routed,
                "restarts": container.restarts if container else 0,
                "exit_code": container.exit_code if container else None,
                "started": _iso(container),
                **_places(instance),
            }
        )
    return {"instances": rows, "dependencies": await shared_rows(context, service)}


async def ports(context: Context, service: str | None) -> Json:
    if service is not None:
        _must_know(context, service)
    wanted = context.wanted()
    by_port = {routed.port: routed for routed in wanted.ports}
    rows = []
    for route in context.routes.all():
        if service not in (None, route.service):
            continue
        targets = {choice.target.name: choice.target for choice in by_port[route.port].choices}
        split = []
        for share in route.split.shares:
            target = targets.get(f"{route.service}@{share.version}")
            split.append(
                {
                    "version": str(share.version),
                    "weight": share.weight,
                    **_far_end(target),
                }
            )
        follows = route.follows.range if route.follows else None
        row = {"port": str(route.port), "service": route.service, "follows": follows}
        rows.append({**row, "split": split})
    assigned = [] if service else context.assignments.all()
    return {
        "ports": rows,
        "assigned": [{"port": str(one.port), "target": one.target} for one in assigned],
    }


def history(context: Context, service: str | None, limit: int) -> Json:
    entries = context.journal.entries(service, limit)
    if service is not None and not entries:
        _must_know(context, service)
    return {"history": [_entry(context, entry) for entry in reversed(entries)]}


def names(context: Context) -> Json:
    """Services and their versions newest first, as a shell completes them: no engine is asked."""
    routed = {
        (route.service, one) for route in context.routes.all() for one in route.split.versions
    }
    made = {(one.service, one.version) for one in context.instances.all()}
    return {
        "services": [
            {
                "name": service,
                "versions": [
                    {
                        "version": str(version),
                        "instance": (service, version) in made,
                        "routed": (service, version) in routed,
                    }
                    for version in newest_first(versions)
                ],
            }
            for service, versions in sorted(context.known().items())
        ]
    }


def tags(context: Context, tag: str, repository: str) -> Json:
    """The releases that were made from a tag of this name in this repository."""
    found = []
    for release in context.releases.all():
        try:
            version = claims(release.spec.tags, tag)
        except AlongsideError:
            continue
        if release.repository == repository and version == release.version:
            found.append(
                {
                    "service": release.service,
                    "version": str(release.version),
                    "commit": release.commit,
                }
            )
    return {"releases": found}


class _Picture:
    """One look at releases, instances, containers and routes, of one service or of all."""

    def __init__(
        self,
        releases: Iterable[Release],
        instances: Mapping[tuple[str, Version], Instance],
        containers: Mapping[str, Container],
        routes: list[Route],
        problems: list[str],
        singletons: Mapping[str, Version],
        beside: Beside,
    ) -> None:
        self.releases = {(release.service, release.version): release for release in releases}
        self.instances = instances
        self.containers = containers
        self.routes = routes
        self.problems = problems
        self.singletons = singletons
        self.beside = beside

    @classmethod
    async def take(cls, context: Context, service: str | None) -> _Picture:
        if service is not None:
            _must_know(context, service)
        problems = list(context.problems.values())
        releases = [one for one in context.releases.all() if service in (None, one.service)]
        containers: dict[str, Container] = {}
        try:
            containers = {one.name: one for one in await context.engine.containers()}
            for name, copies in (await _copies(context, releases)).items():
                problems.append(
                    f"{name} is a singleton, and copies of it run that were started by hand: "
                    f"{', '.join(copies)}. End them: docker rm --force {' '.join(copies)}"
                )
        except AlongsideError as error:
            problems.append(error.message)
        instances = {
            (one.service, one.version): one
            for one in context.instances.all()
            if service in (None, one.service)
        }
        beside = await Beside.take(context, releases, instances, containers)
        problems += beside.problems
        return cls(
            releases,
            instances,
            containers,
            [one for one in context.routes.all() if service in (None, one.service)],
            list(dict.fromkeys(problems)),
            context.instances.singletons(),
            beside,
        )

    def services(self) -> list[str]:
        return sorted({service for service, _ in self.releases})

    def newest(self, service: str) -> list[Release]:
        dated = [
            Dated(release.version, release.created)
            for release in self.releases.values()
            if release.service == service
        ]
        return [self.releases[service, version] for version in newest_first(dated)]

    def container(self, instance: Instance | None) -> Container | None:
        return ours.own(self.containers.get(instance.name), instance) if instance else None

    def state(self, release: Release) -> str:
        instance = self.instances.get((release.service, release.version))
        container = self.container(instance)
        return container.state if container else "none"

    def lost_images(self, service: str, *needed: Version | None) -> list[str]:
        """What cannot be started again, of what has the ports and of what a rollback goes to."""
        lost = []
        for version, what in zip(needed, ("is current", "a rollback would go to"), strict=True):
            release = self.releases.get((service, version)) if version else None
            if release is not None and self.beside.image_state(release) == "gone":
                lost.append(
                    f"The image of {release.reference}, which {what}, is gone from the engine, and "
                    "no archive of it is kept: once its container is gone it cannot be started "
                    "again. Tag its commit anew; `x-alongside.save: true` keeps archives."
                )
        return lost

    def follow(self, service: str, current: Version | None) -> str | None:
        """What the version that has the ports says."""
        release = self.releases.get((service, current)) if current else None
        return release.spec.follow or None if release else None

    def version(self, release: Release, routed: list[Version], *, current: bool) -> Json:
        instance = self.instances.get((release.service, release.version))
        container = self.container(instance)
        return {
            "version": str(release.version),
            "state": self.state(release),
            "health": container.health if container else "",
            "routed": release.version in routed,
            "current": current,
            **self.beside.version(release),
            "started": _iso(container),
            "restarts": container.restarts if container else 0,
            "created": release.created.isoformat(),
            "commit": release.commit,
            **_places(instance),
        }


def _far_end(target: Target | None) -> Json:
    """In the host's network an instance has no address of its own."""
    own = target if isinstance(target, InstanceTarget) else None
    here = target.port if isinstance(target, HostTarget) else None
    return {
        "address4": str(own.ipv4) if own else None,
        "address6": str(own.ipv6) if own else None,
        "target": own.port if own else here,
        "local_port": own.local_port if own else here,
    }


async def _copies(context: Context, releases: Iterable[Release]) -> dict[str, list[str]]:
    """Of each singleton what somebody started by hand."""
    newest = {release.service: release for release in releases}
    found = {
        name: await context.copies([release])
        for name, release in newest.items()
        if is_singleton(release)
    }
    return {name: copies for name, copies in found.items() if copies}


def _places(instance: Instance | None) -> Json:
    if instance is None:
        return {"local_ports": [], "address4": None, "address6": None}
    return {
        "local_ports": [
            {"protocol": one.protocol.value, "target": one.target, "number": one.number}
            for one in instance.local_ports
        ],
        "address4": str(instance.subnet.address4),
        "address6": str(instance.subnet.address6),
    }


def _trial(trial: Trial) -> Json:
    return {
        "version": str(trial.version),
        "since": trial.since.isoformat(),
        "until": trial.until.isoformat(),
        "operation": trial.operation,
    }


def _hold(hold: Hold) -> Json:
    return {"since": hold.since.isoformat(), "actor": hold.actor, "message": hold.message}


def _iso(container: Container | None) -> str | None:
    return container.started.isoformat() if container and container.started else None


def _shares(route: Route) -> list[Json]:
    return [{"version": str(share.version), "weight": share.weight} for share in route.split.shares]


def _entry(context: Context, entry: Entry) -> Json:
    return {
        "id": entry.id,
        "at": entry.at.isoformat(),
        "finished": entry.finished.isoformat() if entry.finished else None,
        "verb": entry.verb,
        "service": entry.service,
        "from": entry.before,
        "to": entry.after,
        "actor": entry.actor.name,
        "uid": entry.actor.uid,
        "message": entry.message,
        "outcome": entry.outcome.value,
        "detail": entry.detail,
        "output": context.journal.output(entry.id),
        "steps": [list(step) for step in context.journal.steps(entry.id)],
    }


def _doing(context: Context, entry: Entry) -> Json:
    """An operation that runs, and how far it is."""
    steps = [name for name, state in context.journal.steps(entry.id) if state == "started"]
    return {
        "id": entry.id,
        "verb": entry.verb,
        "to": entry.after,
        "step": steps[-1] if steps else "",
    }


def _must_know(context: Context, service: str) -> None:
    known = context.known()
    if context.lost:
        raise NotFound(f"{service!r} is not known: {context.lost}")
    if service not in known:
        raise NotFound(
            f"There is no service {service!r} on this host.",
            hint=nearest(service, list(known)),
        )
