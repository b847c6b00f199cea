"""What the volumes are called that only shared services mount."""

from __future__ import annotations

import pytest

from alongside.daemon.projects import shared_project
from alongside.domain.service import Dependency, Sharing
from alongside.domain.version import Version

from .conftest import Daemon

COMPOSE = """\
services:
  dns: {image: "repo/dns:${tag:-latest}", build: ., depends_on: [db]}
  db: {image: "base:1", volumes: ["data:/a", "silent:/b", "named:/c", "theirs:/d"]}
volumes:
  data: {x-alongside: {shared: true}}
  silent: {}
  named: {name: mine, x-alongside: {shared: true}}
  theirs: {external: true, name: theirs}
"""


@pytest.fixture
def depends() -> tuple[Dependency, ...]:
    return (Dependency("db", Sharing.SHARED),)


@pytest.mark.parametrize(
    ("there", "expected"),
    [(set(), "app_data"), ({"app-shared_data"}, "app-shared_data"), ({"app_data"}, "app_data")],
)
async def test_they_are_named_as_documented_unless_there_is_data_already(
    daemon: Daemon, there: set[str], expected: str
) -> None:
    context = daemon.context
    release = context.releases.get("dns", Version("1.0.0"))
    assert release is not None
    path = context.paths.compose_file(release)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(COMPOSE)
    daemon.engine.made_volumes |= there
    model = await context.compose.config(await shared_project(context, release))
    names = {volume: raw["name"] for volume, raw in model["volumes"].items()}
    assert names == {
        "data": expected,
        "silent": "app-shared_silent",
        "named": "mine",
        "theirs": "theirs",
    }
