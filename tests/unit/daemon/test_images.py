"""Names of images: alongside's own, which hold a release, and those that are others'."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from alongside.daemon.build_names import BuildNames, note_names, take_back_all
from alongside.daemon.images import hold_images, load_image, remove_release, save_image
from alongside.daemon.singletons import prepare
from alongside.domain.errors import BuildFailed, Conflict
from alongside.domain.release import Release
from alongside.domain.service import Workload
from alongside.domain.version import Version
from alongside.engine.fake import FakeEngine
from alongside.engine.protocol import LABEL_REPOSITORY, LABEL_SERVICE, LABEL_VERSION
from support.served import Served, archive
from unit.daemon.conftest import Daemon

TWO = """\
services:
  web:
    image: shop/app:${tag:-latest}
    build: .
    ports: ["80"]
    x-alongside: {ready: running}
  worker:
    image: shop/app:${tag:-latest}
    build: .
    ports: ["81:80"]
    x-alongside: {ready: running}
"""
ONE = TWO.partition("  worker:")[0]
WITH_COPY = ONE.replace("ready: running}", "ready: running}\n    depends_on: [api]") + (
    "  api: {build: ., x-alongside: {shared: false}}\n"
)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with Served(tmp_path) as daemon:
        yield daemon


def engine(served: Served) -> FakeEngine:
    assert isinstance(served.context.engine, FakeEngine)
    return served.context.engine


def tag(served: Served, version: str, compose: str = ONE, repository: str = "shop") -> Any:
    tree = archive({"compose.yaml": compose, "Dockerfile": "FROM x"})
    name = f"{hash((version, compose, repository)) & 0xFFFFFFFF:040x}"
    query = {"commit": name, "tree": name, "repository": repository, "source": f"/srv/{repository}"}
    return list(served.client.build([tree], tag=version, **query))[-1]["result"]


def named(served: Served) -> dict[str, str]:
    """The ID that each name has."""
    return {name: one.id for one in engine(served)._images.values() for name in one.tags}


def released(served: Served) -> dict[str, Any]:
    rows = served.client.get("/v1/releases")["releases"]
    return {f"{one['service']}@{one['version']}": one for one in rows}


def test_two_services_under_one_image_name_both_work(served: Served) -> None:
    said = tag(served, "1.0.0", TWO)["summary"]
    assert said[-1] == (
        "shop/app:1.0.0 was left alone, as it is an image of web@1.0.0 from the repository shop. "
        "The image of worker@1.0.0 is alongside.invalid/worker:1.0.0."
    )
    rows = released(served)
    assert rows["web@1.0.0"]["image"] == "shop/app:1.0.0"
    assert rows["worker@1.0.0"]["image"] == "alongside.invalid/worker:1.0.0"
    assert named(served) == {
        "alongside.invalid/web:1.0.0": rows["web@1.0.0"]["image_id"],
        "shop/app:1.0.0": rows["web@1.0.0"]["image_id"],
        "alongside.invalid/worker:1.0.0": rows["worker@1.0.0"]["image_id"],
    }
    for service in ("web", "worker"):
        served.change("activate", reference=f"{service}@1.0.0")
    for version in ("1.1.0", "1.2.0"):
        tag(served, version, TWO)
    served.change("activate", reference="web@1.1.0")
    served.change("activate", reference="web@1.2.0")
    served.change("stop", reference="web@1.0.0")
    served.change("gc", service="web", keep=1)
    assert "web@1.0.0" not in released(served)
    assert "shop/app:1.0.0" not in named(served)
    assert "alongside.invalid/worker:1.0.0" in named(served)
    served.change("activate", reference="worker@1.1.0")
    served.change("rollback", service="worker")


def test_an_image_that_alongside_did_not_build_keeps_its_name(served: Served) -> None:
    """It may be what everybody builds FROM."""
    base = engine(served).tag("shop/app:12", "a base image")
    said = tag(served, "12")["summary"]
    assert said[-1].startswith(
        "shop/app:12 was left alone, as it is an image that alongside did not build (sha256:"
    )
    assert named(served)["shop/app:12"] == base.id
    served.change("activate", reference="web@12")
    tag(served, "13")
    served.change("activate", reference="web@13")
    served.change("stop", reference="web@12")
    tag(served, "14")
    served.change("activate", reference="web@14")
    served.change("gc", service="web", keep=0)
    assert named(served)["shop/app:12"] == base.id
    assert "alongside.invalid/web:12" not in named(served)


def test_a_name_of_another_repositorys_release_is_left_to_it(served: Served) -> None:
    tag(served, "1")
    there = named(served)["shop/app:1"]
    other = ONE.replace("web:", "site:").replace('"80"', '"82:80"')
    said = tag(served, "1", other, "other")["summary"]
    assert "an image of web@1 from the repository shop" in said[-1]
    assert named(served)["shop/app:1"] == there
    for reference in ("web@1", "site@1"):
        served.change("up", reference=reference)


def test_what_is_built_from_a_release_has_its_labels_and_keeps_its_name(served: Served) -> None:
    tag(served, "1")
    labels = dict(engine(served)._images[named(served)["shop/app:1"]].labels)
    derived = engine(served).tag("shop/app:2", "FROM shop/app:1", labels)
    assert "was left alone" in tag(served, "2")["summary"][-1]
    assert named(served)["shop/app:2"] == derived.id


def test_what_an_earlier_build_of_the_same_left_is_no_others(served: Served) -> None:
    labels = {LABEL_SERVICE: "web", LABEL_VERSION: "1", LABEL_REPOSITORY: "shop"}
    left = engine(served).tag("shop/app:1", "of a build that failed", labels)
    assert "was left alone" not in tag(served, "1")["summary"][-1]
    assert named(served)["shop/app:1"] != left.id


def test_further_tags_are_given_by_the_same_rule(served: Served) -> None:
    base = engine(served).tag("debian:12", "a base image")
    compose = ONE.replace("build: .", "build: {context: ., tags: [debian:12, shop/extra]}")
    said = tag(served, "1", compose)["summary"]
    assert [line.partition(" ")[0] for line in said if "left alone" in line] == ["debian:12"]
    names = named(served)
    assert names["debian:12"] == base.id
    assert names["shop/extra:latest"] == names["shop/app:1"] == names["alongside.invalid/web:1"]


def test_names_that_alongside_keeps_for_itself_are_not_given(served: Served) -> None:
    compose = ONE.replace("shop/app", "alongside.invalid/worker")
    said = tag(served, "1", compose)["summary"]
    assert "alongside.invalid/worker:1 was left alone" in said[-1]
    assert set(named(served)) == {"alongside.invalid/web:1"}


@pytest.mark.parametrize("failing", ["web", "api"])
def test_a_build_that_fails_half_way_leaves_no_names(served: Served, failing: str) -> None:
    served.context.compose.failing_builds[failing] = ["no"]  # type: ignore[attr-defined]
    with pytest.raises(BuildFailed):
        tag(served, "1", WITH_COPY)
    assert named(served) == {}
    assert not list((served.paths.root / "instances").iterdir())


def test_a_release_that_is_not_recorded_leaves_no_names(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_: Release) -> None:
        raise Conflict("released already")

    monkeypatch.setattr(served.context.releases, "add", refused)
    with pytest.raises(Conflict):
        tag(served, "1", WITH_COPY.replace("ready: running}", "ready: running, save: true}"))
    assert named(served) == {}
    assert not list((served.paths.root / "archives").glob("*/*"))


def test_copies_of_what_it_depends_on_go_with_the_release(served: Served) -> None:
    for version in ("1", "2", "3"):
        tag(served, version, WITH_COPY)
        served.change("activate", reference=f"web@{version}")
    assert "alongside.invalid/web/api:1" in named(served)
    served.change("rm", reference="web@1")
    served.change("gc", service="web", keep=0)
    left = [name for name in named(served) if name.endswith(":1")]
    assert sorted(left) == ["alongside.invalid/api:1", "api:1"], "a release of its own"


# Without a build


def names(daemon: Daemon) -> dict[str, str]:
    return {name: one.id for one in daemon.engine._images.values() for name in one.tags}


async def test_what_an_older_alongside_built_is_held_too(daemon: Daemon) -> None:
    """It had the person's name alone; of one that was taken since, the image is there by ID."""
    daemon.engine.tag("repo/dns:1.0.0", "of somebody else")
    await hold_images(daemon.context)
    await hold_images(daemon.context)
    found = names(daemon)
    for release in daemon.context.releases.all():
        assert found[f"alongside.invalid/dns:{release.version}"] == release.image_id


async def test_a_name_of_ours_that_is_anothers_is_not_taken_back_in_silence(
    daemon: Daemon,
) -> None:
    other = daemon.engine.tag("alongside.invalid/dns:1.1.0", "of somebody")
    await hold_images(daemon.context)
    assert names(daemon)["alongside.invalid/dns:1.1.0"] == other.id
    observed = await daemon.context.observe("dns", [daemon.release])
    with pytest.raises(Conflict, match="is not the image that was released") as caught:
        observed.has_image(daemon.release)
    assert caught.value.hint.endswith("alongside.invalid/dns:1.1.0")


async def test_a_name_that_another_service_took_says_nothing_of_the_release(
    daemon: Daemon,
) -> None:
    """As an older alongside let it."""
    labels = {LABEL_SERVICE: "other", LABEL_VERSION: "1.1.0", LABEL_REPOSITORY: "app"}
    daemon.engine.tag("repo/dns:1.1.0", "of the other", labels)
    observed = await daemon.context.observe("dns", [daemon.release])
    assert observed.has_image(daemon.release)


async def test_a_name_that_was_given_to_another_image_by_hand_is_refused(daemon: Daemon) -> None:
    daemon.engine.tag("repo/dns:1.1.0", "built by hand")
    observed = await daemon.context.observe("dns", [daemon.release])
    with pytest.raises(Conflict, match=r"repo/dns:1\.1\.0 is not the image that was released"):
        observed.has_image(daemon.release)


async def test_an_archive_takes_no_name_of_anothers(daemon: Daemon) -> None:
    """Neither one of today's, nor one of an older alongside's, with the person's name in it."""
    context, release, path = daemon.context, daemon.release, daemon.context.paths
    await hold_images(context)
    await save_image(context, release)
    assert json.loads(path.archive(release).read_text())[2] == ["alongside.invalid/dns:1.1.0"]
    for reference in ("alongside.invalid/dns:1.1.0", release.image):
        await daemon.engine.save(reference, path.archive(release))
        await daemon.engine.remove(daemon.new.name)
        await daemon.engine.remove_image(release.image_id)
        other = daemon.engine.tag(release.image, "of somebody else")
        await load_image(context, release)
        assert names(daemon)[release.image] == other.id
        assert names(daemon)["alongside.invalid/dns:1.1.0"] == release.image_id
        await daemon.engine.untag(release.image)
        await load_image(context, release)
        assert names(daemon)[release.image] == release.image_id, "free, it is given again"


async def test_removing_a_release_takes_off_no_other_images_name(daemon: Daemon) -> None:
    other = daemon.engine.tag("repo/dns:1.1.0", "of somebody else")
    await daemon.engine.remove(daemon.new.name)
    daemon.context.instances.forget(daemon.new)
    await remove_release(daemon.context, daemon.release)
    assert names(daemon)["repo/dns:1.1.0"] == other.id
    assert daemon.release.image_id not in daemon.engine._images


async def test_a_release_whose_image_is_used_keeps_its_names(daemon: Daemon) -> None:
    await hold_images(daemon.context)
    before = names(daemon)
    with pytest.raises(Exception, match="uses it"):
        await remove_release(daemon.context, daemon.release)
    assert names(daemon) == before
    assert daemon.release in daemon.context.releases.all()


async def test_what_a_crash_left_of_a_build_goes(daemon: Daemon) -> None:
    """Names of that build, and none that another image has."""
    labels = {LABEL_SERVICE: "dns", LABEL_VERSION: "2", LABEL_REPOSITORY: "app"}
    for name in ("alongside.invalid/dns:2", "repo/dns:2", "repo/dns:stable"):
        daemon.engine.tag(name, "built", labels)
    daemon.engine.tag("alongside.invalid/dns/cache:2", "a copy")
    base = daemon.engine.tag("debian:12", "a base image")
    derived = daemon.engine.tag("mine:2", "FROM repo/dns:2", labels)
    before = names(daemon)
    for number, version in (("7", "2"), ("8", "1.1.0"), ("9", "")):
        folder = daemon.context.paths.project(f"build-{number}")
        folder.mkdir()
        own = [f"alongside.invalid/dns:{version}", f"alongside.invalid/dns/cache:{version}"]
        others = [f"repo/dns:{version}", "repo/dns:stable", "debian:12"]
        if version:
            note_names(folder, BuildNames("dns", version, "app", own, others))
    await take_back_all(daemon.context)
    gone = set(before) - set(names(daemon))
    assert gone == {
        "alongside.invalid/dns:2",
        "alongside.invalid/dns/cache:2",
        "repo/dns:2",
        "repo/dns:stable",
    }
    assert names(daemon)["debian:12"] == base.id
    assert names(daemon)["mine:2"] == derived.id
    assert not list((daemon.context.paths.root / "instances").glob("build-*"))


@pytest.fixture
def singleton(daemon: Daemon) -> Release:
    spec = replace(daemon.release.spec, workload=Workload.SINGLETON)
    return replace(daemon.release, spec=spec)


async def test_what_runs_from_anothers_image_of_that_name_is_no_copy(
    daemon: Daemon, singleton: Release
) -> None:
    daemon.engine.tag("repo/dns:base", "a base image")
    daemon.engine.create("theirs", "repo/dns:base")
    await daemon.engine.start("theirs")
    assert await daemon.context.copies([singleton]) == ["theirs"]
    held = replace(singleton, image="alongside.invalid/dns:1.1.0")
    assert await daemon.context.copies([held]) == []
    labels = {LABEL_SERVICE: "other", LABEL_VERSION: "1"}
    daemon.engine.tag("repo/dns:other", "a release of another service", labels)
    daemon.engine.create("others", "repo/dns:other", labels=labels)
    await daemon.engine.start("others")
    assert await daemon.context.copies([singleton]) == ["theirs"]
    daemon.engine.tag("alongside.invalid/dns:dev", "built by hand")
    daemon.engine.create("by-hand", "alongside.invalid/dns:dev")
    await daemon.engine.start("by-hand")
    assert await daemon.context.copies([held]) == ["by-hand"]


async def test_current_of_a_singleton_is_given_by_the_same_rule(
    daemon: Daemon,
    singleton: Release,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def nothing(*_: object, **__: object) -> None:
        pass

    monkeypatch.setattr("alongside.daemon.singletons.instance_project", nothing)
    monkeypatch.setattr("alongside.daemon.singletons.refuse_writers", nothing)
    monkeypatch.setattr(daemon.context.compose, "create", nothing)
    instance = replace(daemon.new, singleton=True)
    base = daemon.engine.tag("repo/dns:current", "a base image")
    await prepare(daemon.context, singleton, instance)
    assert names(daemon)["repo/dns:current"] == base.id
    assert "repo/dns:current was left alone" in caplog.text
    await daemon.engine.untag("repo/dns:current")
    for release in (singleton, replace(singleton, version=Version("1.0.0"))):
        await prepare(daemon.context, release, instance)
        assert names(daemon)["repo/dns:current"] == release.image_id
