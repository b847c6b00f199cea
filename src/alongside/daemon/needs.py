"""Dependencies: which containers a version needs, and which of them have done their work."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from alongside.compose.override import shared_name
from alongside.daemon.context import Context
from alongside.daemon.mending import of_project
from alongside.daemon.projects import plain_project
from alongside.domain.errors import AlongsideError
from alongside.domain.release import Release
from alongside.domain.service import Sharing
from alongside.engine.protocol import Container
from alongside.plan.well import Ill, Kind, ill

COMPLETES = "service_completed_successfully"
JOB = 60.0  # seconds; what ends well within them, and was not told to, has done its work

Conditions = Mapping[str, Mapping[str, str]]  # service -> what it depends on -> condition


@dataclass(frozen=True)
class SharedNeed:
    """A service that versions of a repository share, and who needs it now."""

    repository: str
    service: str
    needed_by: tuple[Release, ...]  # newest last
    completes: bool = False  # it is to end, with exit code 0

    @property
    def project(self) -> str:
        return shared_name(self.repository)

    @property
    def name(self) -> str:
        return f"{self.project}/{self.service}"

    @property
    def title(self) -> str:
        *others, last = [one.reference for one in self.needed_by]
        names = f"{', '.join(others)} and {last} need" if others else f"{last} needs"
        return f"{self.service}, which {names},"

    def containers(self, everything: Iterable[Container]) -> list[Container]:
        return of_project(everything, self.project).get(self.service, [])


class Needs:
    """What releases need, remembered: a release never changes."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._conditions: dict[str, Conditions] = {}  # by reference of a release
        self.told: set[str] = set()  # names of containers that were told to end

    def releases(self) -> list[Release]:
        """Those that are wanted up, running or paused."""
        context = self._context
        wanted = {
            (one.service, one.version)
            for one in context.instances.all()
            if context.instances.wanted(one) != "stopped"
        }
        releases = [one for one in context.releases.all() if (one.service, one.version) in wanted]
        return sorted(releases, key=lambda one: one.created)

    def shared(self) -> list[SharedNeed]:
        """What those releases themselves name, and what that needs, as far as it is known."""
        found: dict[tuple[str, str], dict[str, Release]] = {}
        completes: set[tuple[str, str]] = set()
        for release in self.releases():
            conditions = self._conditions.get(release.reference, {})
            for service in _closure(_direct(release), conditions):
                key = (release.repository, service)
                found.setdefault(key, {})[release.reference] = release
                if _completes(service, conditions):
                    completes.add(key)
        return [
            SharedNeed(*key, tuple(releases.values()), completes=key in completes)
            for key, releases in found.items()
        ]

    async def learn(self) -> None:
        """Read what shared services need themselves. Raises what Compose raises."""
        for release in self.releases():
            if _direct(release):
                await self.conditions(release)

    async def conditions(self, release: Release) -> Conditions:
        """Raises what Compose raises."""
        if release.reference not in self._conditions:
            project = plain_project(self._context, release, None)
            model = await self._context.compose.config(project)
            self._conditions[release.reference] = {
                name: _depends(raw.get("depends_on")) for name, raw in model["services"].items()
            }
        return self._conditions[release.reference]

    def ill(
        self,
        containers: Iterable[Container],
        networks: Mapping[str, str],
        *,
        completes: bool = False,
    ) -> Ill | None:
        """What is wrong with a dependency, whose containers these are."""
        containers = list(containers)
        if not containers:
            return None if completes else ill(None, networks)
        for one in containers:
            found = ill(one, networks)
            if found and not self._done(one, found, completes=completes):
                return found
        return None

    def _done(self, container: Container, found: Ill, *, completes: bool) -> bool:
        if container.state != "exited" or container.exit_code != 0:
            return False
        if completes:
            return True
        if found.kind is not Kind.ENDED or container.name in self.told:
            return False
        if container.started is None or container.finished is None:
            return False
        return (container.finished - container.started).total_seconds() < JOB

    async def own_ill(
        self,
        release: Release,
        project: str,
        everything: Iterable[Container],
        networks: Mapping[str, str],
    ) -> Ill | None:
        """The first of a version's own dependencies that is not well. A project's containers are
        asked for what their model says only where one of them is not."""
        there = of_project(everything, project)
        for one in release.spec.depends:
            if one.sharing is not Sharing.OWN:
                continue
            found = self.ill(there.get(one.name, ()), networks)
            if found is None:
                continue
            try:
                completes = _completes(one.name, await self.conditions(release))
            except AlongsideError:
                completes = False  # what cannot be read is told by the try to start it
            found = self.ill(there.get(one.name, ()), networks, completes=completes)
            if found is not None:
                # What it needs is no news of its own container's.
                return Ill(Kind.NEEDY, f"needs its own {one.name}, which {found.said}")
        return None

    def lacking(
        self, release: Release, everything: Iterable[Container], networks: Mapping[str, str]
    ) -> bool:
        """Whether something that the release shares with others is not well."""
        names, everything = _direct(release), list(everything)
        return any(
            self.ill(one.containers(everything), networks, completes=one.completes)
            for one in self.shared()
            if one.repository == release.repository and one.service in names
        )


async def shared_rows(context: Context, service: str | None = None) -> list[dict[str, Any]]:
    """What versions share, of the service's repository or of all: a row a container, and one for
    what is needed and has none. Nothing where the engine does not answer."""
    try:
        everything = await context.engine.everything()
    except AlongsideError:
        return []  # a problem, which status shows
    releases = context.releases.all()
    repositories = {one.repository for one in releases if service in (None, one.service)}
    needed = {(one.repository, one.service): one for one in context.healing.needs.shared()}
    rows = []
    for repository in sorted(repositories):
        there = of_project(everything, shared_name(repository))
        names = {one for other, one in needed if other == repository} | set(there)
        for name in sorted(names):
            need = needed.get((repository, name))
            containers: list[Container | None] = [*there.get(name, ())]
            for one in containers or [None]:
                rows.append(_row(repository, name, one, need))
    return rows


def _row(
    repository: str, service: str, container: Container | None, need: SharedNeed | None
) -> dict[str, Any]:
    started = container.started if container else None
    return {
        "name": container.name if container else None,
        "repository": repository,
        "service": service,
        "state": container.state if container else "none",
        "health": container.health if container else "",
        "exit_code": container.exit_code if container else None,
        "restarts": container.restarts if container else 0,
        "started": started.isoformat() if started else None,
        "needed_by": [one.reference for one in need.needed_by] if need else [],
    }


def _direct(release: Release) -> list[str]:
    return [one.name for one in release.spec.depends if one.sharing is Sharing.SHARED]


def _closure(services: Iterable[str], conditions: Conditions) -> list[str]:
    queue, seen = list(services), dict.fromkeys(services)
    while queue:
        for needed in conditions.get(queue.pop(0), {}):
            if needed not in seen and needed in conditions:
                seen[needed] = None
                queue.append(needed)
    return list(seen)


def _completes(service: str, conditions: Conditions) -> bool:
    return any(one.get(service) == COMPLETES for one in conditions.values())


def _depends(raw: Any) -> dict[str, str]:
    if isinstance(raw, Mapping):
        return {name: str((one or {}).get("condition", "")) for name, one in raw.items()}
    return dict.fromkeys(raw or (), "")
