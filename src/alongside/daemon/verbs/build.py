"""`build`: from a tag's tree to releases."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from alongside.compose.files import find_compose_file, linked_files
from alongside.compose.override import build_override, build_targets, held_names
from alongside.compose.services import services_from
from alongside.daemon import faults, strays, trees
from alongside.daemon.build_names import BuildNames, note_names, take_back
from alongside.daemon.context import Context
from alongside.daemon.images import give_name, save_image
from alongside.daemon.locks import BUILDS, TREES
from alongside.daemon.operations import Emit
from alongside.daemon.projects import interpolation
from alongside.daemon.threads import in_thread
from alongside.daemon.unpacked import Unpacked
from alongside.daemon.verbs.change import Asked, Result
from alongside.daemon.verbs.follow import follow, would_follow
from alongside.domain.errors import (
    AlongsideError,
    Conflict,
    InvalidInput,
    NotFound,
    StepFailed,
    said_of,
)
from alongside.domain.history import Outcome
from alongside.domain.image_names import REGISTRY, copy_name, held_name
from alongside.domain.nearest import nearest
from alongside.domain.reference import containers
from alongside.domain.release import Release
from alongside.domain.service import Service, Workload
from alongside.domain.tags import claims
from alongside.domain.version import Version
from alongside.engine.protocol import Project
from alongside.host.reserve import shortage

Model = Mapping[str, Any]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Source:
    """What the client says of the tree that it sends."""

    tag: str
    commit: str
    tree: str
    repository: str
    source: str
    compose_file: str = ""  # "" is Compose's own choice
    service: str = ""  # "" is every service that claims the tag


@dataclass(frozen=True, slots=True)
class _Job:
    """One release to make."""

    source: Source
    unpacked: Unpacked
    compose_file: Path  # in the unpacked folder
    service: Service
    version: Version
    model: Model
    more: bool = False  # whether others are to be built from the same tree

    @property
    def image(self) -> str:
        """The person's name for it."""
        return f"{self.service.image}:{self.version}"

    @property
    def tags(self) -> list[str]:
        """Further names, by `build.tags`."""
        tags = (self.model["services"][self.service.name].get("build") or {}).get("tags") or ()
        return [tag if ":" in tag.rpartition("/")[2] else f"{tag}:latest" for tag in tags]

    @property
    def others(self) -> list[str]:
        """What else the compose file builds."""
        targets = build_targets(self.service)
        services = self.model["services"].items()
        return [name for name, raw in services if raw.get("build") and name not in targets]

    def names(self) -> BuildNames:
        service, version = self.service, self.version
        return BuildNames(
            service.name,
            str(version),
            self.source.repository,
            own=[*held_names(service, version), *self.stray_names()],
            others=[self.image, *self.tags],
        )

    def stray_names(self) -> list[str]:
        """Of images that Compose may build on the way."""
        return [copy_name(self.service.name, other, self.version) for other in self.others]


async def build(
    context: Context, source: Source, archive: Path, asked: Asked, emit: Emit
) -> Result:
    """One build at a time, in the order in which they came."""
    emit({"event": "accepted"})  # the tree is here: who sends several need not wait to send on
    try:
        async with context.locks[BUILDS]:
            result = await _build(context, source, archive, asked, emit)
    finally:
        trees.discard(archive)  # one that waited for its turn, and was cancelled meanwhile
    if result["changed"]:
        # What follows a range is led to the new release, where it matches and becomes ready.
        for service in result["service"].split():
            result["summary"] += await follow(context, service, emit)
            result["summary"] += context.follower.look(service)
            context.collector.look(service)
    return result


async def _build(
    context: Context, source: Source, archive: Path, asked: Asked, emit: Emit
) -> Result:
    """Make a release of every service that claims the tag. Raises InvalidInput, Conflict,
    BuildFailed; and then there is no new release."""
    unpacked = await _unpack(context, source, archive)
    try:
        compose_file = find_compose_file(unpacked.folder, source.compose_file)
        linked = linked_files(compose_file)
        trees.link(compose_file.parent, linked, context.paths.shared(source.repository))
        services, model = await _claiming(context, source, compose_file)
        todo = [
            (service, version)
            for service, version in services
            if not _same(context, source, service.name, version)
        ]
        result: Result = {
            "verb": "build",
            "service": " ".join(service.name for service, _ in services),
            "changed": bool(todo) and not asked.dry_run,
            "from": "",
            "to": str(services[0][1]),
            "dry_run": asked.dry_run,
            "releases": [f"{service.name}@{version}" for service, version in services],
            "plan": [
                f"{number}. build {service.image}:{version} and release {service.name}@{version}"
                for number, (service, version) in enumerate(todo, 1)
            ],
            "summary": [
                f"{service.name}@{version} is released already, from this very commit."
                for service, version in services
                if (service, version) not in todo
            ],
        }
        if asked.dry_run:
            await _say_what_follows(context, source, todo, result)
            return result
        if todo:
            await unpacked.seal()
        for number, (service, version) in enumerate(todo, 1):
            more = number < len(todo)
            job = _Job(source, unpacked, compose_file, service, version, model, more)
            release, notes = await _release(context, job, asked, emit)
            result["summary"].append(
                f"{release.reference} is released: {release.image}, {release.image_id[:19]}, "
                f"from commit {release.commit[:12]}."
            )
            result["summary"] += notes
        return result
    finally:
        if unpacked.folder.exists():  # else it was given away
            await in_thread(partial(trees.discard, unpacked.folder))
        if unpacked.kept:
            tree = context.paths.tree(source.repository, unpacked.kept)
            await strays.discard_unreleased(context, tree)


async def _say_what_follows(
    context: Context, source: Source, todo: Sequence[tuple[Service, Version]], result: Result
) -> None:
    """Of a dry run: the ports that a range would lead to what is built, to the nft text."""
    result["nft"] = ""
    for service, version in todo:
        release = Release(
            service=service.name,
            version=version,
            repository=source.repository,
            source=source.source,
            commit=source.commit,
            tree=source.tree,
            image=f"{service.image}:{version}",
            image_id="sha256:",  # nobody knows it yet
            compose_file="",
            created=datetime.now(UTC),
            spec=service,
        )
        steps, nft = await would_follow(context, release)
        first = len(result["plan"]) + 1
        result["plan"] += [f"{number}. {step}" for number, step in enumerate(steps, first)]
        result["nft"] += nft
    result["summary"].append("Nothing was changed; this is what would be done.")


async def _unpack(context: Context, source: Source, archive: Path) -> Unpacked:
    """Anew for every build, whatever trees are kept: containers may have written to those."""
    faults.point("unpack", "before")
    folder = await trees.unpack(archive, context.paths.incoming)
    trees.discard(archive)
    faults.point("unpack", "after")
    return Unpacked(folder, context.paths, source.repository, source.tree)


async def _claiming(
    context: Context, source: Source, compose_file: Path
) -> tuple[list[tuple[Service, Version]], Model]:
    """The services that claim the tag, and Compose's own model of the file."""
    project = Project(
        name="alongside-check",
        directory=compose_file.parent,
        files=[compose_file],
        environment=interpolation(source.tag.rpartition("/")[2]),
    )
    model = await context.compose.config(project)
    services = services_from(model, file=compose_file.name)
    if source.service and source.service not in {service.name for service in services}:
        raise NotFound(
            f"{compose_file.name} at {source.tag} has no released service {source.service!r}.",
            hint=nearest(source.service, [service.name for service in services]),
        )
    claimed = [
        (service, version)
        for service in services
        if source.service in ("", service.name)
        and (version := claims(service.tags, source.tag)) is not None
    ]
    if not claimed:
        patterns = "; ".join(f"{one.name}: {', '.join(one.tags)}" for one in services)
        raise InvalidInput(
            f"No service claims the tag {source.tag}, so there is nothing to build.",
            hint=f"Tag patterns (x-alongside.tags) at that tag: {patterns}."
            if patterns
            else "No service of the compose file has `build:`.",
        )
    for service, version in claimed:
        _check_owner(context, source, service)
        _check_name(context, service, version)
    return claimed, model


def _check_name(context: Context, service: Service, version: Version) -> None:
    """`web@api-1.0` and `web-api@1.0` would both be the container `web-api-1.0`."""
    if service.workload is Workload.SINGLETON and str(version) == "current":
        raise InvalidInput(
            f"{service.name} is a singleton, whose container is always {service.name}-current, so "
            "no version of it can have that name.",
            hint="Tag it with another version.",
        )
    name = f"{service.name}-{version}"
    others = [one for one in containers(name, context.known()) if one != (service.name, version)]
    if others:
        other, its = others[0]
        raise Conflict(
            f"{service.name}@{version} would have the container's name {name}, which "
            f"{other}@{its} has.",
            hint="Tag it with another version.",
        )


def _check_owner(context: Context, source: Source, service: Service) -> None:
    owner = context.releases.owner(service.name)
    if owner is not None and owner[0] != source.repository:
        raise Conflict(
            f"The service name {service.name} belongs to the repository {owner[0]} "
            f"({owner[1]}) on this host; {source.repository} ({source.source}) cannot have it too.",
            hint="Service names belong to the host: give the service of one of them another name.",
        )


def _same(context: Context, source: Source, service: str, version: Version) -> bool:
    """Whether this very release is there. Raises Conflict where it is another commit's."""
    there = context.releases.get(service, version)
    removed = context.releases.removed(service, version)
    if there is None and removed not in (None, source.commit):
        raise Conflict(
            f"{service}@{version} was a release of commit {str(removed)[:12]}, which was removed "
            f"since; the tag {source.tag} is at commit {source.commit[:12]} now, and a version "
            "never changes.",
            hint=f"Tag {source.commit[:12]} with a new version.",
        )
    if there is None:
        return False
    if there.commit != source.commit:
        raise Conflict(
            f"{there.reference} was released from commit {there.commit[:12]}, and a release never "
            f"changes; the tag {source.tag} is at commit {source.commit[:12]} now.",
            hint=f"Tag {source.commit[:12]} with a new version; to put the tag back: "
            f"git tag -f {source.tag} {there.commit[:12]}",
        )
    return True


async def _release(
    context: Context, job: _Job, asked: Asked, emit: Emit
) -> tuple[Release, list[str]]:
    """The release, and what is to be said of names that its image was not given."""
    journal = context.journal
    service, version, source = job.service, job.version, job.source
    operation = journal.begin(
        "build", service.name, asked.actor, before="", after=str(version), message=asked.message
    )
    emit({"event": "operation", "id": operation, "verb": "build", "service": service.name})
    folder = context.paths.project(f"build-{operation}")
    try:
        image_id = await _image(context, job, operation, folder, emit)
        image, notes = await _named(context, job, image_id)
        release = Release(
            service=service.name,
            version=version,
            repository=source.repository,
            source=source.source,
            commit=source.commit,
            tree="",  # it has no place yet
            image=image,
            image_id=image_id,
            compose_file=str(job.compose_file.relative_to(job.unpacked.folder)),
            created=datetime.now(UTC),
            spec=service,
        )
        if service.save:
            await save_image(context, release)
        faults.point("record-release", "before")
        async with context.locks[TREES]:  # until it is recorded nothing says that it is needed
            kept = await job.unpacked.keep(more=job.more, expect=partial(strays.expect, context))
            release = replace(release, tree=kept)
            with context.database.transaction():
                context.releases.add(release)
                strays.settled(context, context.paths.tree(source.repository, kept))
                journal.end(operation, Outcome.DONE)
        faults.point("record-release", "after")
    except BaseException as error:
        if context.releases.get(service.name, version) is None:
            context.paths.archive_of(service.name, version).unlink(missing_ok=True)
        if isinstance(error, Exception):  # else the daemon stops, and finds the folder later
            await _take_back(context, folder)
        journal.end(operation, Outcome.FAILED, said_of(error))
        raise
    await _take_back(context, folder)
    return release, notes


async def _take_back(context: Context, folder: Path) -> None:
    try:
        await take_back(context, folder)
    except AlongsideError as error:
        _log.warning("names that a build gave are still there: %s", error.message)


async def _named(context: Context, job: _Job, image_id: str) -> tuple[str, list[str]]:
    """Give the image the names that people know it by, where they are no other image's. Returns
    the name that it goes by, and what is to be said of the others."""
    held = held_name(job.service.name, job.version)
    known, notes = held, []
    for name in (job.image, *job.tags):
        if name.startswith(f"{REGISTRY}/"):
            whose = "" if name == held else "a name that alongside keeps for itself"
        else:
            whose = await give_name(
                context, name, image_id, job.service.name, job.source.repository
            )
        if not whose and name == job.image:
            known = name
        if whose:
            notes.append(
                f"{name} was left alone, as it is {whose}. The image of "
                f"{job.service.name}@{job.version} is {held}."
            )
    return known, notes


async def _image(context: Context, job: _Job, operation: int, folder: Path, emit: Emit) -> str:
    """Build the image in our name for it; returns its ID. `folder` is there afterwards."""
    step = {
        "event": "step",
        "position": 1,
        "name": "build-image",
        "text": f"build {job.image}",
    }
    if short := shortage(context.paths.root):
        raise StepFailed(
            f"{job.service.name}@{job.version} was not built: {short}.",
            hint=f"Look at the free space of {context.paths.root}.",
        )
    context.journal.step(operation, 1, "build-image", "started")
    emit({**step, "state": "started"})
    folder.mkdir(parents=True)
    note_names(folder, job.names())
    override = folder / "override.yaml"
    override.write_text(
        build_override(
            job.service,
            job.version,
            commit=job.source.commit,
            source=job.source.source,
            repository=job.source.repository,
            created=datetime.now(UTC),
            others=job.others,
            tree=job.source.tree,
            compose_file=str(job.compose_file.relative_to(job.unpacked.folder)),
        )
    )
    project = Project(
        name="alongside-build",
        directory=job.compose_file.parent,
        files=[job.compose_file, override],
        environment=interpolation(str(job.version)),
    )
    faults.point("build-image", "before")
    async for line in context.compose.build(project, build_targets(job.service)):
        emit({"event": "log", "text": line})
    faults.point("build-image", "after")
    for name in job.stray_names():
        await context.engine.untag(name)
    held = held_name(job.service.name, job.version)
    image = await context.engine.image(held)
    if image is None:
        raise StepFailed(
            f"Compose built {job.service.name}, but there is no image {held}.",
            hint="Its `build:` may name an output or a builder that does not load the image.",
        )
    context.journal.step(operation, 1, "build-image", "done")
    emit({**step, "state": "done"})
    return image.id
