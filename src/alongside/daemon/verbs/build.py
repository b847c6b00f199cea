"""`build`: from a tag's tree to releases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from alongside.compose.files import find_compose_file, linked_files
from alongside.compose.override import build_override, build_targets
from alongside.compose.services import services_from
from alongside.daemon import faults, strays, trees
from alongside.daemon.context import Context
from alongside.daemon.images import save_image
from alongside.daemon.operations import Emit
from alongside.daemon.projects import interpolation
from alongside.daemon.verbs.change import Asked, Result
from alongside.daemon.verbs.follow import follow, would_follow
from alongside.domain.errors import Conflict, InvalidInput, NotFound, StepFailed, said_of
from alongside.domain.history import Outcome
from alongside.domain.nearest import nearest
from alongside.domain.reference import containers
from alongside.domain.release import Release
from alongside.domain.service import Service, Workload
from alongside.domain.tags import claims
from alongside.domain.version import Version
from alongside.engine.protocol import Project


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
    compose_file: Path  # in the kept tree
    service: Service
    version: Version

    @property
    def image(self) -> str:
        return f"{self.service.image}:{self.version}"


async def build(
    context: Context, source: Source, archive: Path, asked: Asked, emit: Emit
) -> Result:
    """One build at a time, in the order in which they came."""
    emit({"event": "accepted"})  # the tree is here: who sends several need not wait to send on
    async with context.locks["builds"]:
        result = await _build(context, source, archive, asked, emit)
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
    unpacked = await _unpack(context, source, archive, emit)
    tree = context.paths.tree(source.repository, source.tree)
    try:
        compose_file = find_compose_file(unpacked, source.compose_file)
        if unpacked != tree:
            linked = linked_files(compose_file)
            trees.link(compose_file.parent, linked, context.paths.shared(source.repository))
        services = await _claiming(context, source, compose_file)
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
        if todo and unpacked != tree:
            strays.expect(context, tree)
            trees.keep(unpacked, tree)
        relative = compose_file.relative_to(unpacked)
        for service, version in todo:
            job = _Job(source, tree / relative, service, version)
            release = await _release(context, job, asked, emit)
            result["summary"].append(
                f"{release.reference} is released: {release.image}, {release.image_id[:19]}, "
                f"from commit {release.commit[:12]}."
            )
        return result
    finally:
        if unpacked != tree and unpacked.exists():
            trees.discard(unpacked)
        discard_unreleased(context, tree)


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


def discard_unreleased(context: Context, tree: Path) -> None:
    """Remove a kept tree that no release came of."""
    expected = tree in strays.expected(context)
    if expected and tree not in strays.released(context) and tree.is_dir():
        trees.discard(tree)
    if expected:
        strays.settled(context, tree)


async def _unpack(context: Context, source: Source, archive: Path, emit: Emit) -> Path:
    """The folder with the tag's tree: the one that is there already, or a new one."""
    try:
        tree = context.paths.tree(source.repository, source.tree)
        if tree.is_dir():
            return tree
        faults.point("unpack", "before")
        unpacked = await trees.unpack(archive, context.paths.incoming)
        faults.point("unpack", "after")
        return unpacked
    finally:
        trees.discard(archive)


async def _claiming(
    context: Context, source: Source, compose_file: Path
) -> list[tuple[Service, Version]]:
    project = Project(
        name="alongside-check",
        directory=compose_file.parent,
        files=[compose_file],
        environment=interpolation(source.tag.rpartition("/")[2]),
    )
    services = services_from(await context.compose.config(project), file=compose_file.name)
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
    return claimed


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


async def _release(context: Context, job: _Job, asked: Asked, emit: Emit) -> Release:
    journal = context.journal
    service, version, source = job.service, job.version, job.source
    operation = journal.begin(
        "build", service.name, asked.actor, before="", after=str(version), message=asked.message
    )
    emit({"event": "operation", "id": operation, "verb": "build", "service": service.name})
    try:
        tree = context.paths.tree(source.repository, source.tree)
        release = Release(
            service=service.name,
            version=version,
            repository=source.repository,
            source=source.source,
            commit=source.commit,
            tree=source.tree,
            image=job.image,
            image_id=await _image(context, job, operation, emit),
            compose_file=str(job.compose_file.relative_to(tree)),
            created=datetime.now(UTC),
            spec=service,
        )
        if service.save:
            await save_image(context, release)
        faults.point("record-release", "before")
        with context.database.transaction():
            context.releases.add(release)
            journal.end(operation, Outcome.DONE)
        faults.point("record-release", "after")
    except BaseException as error:
        journal.end(operation, Outcome.FAILED, said_of(error))
        raise
    return release


async def _image(context: Context, job: _Job, operation: int, emit: Emit) -> str:
    """Build the image; returns its ID."""
    step = {
        "event": "step",
        "position": 1,
        "name": "build-image",
        "text": f"build {job.image}",
    }
    context.journal.step(operation, 1, "build-image", "started")
    emit({**step, "state": "started"})
    folder = context.paths.project(f"build-{operation}")
    tree = context.paths.tree(job.source.repository, job.source.tree)
    folder.mkdir(parents=True)
    try:
        override = folder / "override.yaml"
        override.write_text(
            build_override(
                job.service,
                job.version,
                commit=job.source.commit,
                source=job.source.source,
                repository=job.source.repository,
                created=datetime.now(UTC),
                tree=job.source.tree,
                compose_file=str(job.compose_file.relative_to(tree)),
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
    finally:
        trees.discard(folder)
    image = await context.engine.image(job.image)
    if image is None:
        raise StepFailed(
            f"Compose built {job.service.name}, but there is no image {job.image}.",
            hint="Its `build:` may name an output or a builder that does not load the image.",
        )
    context.journal.step(operation, 1, "build-image", "done")
    emit({**step, "state": "done"})
    return image.id
