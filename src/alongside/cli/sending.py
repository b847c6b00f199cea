"""Sending a tag's tree to the daemon, and following its build."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from itertools import chain
from typing import Any

from alongside.cli.changing import follow
from alongside.client import Client
from alongside.domain.errors import Conflict
from alongside.git import Repository, TagSource

CHUNK = 1 << 20  # bytes

Json = dict[str, Any]


def send(
    client: Client, repository: Repository, source: TagSource, **more: object
) -> Iterator[Json]:
    """The events of the build of one tag. Raises Conflict as `check_name` does."""
    check_name(client, repository)
    with ExitStack() as archive:
        file = archive.enter_context(repository.tree_archive(source))
        for event in client.build(
            iter(lambda: file.read(CHUNK), b""),
            tag=source.tag,
            commit=source.commit,
            tree=source.tree,
            repository=source.repository,
            source=source.source,
            **more,
        ):
            archive.close()  # the tree is there: what it came from goes while it is built
            yield event


def check_name(client: Client, repository: Repository) -> None:
    """Raises Conflict where another repository of this name has releases on the host: volumes,
    linked files and services would be taken for its own. A clone elsewhere is not another."""
    name, source = repository.name, repository.source
    found = client.get("/v1/releases").get("releases", ())
    of_name = {one["source"]: one["commit"] for one in found if one["repository"] == name}
    if not of_name or source in of_name or any(map(repository.has, of_name.values())):
        return
    raise Conflict(
        f"The name {name} belongs to another repository on this host, {', '.join(of_name)}; this "
        f"one, {source}, shares no released commit with it.",
        hint="Give this one a name of its own: git config alongside.name NAME",
    )


class DaemonBuilds:
    """`githooks.Builds` over the daemon's socket."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def released(self, tag: str, repository: str) -> Sequence[tuple[str, str]]:
        found = self._client.get("/v1/tags", tag=tag, repository=repository)
        return [(f"{one['service']}@{one['version']}", one["commit"]) for one in found["releases"]]

    def submit(self, repository: Repository, tag: str) -> Callable[[], None]:
        source = repository.resolve_tag(tag)
        events = send(self._client, repository, source, compose_file=configured_file(repository))
        first = next(events)
        return lambda: follow(chain([first], events))


def configured_file(repository: Repository) -> str:
    """The compose file that `alongside init --file` named; "" for Compose's own choice."""
    return repository.run("config", "--local", "--get", "alongside.file", check=False).strip()
