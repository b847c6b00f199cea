"""What services mount of a tag's tree, and an override that names another place for it."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from alongside.compose.merge import Override
from alongside.compose.override import shared_override
from alongside.compose.relocate import mounted_from, relocated
from alongside.compose.written import with_needed
from support.examples import release

TREE = Path("/state/trees/app/abc")
MODEL: dict[str, Any] = {
    "services": {
        "db": {
            "depends_on": {"init": {"condition": "service_completed_successfully"}},
            "volumes": [
                {"type": "bind", "source": f"{TREE}/pgdata", "target": "/data", "bind": {}},
                {"type": "bind", "source": f"{TREE}/a$$b", "target": "/b", "read_only": True},
                {"type": "bind", "source": "/etc/localtime", "target": "/c"},
                {"type": "volume", "source": "named", "target": "/d"},
            ],
            "configs": [{"source": "conf", "target": "/conf"}, {"source": "inline"}],
            "secrets": [{"source": "key"}, {"source": "variable"}],
        },
        "init": {"volumes": [{"type": "bind", "source": f"{TREE}/deploy/../x", "target": "/x"}]},
        "other": {"volumes": [{"type": "bind", "source": f"{TREE}/other", "target": "/o"}]},
    },
    "configs": {"conf": {"file": f"{TREE}/conf"}, "inline": {"content": "$$x"}},
    "secrets": {"key": {"file": f"{TREE}/deploy/key"}, "variable": {"environment": "KEY"}},
}
SERVICES = with_needed(MODEL, ["db"])


def place(service: str, path: PurePosixPath) -> Path:
    return Path("/kept", service, path)


def test_what_is_shared_and_what_that_needs() -> None:
    assert SERVICES == ["db", "init"]
    found = mounted_from(SERVICES, MODEL, tree=TREE, folder=TREE)
    assert {name: list(map(str, paths)) for name, paths in found.items()} == {
        "db": ["pgdata", "a$b", "conf", "deploy/key"],
        "init": ["x"],
    }


def test_only_what_is_of_the_tree_is_mounted_from_elsewhere() -> None:
    found = relocated(SERVICES, MODEL, place, tree=TREE, folder=TREE)
    volumes = found["services"]["db"]["volumes"]
    assert isinstance(volumes, Override)
    assert volumes.value == [
        {"type": "bind", "source": "/kept/db/pgdata", "target": "/data", "bind": {}},
        {"type": "bind", "source": "/kept/db/a$b", "target": "/b", "read_only": True},
        {"type": "bind", "source": "/etc/localtime", "target": "/c"},
        {"type": "volume", "source": "named", "target": "/d"},
    ]
    assert set(found["services"]) == {"db", "init"}
    assert found["configs"] == {"conf": {"file": "/kept/db/conf"}}
    assert found["secrets"] == {"key": {"file": "/kept/db/deploy/key"}}


def test_a_service_that_mounts_nothing_of_it_is_left_alone() -> None:
    model = {"services": {"db": {"volumes": MODEL["services"]["db"]["volumes"][2:]}}}
    found = relocated(["db"], model, place, tree=TREE, folder=TREE)
    assert not any(found.values())


def test_paths_that_are_not_resolved_are_relative_to_the_compose_files_folder() -> None:
    model = {"services": {"db": {"volumes": [{"type": "bind", "source": "../d", "target": "/d"}]}}}
    found = mounted_from(["db"], model, tree=TREE, folder=TREE / "deploy")
    assert found == {"db": [PurePosixPath("d")]}
    outside = mounted_from(["db"], model, tree=TREE, folder=TREE)
    assert outside == {"db": []}


def test_the_override_of_what_is_shared_has_it() -> None:
    found = relocated(SERVICES, MODEL, place, tree=TREE, folder=TREE)
    text = shared_override(release("web@1"), found)
    assert 'source: "/kept/db/a$$b"' in text, "as Compose reads it in again"
    document = yaml.safe_load(text.replace("!override", "").replace("!reset", ""))
    assert document["secrets"] == {"key": {"file": "/kept/db/deploy/key"}}
    assert set(document["services"]) == {"db", "init"}
