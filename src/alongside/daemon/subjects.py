"""What is held to what is wanted: instances, singletons, and what versions share. Each says what is
wrong with it now, and what is to be done about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol as Seam

from alongside.daemon.context import Context
from alongside.daemon.mending import bring_up, load_if_gone, network_ids, start_shared
from alongside.daemon.needs import Needs, SharedNeed
from alongside.daemon.singletons import converge, finish, tidy
from alongside.daemon.writers import refuse_writers_beside
from alongside.domain.history import Entry
from alongside.domain.instance import Instance
from alongside.domain.release import Release
from alongside.domain.service import Sharing
from alongside.engine import ours
from alongside.engine.protocol import LABEL_VERSION, Container
from alongside.plan.beside import is_singleton
from alongside.plan.well import Ill, Kind, holder, ill
from alongside.ready import asked_at, wait_ready
from alongside.store.instances import Wanted


@dataclass(frozen=True)
class Seen:
    """One look at the engine."""

    containers: Mapping[str, Container] = field(default_factory=dict)  # every one, by name
    networks: Mapping[str, str] = field(default_factory=dict)  # name -> ID

    @classmethod
    async def take(cls, context: Context) -> Seen:
        """Raises Unavailable."""
        containers = {one.name: one for one in await context.engine.everything()}
        return cls(containers, await network_ids(context))


class Subject(Seam):
    @property
    def name(self) -> str:
        """No two have the same."""
        ...

    @property
    def title(self) -> str:
        """How a sentence about it begins, for a person."""
        ...

    @property
    def service(self) -> str:
        """Of its container, in the compose file."""
        ...

    @property
    def lock(self) -> str:
        """The key of the lock that is held while it is mended."""
        ...

    @property
    def routed(self) -> bool: ...
    def containers(self, seen: Seen) -> list[Container]: ...
    async def ill(self, seen: Seen) -> Ill | None:
        """None also where it is not wanted any more, or is another's business."""
        ...

    async def mend(self, found: Ill, seen: Seen) -> None:
        """Do something about what was found. Raises AlongsideError."""
        ...


@dataclass(frozen=True)
class InstanceSubject:
    """An instance that runs beside others. One that is on trial is left to its trial, as long as
    the engine has not been away (`met`)."""

    context: Context
    needs: Needs
    release: Release
    instance: Instance
    routed: bool = False
    met: bool = False

    @property
    def name(self) -> str:
        return self.instance.name

    @property
    def title(self) -> str:
        return f"{self.name}, which should be running,"

    @property
    def service(self) -> str:
        return self.instance.service

    @property
    def lock(self) -> str:
        return self.release.reference

    def containers(self, seen: Seen) -> list[Container]:
        found = seen.containers.get(self.name)
        return [found] if found else []

    def _left_alone(self) -> bool:
        trial = self.context.trials.get(self.instance.service)
        if trial is not None and trial.version == self.instance.version:
            return not self.met
        # One that has lost the ports since it is bad is stopped by who retires it.
        former = {one.version for one in self.context.former.all(self.instance.service)}
        bad = self.context.bad(self.instance.service)
        return self.instance.version in former and self.instance.version in bad

    def _wanted(self) -> Wanted:
        instances, one = self.context.instances, self.instance
        if instances.get(one.service, one.version, one.ordinal) is None:
            return "stopped"
        return instances.wanted(one)

    async def ill(self, seen: Seen) -> Ill | None:
        instance, wanted = self.instance, self._wanted()
        if wanted == "stopped":
            return None
        there = seen.containers.get(self.name)
        if there is not None and ours.own(there, instance) is None:
            return Ill(
                Kind.SHADOWED,
                "cannot run: there is a container of that name that alongside did not make (docker "
                f"rename {self.name} NAME)",
            )
        own = None if self.release.spec.host_network else instance
        found = ill(there, seen.networks, instance=own, wanted=wanted)
        if found is not None and self._left_alone():
            return None
        other = holder(instance, seen.containers) if own is not None else None
        if found is not None and other is not None:
            return Ill(
                Kind.SHADOWED,
                f"{found.said}, and the container {other.name} has its address "
                f"{instance.subnet.address4} (docker network disconnect {instance.network} "
                f"{other.name})",
            )
        if found is None or found.kind is Kind.SICK:
            return await self._own_ill(seen) or found
        return found

    async def _own_ill(self, seen: Seen) -> Ill | None:
        project, containers = self.instance.project, seen.containers.values()
        return await self.needs.own_ill(self.release, project, containers, seen.networks)

    async def mend(self, found: Ill, seen: Seen) -> None:
        context, release, instance = self.context, self.release, self.instance
        container = await context.engine.container(instance.name)
        shared = [one.name for one in release.spec.depends if one.sharing is Sharing.SHARED]
        lacking = self.needs.lacking(release, seen.containers.values(), seen.networks)
        if found.kind is Kind.PAUSED and container is not None:
            await refuse_writers_beside(context, release, container)
            await context.engine.start(instance.name)
        elif (
            found.kind is Kind.ENDED
            and container is not None
            and not lacking
            and await self._own_ill(seen) is None
        ):
            # Compose would look at it all once more, and take a second for it.
            await refuse_writers_beside(context, release, container)
            await context.engine.start(instance.name)
        elif found.kind is not Kind.AWAKE:
            await load_if_gone(context, release)
            if lacking:
                await start_shared(context, release, shared)
            await bring_up(context, release, instance, anew=_anew(self, found))
        if context.instances.wanted(instance) == "paused":
            ready, address = asked_at(release.spec, instance)
            folder = context.paths.compose_file(release).parent
            await wait_ready(ready, address, instance, context.engine, folder=folder)
            await context.engine.pause(instance.name)


@dataclass(frozen=True)
class SingletonSubject:
    """One instance runs, whatever a crash left; a replacement that it cut off is finished, or
    taken back where the new one does not become ready. `met`: what is left of others is to be
    looked for, as after an engine's or the daemon's start."""

    context: Context
    needs: Needs
    service: str
    unfinished: list[Entry]
    met: set[str]
    routed: bool = False

    @property
    def name(self) -> str:
        return f"{self.service}-current"

    @property
    def title(self) -> str:
        return f"{self.name}, which should be running,"

    @property
    def lock(self) -> str:
        return self.service

    def containers(self, seen: Seen) -> list[Container]:
        found = seen.containers.get(self.name)
        return [found] if found else []

    async def ill(self, seen: Seen) -> Ill | None:
        context = self.context
        if self.service in self.met or self._interrupted():
            return Ill(Kind.ENDED, "is being looked at")
        version = context.instances.singletons().get(self.service)
        instance = context.instances.get(self.service, version) if version else None
        release = context.releases.get(self.service, version) if version else None
        trial = context.trials.get(self.service)
        if instance is None or release is None or (trial and trial.version == version):
            return None
        container = seen.containers.get(self.name)
        if container and container.labels.get(LABEL_VERSION) != str(version):
            container = None
        own = None if release.spec.host_network else instance
        found = ill(container, seen.networks, instance=own)
        if found is not None:
            return found
        containers = seen.containers.values()
        return await self.needs.own_ill(release, instance.project, containers, seen.networks)

    def _interrupted(self) -> list[Entry]:
        return [one for one in self.unfinished if one.service == self.service]

    async def mend(self, found: Ill, seen: Seen) -> None:
        for entry in self._interrupted():
            await finish(self.context, entry)
            self.unfinished.remove(entry)
        await converge(self.context, self.service, anew=_anew(self, found))
        await tidy(self.context, self.service)
        self.met.discard(self.service)


@dataclass(frozen=True)
class SharedSubject:
    """A service that a repository's versions share."""

    context: Context
    needs: Needs
    need: SharedNeed
    routed: bool = True  # what has ports may need it

    @property
    def name(self) -> str:
        return self.need.name

    @property
    def title(self) -> str:
        return self.need.title

    @property
    def service(self) -> str:
        return self.need.service

    @property
    def lock(self) -> str:
        return f"mend {self.need.name}"  # the project's own is taken where it is started

    def containers(self, seen: Seen) -> list[Container]:
        return self.need.containers(seen.containers.values())

    async def ill(self, seen: Seen) -> Ill | None:
        if not any(one.name == self.name for one in self.needs.shared()):
            return None
        return self.needs.ill(self.containers(seen), seen.networks, completes=self.need.completes)

    async def mend(self, found: Ill, seen: Seen) -> None:
        context = self.context
        releases = self.need.needed_by
        in_force = [one for one in releases if context.in_force(one.service) == one]
        release = (in_force or releases)[-1]
        await start_shared(context, release, [self.need.service], anew=_anew(self, found))


def _anew(subject: Subject, found: Ill) -> tuple[str, ...]:
    """A container that does not know what it has lost is made anew."""
    return (subject.service,) if found.kind is Kind.CUT_OFF else ()


def subjects(
    context: Context, needs: Needs, unfinished: list[Entry], met_singletons: set[str], met: set[str]
) -> list[Subject]:
    """All that is to run now, what ports reach first."""
    routed = {
        (route.service, version)
        for route in context.routes.all()
        for version in route.split.versions
    }
    found: list[Subject] = [SharedSubject(context, needs, need) for need in needs.shared()]
    singletons = set(context.instances.singletons()) | met_singletons
    singletons |= {entry.service for entry in unfinished}
    found += [
        SingletonSubject(context, needs, service, unfinished, met_singletons)
        for service in singletons
    ]
    for instance in context.instances.all():
        release = context.releases.get(instance.service, instance.version)
        if instance.singleton or release is None:
            continue
        if context.instances.wanted(instance) != "stopped":
            found.append(
                InstanceSubject(
                    context,
                    needs,
                    release,
                    instance,
                    routed=(instance.service, instance.version) in routed,
                    met=instance.name in met,
                )
            )
    return sorted(found, key=lambda one: not one.routed)


def singletons_of(context: Context) -> set[str]:
    """The services that are singletons now, or were by their last release."""
    newest = {release.service: release for release in context.releases.all()}
    running = context.instances.singletons()
    return {name for name, one in newest.items() if is_singleton(one) or name in running}
