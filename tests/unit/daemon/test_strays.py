"""What is removed below the state folder, and what holds it there."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from alongside.daemon.held import Held, volumes_in_use
from alongside.daemon.images import remove_release
from alongside.daemon.locks import BUILDS
from alongside.daemon.retirement import itself
from alongside.daemon.strays import discard_strays, discard_unreleased, expect
from alongside.daemon.verbs.change import Asked
from alongside.daemon.verbs.gc import gc
from alongside.domain.errors import Conflict, Unavailable
from alongside.domain.release import Release
from alongside.domain.service import Service, Sharing, Volume
from alongside.domain.version import Version
from alongside.engine.mounted import LABEL_PROJECT
from alongside.engine.protocol import Mount
from alongside.plan.addresses import allocate
from support.examples import release

from .conftest import Daemon


def tree(daemon: Daemon, name: str = "d" * 40) -> Path:
    """A kept tree of that name, with one file."""
    path = daemon.context.paths.tree("app", name)
    path.mkdir(parents=True)
    (path / "file").touch(mode=0o444)
    os.utime(path / "file", (1e9, 1e9))  # the commit's time
    path.chmod(0o555)
    expect(daemon.context, path)
    return path


def mount(daemon: Daemon, path: Path, name: str = "foreign", project: str = "") -> None:
    daemon.engine.tag("image", "x")
    labels = {LABEL_PROJECT: project}
    daemon.engine.create(name, "image", labels=labels, mounts=[Mount("bind", str(path), "/x")])


def old(daemon: Daemon, version: str = "0.9.0", name: str = "d" * 40) -> Release:
    """A release that gc would remove."""
    one = replace(release(f"dns@{version}", day=-1), tree=name, image_id=f"sha256:{version}")
    daemon.context.releases.add(one)
    return one


def versions(daemon: Daemon) -> set[str]:
    return {str(one.version) for one in daemon.context.releases.all()}


async def collected(daemon: Daemon, *, dry_run: bool = False, volumes: bool = False) -> str:
    asked = Asked(itself(), dry_run=dry_run)
    done = await gc(daemon.context, "dns", asked, lambda _: None, keep=0, volumes=volumes)
    return "\n".join([*done["plan"], *done["summary"]])


async def test_a_tree_of_no_release_goes_unless_it_is_mounted_or_written(daemon: Daemon) -> None:
    stray, mounted, wrote = (tree(daemon, letter * 40) for letter in "123")
    (wrote / "more").touch()
    mount(daemon, mounted / "file")
    left = daemon.context.paths.incoming / "left"
    left.mkdir()
    beside = stray.with_name("data")  # ../data of a compose file: no tree of ours
    beside.mkdir()
    await discard_strays(daemon.context, [left])
    assert not stray.exists()
    assert not left.exists()
    assert mounted.is_dir()
    assert wrote.is_dir()
    assert beside.is_dir()
    assert not list(daemon.context.paths.incoming.iterdir())


async def test_nothing_goes_while_the_engine_does_not_say_who_mounts_it(daemon: Daemon) -> None:
    stray = tree(daemon)
    daemon.engine.answers = False
    with pytest.raises(Unavailable):
        await discard_strays(daemon.context)
    await discard_unreleased(daemon.context, stray)
    with pytest.raises(Unavailable):
        await remove_release(daemon.context, old(daemon))
    assert stray.is_dir()


async def test_nor_does_the_tree_that_a_build_is_about(daemon: Daemon) -> None:
    stray = tree(daemon)
    async with daemon.context.locks[BUILDS]:
        await discard_strays(daemon.context)
        assert stray.is_dir()
        await discard_unreleased(daemon.context, stray)  # it came to nothing
    assert not stray.exists()


async def test_a_release_whose_row_cannot_be_read_has_its_tree(daemon: Daemon) -> None:
    stray, same = tree(daemon), old(daemon)
    with daemon.context.database.transaction() as connection:
        connection.execute("UPDATE releases SET spec = '{' WHERE version = '0.9.0'")
    await discard_strays(daemon.context)
    await discard_unreleased(daemon.context, stray)
    other = replace(same, version=Version("0.9.1"), image_id="sha256:0.9.1")
    daemon.context.releases.add(other)
    await remove_release(daemon.context, other)
    assert stray.is_dir()


async def test_gc_keeps_a_release_whose_files_are_mounted_and_says_by_whom(daemon: Daemon) -> None:
    old(daemon)
    mount(daemon, tree(daemon) / "file")
    said = "its files are mounted by the container foreign"
    assert f"keep dns@0.9.0: {said}" in await collected(daemon, dry_run=True)
    for volumes in (False, True):
        assert f"dns@0.9.0 is kept: {said}." in await collected(daemon, volumes=volumes)
    assert "0.9.0" in versions(daemon)
    await daemon.engine.remove("foreign")
    assert "dns@0.9.0 is removed" in await collected(daemon)


async def test_gc_keeps_what_containers_wrote_unless_volumes_are_to_go(daemon: Daemon) -> None:
    old(daemon)
    (tree(daemon) / "line").touch()
    said = "dns@0.9.0 is kept: a container has written line into its files."
    assert said in await collected(daemon)
    assert "remove dns@0.9.0" in await collected(daemon, dry_run=True, volumes=True)
    assert "dns@0.9.0 is removed" in await collected(daemon, volumes=True)


async def test_of_two_releases_of_one_tree_the_last_keeps_it(daemon: Daemon) -> None:
    old(daemon, "0.8.0")
    old(daemon, "0.9.0")
    path = tree(daemon)
    mount(daemon, path)
    plan = await collected(daemon, dry_run=True)
    done = await collected(daemon)
    assert "remove dns@0.8.0" in plan
    assert "keep dns@0.9.0: its files" in plan
    assert "dns@0.8.0 is removed" in done
    assert "dns@0.9.0 is kept" in done
    assert path.is_dir()


async def test_its_own_containers_hold_no_release_and_anothers_do(daemon: Daemon) -> None:
    context, path = daemon.context, tree(daemon)
    own = old(daemon)
    instance = allocate(own, await context.observe("dns"))
    context.instances.add(instance)
    mount(daemon, path, "mine", project=instance.project)
    assert not await (await Held.look(context)).why(own)
    mount(daemon, path, "yours", project=f"{instance.project}x")
    assert "the container yours" in await (await Held.look(context)).why(own)


async def test_a_release_that_is_mounted_at_the_last_moment_is_not_begun_to_be_removed(
    daemon: Daemon,
) -> None:
    one = old(daemon)
    image = daemon.engine.tag("repo/dns:0.9.0", "x")
    mount(daemon, tree(daemon))
    with pytest.raises(Conflict, match="mounted by the container foreign"):
        await remove_release(daemon.context, one)
    assert await daemon.engine.image(image.id) is not None
    assert "0.9.0" in versions(daemon)


async def test_an_archive_that_is_mounted_stays(daemon: Daemon) -> None:
    one = old(daemon)
    archive = daemon.context.paths.archive(one)
    archive.parent.mkdir(parents=True)
    archive.touch()
    mount(daemon, archive)
    assert "the archive of its image is mounted" in await collected(daemon)
    assert archive.exists()


async def test_a_version_is_removed_with_its_volumes_but_for_one_in_use(daemon: Daemon) -> None:
    context, instance = daemon.context, daemon.new
    volumes = (Volume("data", Sharing.OWN), Volume("all", Sharing.SHARED))
    spec = replace(daemon.release.spec, volumes=volumes)
    with context.database.transaction() as connection:
        connection.execute(
            "UPDATE releases SET spec = ? WHERE version = '1.1.0'",
            (TypeAdapter(Service).dump_json(spec).decode(),),
        )
    new = context.releases.get("dns", instance.version)
    assert new is not None
    daemon.engine.tag("image", "x")
    for number, (volume, project) in enumerate(
        ((f"{instance.project}_data", instance.project), (f"{instance.project}_data", "another"))
    ):
        mounts = [Mount("volume", "/nowhere", "/x", volume)]
        labels = {LABEL_PROJECT: project}
        daemon.engine.create(f"user-{number}", "image", labels=labels, mounts=mounts)
    assert await volumes_in_use(context, new) == [
        f"The volume {instance.project}_data is kept: it is mounted by the container user-1."
    ]
