"""What there is of releases and instances outside of the state file: labels on images and
containers, release trees, override files."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import yaml

from alongside.compose.files import find_compose_file
from alongside.compose.read_override import Described, read_override
from alongside.compose.services import services_from
from alongside.daemon.context import Context
from alongside.daemon.projects import interpolation
from alongside.domain.errors import AlongsideError, NotFound
from alongside.domain.image_names import held_name
from alongside.domain.release import Release
from alongside.domain.service import Service
from alongside.domain.version import Version
from alongside.engine.protocol import (
    LABEL_COMMIT,
    LABEL_COMPOSE_FILE,
    LABEL_ORDINAL,
    LABEL_REPOSITORY,
    LABEL_SERVICE,
    LABEL_TREE,
    LABEL_VERSION,
    Container,
    Project,
)
from alongside.router.reading import Told, read_table

Key = tuple[str, Version]

_OCI = "org.opencontainers.image."
_FILES = "com.docker.compose.project.config_files"  # of Compose's own labels


@dataclass
class Relics:
    """`unknown`: what there is and cannot be made a release of, as sentences."""

    releases: dict[Key, Release] = field(default_factory=dict)
    containers: dict[tuple[str, Version, int], Container] = field(default_factory=dict)
    described: dict[tuple[str, Version, int], Described] = field(default_factory=dict)
    table: Told | None = None  # None: the kernel has none
    engine: bool = True  # whether it answered
    unknown: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Labelled:
    """An image, or a container whose image may be gone."""

    labels: Mapping[str, str]
    image_id: str
    tags: tuple[str, ...] = ()
    compose_file: Path | None = None  # as the container was made from it


async def relics(context: Context) -> Relics:
    """Raises StepFailed where the kernel's table cannot be read."""
    found = Relics()
    listing = await context.router.listing()
    found.table = read_table(listing) if listing is not None else None
    labelled: dict[Key, _Labelled] = {}
    try:
        containers, images = await asyncio.gather(
            context.engine.containers(), context.engine.images()
        )
    except AlongsideError as error:
        found.engine = False
        found.unknown.append(f"Images and containers are not known: {error.message}")
        containers, images = [], []
    for container in containers:
        if not container.labels.get(LABEL_ORDINAL, "").isdecimal():
            continue  # one that ran once, or was made by hand
        key = _key(container.labels)
        ordinal = int(container.labels[LABEL_ORDINAL])
        found.containers[(*key, ordinal)] = container
        files = container.labels.get(_FILES, "").split(",")
        compose_file = Path(files[0]) if files[0] else None
        labelled[key] = _Labelled(container.labels, container.image_id, (), compose_file)
    # An image that is built FROM a release has its labels too, and not its name: the last counts.
    for image in sorted(images, key=lambda one: held_name(*_key(one.labels)) in one.tags):
        key = _key(image.labels)
        beside = labelled.get(key)
        if beside is not None and beside.image_id != image.id:
            continue  # what runs is what was released
        compose_file = beside.compose_file if beside else None
        labelled[key] = _Labelled(image.labels, image.id, image.tags, compose_file)
    for path in sorted((context.paths.root / "instances").glob("*/override.yaml")):
        try:
            described = read_override(path.read_text())
        except (OSError, ValueError, KeyError, AttributeError, TypeError, yaml.YAMLError) as error:
            found.unknown.append(f"{path} cannot be read: {error}.")
            continue
        if described is not None:
            of = (described.service, described.version, described.ordinal)
            found.described[of] = described
    specs: dict[tuple[Path, str], Mapping[str, Service]] = {}
    for key, one in sorted(labelled.items(), key=lambda item: str(item[0])):
        try:
            found.releases[key] = await _release(context, key, one, specs)
        except AlongsideError as error:
            service, version = key
            found.unknown.append(f"{service}@{version} cannot be made again: {error.message}")
    return found


def _key(labels: Mapping[str, str]) -> Key:
    return (labels[LABEL_SERVICE], Version(labels.get(LABEL_VERSION, "")))


async def _release(
    context: Context,
    key: Key,
    one: _Labelled,
    specs: dict[tuple[Path, str], Mapping[str, Service]],
) -> Release:
    """Raises NotFound where its tree is not known, InvalidInput for a compose file that is no
    good (any more)."""
    service, version = key
    compose_file = _compose_file(context, one)
    place = (compose_file, str(version))
    if place not in specs:
        project = Project(
            name="alongside-rebuild",
            directory=compose_file.parent,
            files=[compose_file],
            environment=interpolation(str(version)),
        )
        model = await context.compose.config(project)
        specs[place] = {found.name: found for found in services_from(model)}
    spec = specs[place].get(service)
    if spec is None:
        raise NotFound(f"{compose_file} has no released service {service}.")
    tree = compose_file.relative_to(context.paths.root / "trees").parts[1]
    repository = compose_file.relative_to(context.paths.root / "trees").parts[0]
    name = f"{spec.image}:{version}"
    return Release(
        service=service,
        version=version,
        repository=repository,
        source=one.labels.get(f"{_OCI}source", ""),
        commit=one.labels.get(LABEL_COMMIT, ""),
        tree=tree,
        image=name if name in one.tags or not one.tags else held_name(service, version),
        image_id=one.image_id,
        compose_file=str(compose_file.relative_to(context.paths.tree(repository, tree))),
        created=_created(one.labels),
        spec=spec,
    )


def _compose_file(context: Context, one: _Labelled) -> Path:
    """Raises NotFound."""
    repository = one.labels.get(LABEL_REPOSITORY, "")
    trees = [tree for tree in context.paths.all_trees() if tree.parent.name == repository]
    made_from = one.compose_file
    if made_from is not None and made_from.is_file():  # noqa: SIM102 - two questions
        if any(made_from.is_relative_to(tree) for tree in trees):
            return made_from
    named = one.labels.get(LABEL_TREE, "")
    if named:
        tree = context.paths.tree(repository, named)
        if not tree.is_dir():
            raise NotFound(f"its release tree {tree} is gone.")
        return find_compose_file(tree, one.labels.get(LABEL_COMPOSE_FILE, ""))
    if len(trees) == 1:
        return find_compose_file(trees[0])
    raise NotFound(
        f"its image does not say which of the {len(trees)} release trees of {repository} is its "
        "own (releases of later versions of alongside do)."
        if trees
        else f"there is no release tree of {repository or 'its repository'}."
    )


def _created(labels: Mapping[str, str]) -> datetime:
    try:
        found = datetime.fromisoformat(labels[f"{_OCI}created"])
    except (KeyError, ValueError):
        return datetime.now(UTC)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
