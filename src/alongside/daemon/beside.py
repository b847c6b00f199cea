"""What is known of versions beside containers and routes: marks, connections, images, drains."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from alongside.daemon.context import Context
from alongside.daemon.retirement import far_ends
from alongside.domain.deployment import Former, Marked
from alongside.domain.errors import AlongsideError
from alongside.domain.instance import Instance
from alongside.domain.release import Release
from alongside.domain.version import Version
from alongside.engine import ours
from alongside.engine.protocol import Container
from alongside.router.protocol import Connections

Json = dict[str, Any]
Key = tuple[str, Version]


@dataclass(frozen=True)
class Beside:
    marks: Mapping[str, Mapping[Version, Marked]]  # by service
    former: Mapping[Key, Former]
    connections: Mapping[Key, Connections]
    images: frozenset[str] | None  # the IDs that the engine has; None where it does not answer
    archived: frozenset[Key]
    problems: list[str]

    @classmethod
    async def take(
        cls,
        context: Context,
        releases: Iterable[Release],
        instances: Mapping[Key, Instance],
        containers: Mapping[str, Container],
    ) -> Beside:
        problems: list[str] = []
        running = {
            key: far_ends(context, instance)
            for key, instance in instances.items()
            if (found := ours.own(containers.get(instance.name), instance))
            and found.state in ("running", "paused")
        }
        connections: Mapping[Key, Connections] = {}
        try:
            connections = await context.router.connections(running)
        except AlongsideError as error:
            problems.append(error.message)
        images = None
        try:
            images = frozenset(one.id for one in await context.engine.images())
        except AlongsideError as error:
            problems.append(error.message)
        releases = list(releases)
        return cls(
            marks={name: context.releases.marks(name) for name in {r.service for r in releases}},
            former={(one.service, one.version): one for one in context.former.all()},
            connections=connections,
            images=images,
            archived=frozenset(
                (one.service, one.version)
                for one in releases
                if context.paths.archive(one).exists()
            ),
            problems=problems,
        )

    def version(self, release: Release) -> Json:
        key = (release.service, release.version)
        marked = self.marks[release.service].get(release.version)
        connections, former = self.connections.get(key), self.former.get(key)
        return {
            "bad": marked is not None and marked.mark == "bad",
            "mark": marked.mark.value if marked else None,
            "mark_reason": marked.reason if marked else "",
            "connections": {"tcp": connections.tcp, "udp": connections.udp}
            if connections
            else None,
            "former": _former(former) if former else None,
            "image_state": self.image_state(release),
        }

    def image_state(self, release: Release) -> str:
        if self.images is None:
            return "unknown"
        if release.image_id in self.images:
            return "present"
        return "archived" if (release.service, release.version) in self.archived else "gone"


def _former(former: Former) -> Json:
    return {
        "since": former.since.isoformat(),
        "deadline": former.deadline.isoformat() if former.deadline else None,
        "drained": former.drained,
    }
