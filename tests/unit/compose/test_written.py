from __future__ import annotations

from typing import Any

from alongside.compose.written import Written, said_shared, with_needed, written

MODEL: dict[str, Any] = {
    "services": {
        "web": {"depends_on": {"db": {}, "cache": {}}, "volumes_from": ["db", "cache:ro"]},
        "db": {
            "depends_on": ["init"],
            "volumes": [
                {"type": "volume", "source": "data", "target": "/data"},
                {"type": "volume", "target": "/anonymous"},
                {"type": "volume", "source": "seen", "target": "/seen", "read_only": True},
                {"type": "volume", "source": "bound", "target": "/bound"},
                {"type": "volume", "source": "far", "target": "/far"},
                {"type": "bind", "source": "/srv/a", "target": "/a"},
                {"type": "bind", "source": "/srv/b", "target": "/b", "read_only": True},
                {"type": "tmpfs", "target": "/tmp"},
            ],
        },
        "cache": {"volumes": [{"type": "bind", "source": "/srv/cache", "target": "/c"}]},
        "init": {"volumes_from": ["init", "container:other"]},
    },
    "volumes": {
        "data": {"name": "shop_data", "x-alongside": {"shared": True}},
        "seen": None,
        "bound": {
            "name": "shop_bound",
            "driver_opts": {"type": "none", "o": "bind,rw", "device": "/srv/bound"},
        },
        "far": {
            "name": "shop_far",
            "driver_opts": {"type": "nfs", "o": "addr=192.0.2.1", "device": ":/far"},
        },
    },
}
DB = [
    Written("shop_data"),
    Written("shop_bound", "/srv/bound"),
    Written("shop_far"),
    Written(source="/srv/a"),
]


def test_what_is_written_to_is_a_volume_by_its_name_or_a_place_on_the_host() -> None:
    assert list(written(MODEL, "db")) == DB


def test_what_comes_from_another_service_counts() -> None:
    assert list(written(MODEL, "web")) == DB
    assert list(written(MODEL, "init")) == []


def test_what_is_said_to_be_shared() -> None:
    assert said_shared(MODEL) == {"shop_data"}


def test_all_that_is_started_with_a_service() -> None:
    assert with_needed(MODEL, ["web"], ()) == ["web", "db", "cache", "init"]
    assert with_needed(MODEL, ["web"], {"db"}) == ["web", "cache"]
    assert with_needed(MODEL, ["gone"], ()) == []
