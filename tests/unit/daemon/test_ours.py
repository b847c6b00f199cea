"""Whose a container is, where somebody else has taken its name; and locks of different kinds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

import pytest

from alongside.daemon import reads
from alongside.daemon.doctor import _instances
from alongside.daemon.locks import BUILDS, holding
from alongside.daemon.retirement import itself
from alongside.daemon.verbs.activate import activate
from alongside.daemon.verbs.change import Asked
from alongside.daemon.verbs.stop import stop
from alongside.daemon.verbs.up import up
from alongside.domain.errors import Conflict
from alongside.domain.instance import Instance
from alongside.domain.service import Workload
from alongside.domain.version import Version
from alongside.engine import ours
from alongside.engine.protocol import LABEL_ORDINAL, LABEL_SERVICE, LABEL_VERSION
from support.examples import container, release, service

from .conftest import Daemon

ASKED = Asked(itself())
OWN = {LABEL_SERVICE: "dns", LABEL_VERSION: "1.1.0", LABEL_ORDINAL: "1"}
FOREIGN: list[dict[str, str]] = [
    {},
    {LABEL_SERVICE: "dns", LABEL_VERSION: "1.1.0"},  # `docker run` of the release's image
    {LABEL_SERVICE: "dns", LABEL_ORDINAL: "1"},
    {**OWN, LABEL_SERVICE: "dns-1.1", LABEL_VERSION: "0"},
]


def silent(_: object) -> None:
    pass


@pytest.mark.parametrize("labels", FOREIGN)
def test_a_name_does_not_make_it_ours(daemon: Daemon, labels: Mapping[str, str]) -> None:
    found = replace(container(daemon.new), labels=labels)
    assert ours.own(found, daemon.new) is None
    assert ours.own(replace(found, labels=OWN), daemon.new)


@pytest.fixture
async def taken(daemon: Daemon) -> Daemon:
    """dns-1.1.0 is a container that was made by hand."""
    await daemon.engine.remove(daemon.new.name)
    daemon.engine.tag("other", "other")
    daemon.engine.create(daemon.new.name, "other")
    await daemon.engine.start(daemon.new.name)
    return daemon


async def test_a_foreign_container_is_refused_with_words_and_left_alone(taken: Daemon) -> None:
    context = taken.context
    for verb in (up, activate):
        more = {"take": True} if verb is activate else {}
        with pytest.raises(Conflict, match=r"named dns-1\.1\.0 is there, and alongside did not"):
            await verb(context, "dns@1.1.0", ASKED, silent, **more)  # type: ignore[operator]
    result = await stop(context, "dns@1.1.0", ASKED, silent)
    assert result["summary"] == ["dns@1.1.0 does not run."]
    found = await taken.engine.container(taken.new.name)
    assert found is not None
    assert found.running
    status = await reads.status(context, "dns")
    (shown,) = [one for one in status["services"][0]["versions"] if one["version"] == "1.1.0"]
    assert shown["state"] == "none"
    states = {one.name: one.state for one in _instances(context, {found.name: found})}
    assert states[taken.new.name] == "none"


@pytest.mark.parametrize("labels", [{}, {LABEL_SERVICE: "cron", LABEL_VERSION: "1"}])
async def test_so_it_is_with_a_singleton(daemon: Daemon, labels: Mapping[str, str]) -> None:
    context, spec = daemon.context, replace(service("cron", ()), workload=Workload.SINGLETON)
    image = daemon.engine.tag("repo/cron:1", "cron")
    one = replace(release("cron@1", spec=spec), image_id=image.id)
    context.releases.add(one)
    daemon.engine.tag("other", "other")
    daemon.engine.create("cron-current", "other", labels=labels)  # it does not run: no copy
    with pytest.raises(Conflict, match=r"named cron-current is there, and alongside did not"):
        await activate(context, "cron@1", ASKED, silent, take=True)
    made = Instance("cron", Version("1"), daemon.new.subnet, (), singleton=True)
    found = await daemon.engine.container("cron-current")
    assert ours.own(found, made) is None


async def test_a_service_named_builds_does_not_wait_for_builds(daemon: Daemon) -> None:
    spec = replace(service("builds"), workload=Workload.SINGLETON)
    async with holding(daemon.context, [release("builds@1", spec=spec)]):
        assert not daemon.context.locks[BUILDS].locked()
        assert daemon.context.locks["builds"].locked()
    # https://github.com/compose-spec/compose-spec/blob/main/schema/compose-spec.json
    assert not re.fullmatch("[a-zA-Z0-9._-]+", BUILDS)


async def test_the_version_that_has_the_ports_is_the_current_one(daemon: Daemon) -> None:
    for version in ("1.0.0", "1.1.0"):
        await activate(daemon.context, f"dns@{version}", ASKED, silent, take=True)
        (found,) = (await reads.status(daemon.context, "dns"))["services"]
        current = [one["version"] for one in found["versions"] if one["current"]]
        assert current == [version]
