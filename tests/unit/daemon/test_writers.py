"""A start is refused where a container that runs already writes to the same data."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from alongside.compose.services import services_from
from alongside.daemon.before import run_before
from alongside.daemon.context import Context
from alongside.daemon.executor import Executor
from alongside.daemon.retirement import itself
from alongside.daemon.singletons import converge
from alongside.daemon.verbs.change import Asked
from alongside.daemon.verbs.up import up
from alongside.daemon.writers import foreseen
from alongside.domain.errors import Conflict
from alongside.domain.release import Release
from alongside.domain.service import Ready, ReadyKind
from alongside.domain.version import Version
from alongside.engine.fake.model import load
from alongside.engine.protocol import (
    LABEL_REPOSITORY,
    LABEL_SERVICE,
    LABEL_VERSION,
    Mount,
)
from alongside.plan.singleton import plan_singleton
from alongside.plan.steps import Plan, RunBefore, Wake
from alongside.plan.up import plan_up
from support.examples import release as example

from .conftest import Daemon

SHARED_DB = """\
services:
  web:
    image: repo/web
    build: .
    ports: ["80"]
    depends_on: [db]
  db:
    image: base:1
    volumes: ["data:/data"]
    depends_on: [init]
    x-alongside: {shared: true}
  init: {image: "base:1", volumes: ["/srv/seed:/seed"]}
volumes: {data: {external: true, name: shop_dbdata}}
"""
OWN_DB = SHARED_DB.replace("shared: true", "shared: false").replace(
    "  init: {", "  init: {x-alongside: {shared: false}, "
)
WEB = """\
services:
  web:
    image: repo/web
    build: .
    ports: ["80"]
    volumes: ["MOUNT:/data"]
"""
DB_DATA = Mount("volume", "/var/lib/docker/volumes/shop_dbdata/_data", "/db", "shop_dbdata")


class Shop:
    """The repository shop, of which versions of web are released."""

    def __init__(self, daemon: Daemon) -> None:
        self.context, self.engine = daemon.context, daemon.engine
        self.engine.tag("base:1", "base")

    def release(self, text: str, version: str = "1.0.0", **more: object) -> Release:
        labels = {LABEL_SERVICE: "web", LABEL_VERSION: version, LABEL_REPOSITORY: "shop"}
        image = self.engine.tag(f"repo/web:{version}", version, labels)
        one = replace(example(f"web@{version}"), repository="shop", tree=version, image_id=image.id)
        file = self.context.paths.compose_file(one)
        file.parent.mkdir(parents=True)
        file.write_text(text)
        (spec,) = services_from(load("shop", [file], {}))
        ready = Ready(ReadyKind.EXEC, command=("ask",), timeout=1.0, interval=0.02)
        one = replace(one, spec=replace(spec, ready=ready, **more))  # type: ignore[arg-type]
        self.context.releases.add(one)
        return one

    async def runs(
        self, name: str, *mounts: Mount, project: str = "", service: str = "", **labels: str
    ) -> None:
        if project:
            labels |= {
                "com.docker.compose.project": project,
                "com.docker.compose.service": service,
            }
        self.engine.create(name, "base:1", labels=labels, mounts=mounts)
        await self.engine.start(name)

    async def up(self, version: str = "1.0.0", *, dry_run: bool = False) -> Sequence[str]:
        asked = Asked(itself(), dry_run=dry_run)
        result = await up(self.context, f"web@{version}", asked, lambda _: None)
        return list(result["notes"])

    async def plan(self, release: Release) -> Plan:
        observed = await self.context.observe("web", [release])
        return plan_up("web", release.version, observed)

    def names(self) -> set[str]:
        """Of containers, but for the fixture's own."""
        return {one.name for one in self.engine.every() if not one.name.startswith("dns-")}


@pytest.fixture
def shop(daemon: Daemon) -> Shop:
    return Shop(daemon)


def state(context: Context) -> object:
    return (
        context.instances.all(),
        context.journal.entries("web"),
        sorted((context.paths.root / "instances").rglob("*")),
    )


@pytest.mark.parametrize("dry_run", [False, True])
async def test_a_second_database_on_a_volume_is_refused_before_anything_is_done(
    shop: Shop, *, dry_run: bool
) -> None:
    shop.release(SHARED_DB)
    await shop.runs("shop-db-1", DB_DATA, project="shop", service="db")
    before = state(shop.context)
    with pytest.raises(Conflict) as refused:
        await shop.up(dry_run=dry_run)
    assert refused.value.message == (
        "web@1.0.0 is not started: the container shop-db-1 of the Compose project shop writes to "
        "the volume shop_dbdata, as db would, and two servers on one data folder destroy it."
    )
    assert "docker compose -p shop stop db" in refused.value.hint
    assert (shop.names(), state(shop.context)) == ({"shop-db-1"}, before)

    await shop.engine.stop("shop-db-1")
    assert await shop.up() == []
    assert {"web-1.0.0", "shop-shared-db-1", "shop-shared-init-1"} <= shop.names()


@pytest.mark.parametrize("state", ["paused", "restarting"])
async def test_one_that_is_paused_or_restarts_has_not_let_go(shop: Shop, state: str) -> None:
    shop.release(SHARED_DB)
    await shop.runs("shop-db-1", DB_DATA, project="shop", service="db")
    entry = shop.engine._containers["shop-db-1"]
    entry.shown = replace(entry.shown, state=state)
    with pytest.raises(Conflict):
        await shop.up()


async def test_what_a_shared_dependency_needs_is_looked_at_too(shop: Shop) -> None:
    shop.release(SHARED_DB)
    seed = Mount("bind", "/srv/seed/below", "/seed")
    await shop.runs("shop-init-1", seed, project="shop", service="init")
    with pytest.raises(Conflict, match="writes to /srv/seed, as init would"):
        await shop.up()


async def test_any_other_writer_is_a_note(shop: Shop) -> None:
    shop.release(SHARED_DB)
    await shop.runs("restic", DB_DATA, project="tools", service="backup")
    await shop.runs("byhand", DB_DATA)
    assert sorted(await shop.up()) == [
        "The container byhand writes to the volume shop_dbdata, as db does.",
        "The container restic of the Compose project tools writes to the volume shop_dbdata, as "
        "db does.",
    ]


async def test_who_reads_only_is_not_spoken_of(shop: Shop) -> None:
    shop.release(SHARED_DB)
    await shop.runs("shop-db-1", replace(DB_DATA, writable=False), project="shop", service="db")
    assert await shop.up() == []


async def test_what_is_shared_and_runs_already_is_not_started(shop: Shop) -> None:
    shop.release(SHARED_DB)
    shop.release(SHARED_DB, "1.1.0")
    await shop.up()
    await shop.runs("shop-db-1", DB_DATA, project="shop", service="db")  # by somebody's hand
    assert await shop.up("1.1.0") == []


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("Shop", {}),  # of its folder, as Compose writes it
        ("live", {"com.docker.compose.project.working_dir": "/srv/app/"}),
    ],
)
async def test_the_persons_own_stack_is_known_by_name_or_folder(
    shop: Shop, name: str, labels: dict[str, str]
) -> None:
    shop.release(SHARED_DB)
    await shop.runs("x", DB_DATA, project=name.lower(), service="old-name-of-db", **labels)
    with pytest.raises(Conflict):
        await shop.up()


@pytest.mark.parametrize("line", ["name: live", "name: ${STACK:-live}"])
async def test_the_persons_own_stack_is_called_as_the_file_says(shop: Shop, line: str) -> None:
    shop.release(f"{line}\n{SHARED_DB}")
    await shop.runs("x", DB_DATA, project="live", service="old-name-of-db")
    with pytest.raises(Conflict):
        await shop.up()


async def test_two_versions_databases_on_one_volume_of_which_nothing_is_said(shop: Shop) -> None:
    shop.release(OWN_DB)
    shop.release(OWN_DB, "1.1.0")
    await shop.up()
    with pytest.raises(Conflict, match=r"db-1 .* writes to the volume shop_dbdata, as db would"):
        await shop.up("1.1.0")


async def test_versions_that_share_a_volume_by_the_files_word(shop: Shop) -> None:
    said = "volumes: {data: {x-alongside: {shared: true}}}"
    text = OWN_DB[: OWN_DB.index("volumes: {")] + said
    text = text.replace("/srv/seed", "seed") + "\n"
    text = text.replace(said, said.replace("}}}", "}}, seed: {x-alongside: {shared: true}}}"))
    shop.release(text)
    shop.release(text, "1.1.0")
    await shop.up()
    assert await shop.up("1.1.0") == []


async def test_versions_of_a_service_share_what_they_mount(shop: Shop, tmp_path: Path) -> None:
    shop.release(WEB.replace("MOUNT", str(tmp_path)))
    shop.release(WEB.replace("MOUNT", str(tmp_path)), "1.1.0")
    await shop.up()
    assert await shop.up("1.1.0") == []


async def test_the_same_folder_by_another_name(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to("data")
    shop.release(WEB.replace("MOUNT", str(tmp_path / "link")))
    theirs = Mount("bind", str(tmp_path / "data"), "/data")
    await shop.runs("old", theirs, project="live", service="web")
    with pytest.raises(Conflict):
        await shop.up()


async def test_sockets_devices_and_settings_of_the_host_are_no_data(
    shop: Shop, tmp_path: Path
) -> None:
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        for number, source in enumerate((str(path), "/dev/shm", "/etc/passwd", "/proc/net")):
            version = f"1.{number}.0"
            shop.release(WEB.replace("MOUNT", source), version)
            theirs = Mount("bind", source, "/data")
            await shop.runs(f"old{number}", theirs, project="live", service="web")
            assert await shop.up(version) == []


async def test_one_that_came_after_the_plan_was_made_is_seen_before_the_start(shop: Shop) -> None:
    release = shop.release(SHARED_DB)
    plan = await shop.plan(release)
    assert await foreseen(shop.context, plan) == []
    await shop.runs("shop-db-1", DB_DATA, project="shop", service="db")
    with pytest.raises(Conflict):
        await Executor(shop.context).run(plan, itself(), "", lambda _: None)
    assert shop.names() == {"shop-db-1"}


async def test_one_that_was_paused_does_not_go_on(shop: Shop, tmp_path: Path) -> None:
    release = shop.release(WEB.replace("MOUNT", str(tmp_path)))
    await shop.up()
    await shop.engine.pause("web-1.0.0")
    theirs = Mount("bind", str(tmp_path), "/data")
    await shop.runs("old", theirs, project="live", service="web")
    instance = shop.context.instances.get("web", release.version)
    assert instance is not None
    plan = Plan("activate", "web", "", "1.0.0", steps=[Wake(instance)])
    with pytest.raises(Conflict):
        await foreseen(shop.context, plan)
    with pytest.raises(Conflict):
        await Executor(shop.context).run(plan, itself(), "", lambda _: None)
    found = await shop.engine.container("web-1.0.0")
    assert found is not None
    assert found.state == "paused"


async def test_what_runs_once_before_is_a_writer_too(shop: Shop, tmp_path: Path) -> None:
    release = shop.release(WEB.replace("MOUNT", str(tmp_path)), before=("migrate",))
    await shop.up()
    instance = shop.context.instances.get("web", release.version)
    assert instance is not None
    theirs = Mount("bind", str(tmp_path), "/data")
    await shop.runs("old", theirs, project="live", service="web")
    step = RunBefore(release, instance)
    with pytest.raises(Conflict):
        await foreseen(shop.context, Plan("activate", "web", "", "1.0.0", steps=[step]))
    with pytest.raises(Conflict):
        await run_before(shop.context, step, 1, lambda _: None)


async def test_what_the_reconciler_may_not_start_is_a_problem_to_show(shop: Shop) -> None:
    release = shop.release(SHARED_DB)
    await shop.up()
    for name in ("web-1.0.0", "shop-shared-db-1"):
        shop.engine.end(name, 1)
    await shop.runs("shop-db-1", DB_DATA, project="shop", service="db")
    instance = shop.context.instances.get("web", release.version)
    assert instance is not None

    async def healed() -> None:
        healing = shop.context.healing
        healing.met()
        await healing._look()
        await asyncio.gather(*(one.task for one in healing._cares.values() if one.task))
        await healing._look()  # it says what has become of it

    await healed()
    assert "shop-db-1" in " ".join(shop.context.problems.values())
    for name in ("web-1.0.0", "shop-shared-db-1"):
        found = await shop.engine.container(name)
        assert found is not None
        assert not found.running

    await shop.engine.stop("shop-db-1")
    for _ in range(2):  # what it needs, and then itself
        await healed()
    assert not shop.context.problems
    for name in ("web-1.0.0", "shop-shared-db-1"):
        found = await shop.engine.container(name)
        assert found is not None
        assert found.running


async def test_a_singleton_goes_on_where_the_next_may_not_start(shop: Shop, tmp_path: Path) -> None:
    text = f"{WEB.replace('MOUNT', str(tmp_path))}    x-alongside: {{workload: singleton}}\n"
    for version in ("1.0.0", "1.1.0"):
        shop.release(text, version)

    async def plan(version: str) -> Plan:
        release = shop.context.releases.get("web", Version(version))
        assert release is not None
        return plan_singleton("web", Version(version), await shop.context.observe("web", [release]))

    await Executor(shop.context).run(await plan("1.0.0"), itself(), "", lambda _: None)
    next_one = await plan("1.1.0")
    theirs = Mount("bind", str(tmp_path), "/data")
    await shop.runs("old", theirs, project="live", service="web")
    with pytest.raises(Conflict):
        await foreseen(shop.context, next_one)
    with pytest.raises(Conflict):
        await Executor(shop.context).run(next_one, itself(), "", lambda _: None)
    found = await shop.engine.container("web-current")
    assert found is not None
    assert (found.running, found.labels[LABEL_VERSION]) == (True, "1.0.0")

    await shop.engine.stop("web-current")
    with pytest.raises(Conflict):
        await converge(shop.context, "web")


async def test_a_plan_that_starts_nothing_asks_nothing(shop: Shop) -> None:
    shop.engine.go_down()
    assert await foreseen(shop.context, Plan("deactivate", "web", "1.0.0", "")) == []
    shop.engine.come_up()
