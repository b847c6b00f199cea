"""Sending a tag's tree to the daemon, and following its build."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from itertools import chain
from typing import Any

from alongside.cli.changing import follow
from alongside.client import Client
from alongside.git import Repository, TagSource

CHUNK = 1 << 20  # bytes

Json = dict[str, Any]


def send(
    client: Client, repository: Repository, source: TagSource, **more: object
) -> Iterator[Json]:
    """The events of the build of one tag."""
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
