"""What a purge finds below the state folder that is to stay."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from alongside.daemon import trees
from alongside.daemon.outliving import Outliving
from alongside.engine.fake import FakeEngine
from alongside.engine.mounted import Mounted
from alongside.engine.protocol import Mount
from alongside.install.look import _data, _mounted
from alongside.install.settings import Settings


def test_data_is_what_containers_wrote_and_no_copy_of_a_tags_file(tmp_path: Path) -> None:
    state = tmp_path / "state"
    for name in ("clean", "wrote"):
        folder = tmp_path / name
        (folder / "conf").mkdir(parents=True)
        (folder / "conf" / "a").touch()
        trees.keep(folder, state / "trees" / "app" / name)
    outliving = Outliving(state / "services" / "app")
    conf = PurePosixPath("conf")
    outliving.fill(state / "trees/app/clean", [conf], Mounted(state, []))
    settings = Settings(("x",), state_dir=state)
    assert _data(settings) == ()

    (state / "trees/app/wrote/line").touch()
    (outliving.files / "pgdata" / "deep").mkdir(parents=True)
    assert _data(settings) == (state / "trees/app/wrote",)
    (outliving.files / "pgdata" / "deep" / "x").touch()
    assert _data(settings) == (outliving.files / "pgdata", state / "trees/app/wrote")
    (outliving.files / "conf" / "a").write_text("changed")
    assert _data(settings)[0] == outliving.files / "conf"
    (state / "services/app/record.json").write_text("{")
    assert _data(settings)[0] == outliving.files, "it may be all data"


def test_what_others_mount_is_named_by_its_place_in_the_state_folder(tmp_path: Path) -> None:
    state = tmp_path / "state"
    (state / "trees" / "app").mkdir(parents=True)
    (tmp_path / "link").symlink_to(state / "trees")
    engine = FakeEngine()
    engine.tag("image", "x")
    for name, source in (("a", tmp_path / "link" / "app"), ("b", "/"), ("c", state / "state.db")):
        engine.create(name, "image", mounts=[Mount("bind", str(source), "/x")])
    assert _mounted(state, engine.every()) == (
        (state / "state.db", "the container c"),
        (state / "trees/app", "the container a"),
    )
