"""The picture of the status, character by character. `ALONGSIDE_WRITE_GOLDEN=1` writes it anew:
look at it."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alongside.cli import wires
from alongside.cli.picture import age, picture

GOLDEN = Path(__file__).parents[2] / "golden" / "picture"
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)

Json = dict[str, Any]


def version(name: str, state: str = "running", **more: Any) -> Json:
    ago = more.pop("ago", 200)
    number = more.pop("number", None)
    local = [{"protocol": one, "target": 53, "number": number} for one in ("udp", "tcp")]
    return {
        "version": name,
        "state": state,
        "health": "",
        "routed": False,
        "current": False,
        "bad": False,
        "restarts": 0,
        "started": (NOW - timedelta(seconds=ago)).isoformat(),
        "commit": "cc17b54d8a81f0d3",
        "local_ports": local if number else [],
    } | more


def service(name: str, ports: dict[str, dict[str, int]], *versions: Json, **more: Any) -> Json:
    routed = {share for split in ports.values() for share in split}
    return {
        "name": name,
        "workload": "switched",
        "rollback_to": None,
        "doing": [],
        "ports": [
            {
                "port": port,
                "split": [{"version": one, "weight": weight} for one, weight in split.items()],
            }
            for port, split in ports.items()
        ],
        "versions": [one | {"routed": one["version"] in routed} for one in versions],
    } | more


SWITCHED = service(
    "dns",
    {"53/tcp": {"1.1.0": 1}, "53/udp": {"1.1.0": 1}},
    version("1.1.0", number=20001),
    version("1.0.0", ago=30 * 3600, number=20000),
    version("0.9.0", "exited", bad=True),
    rollback_to="1.0.0",
)
CANARY = service(
    "web",
    {
        "80/tcp": {"2026-01-31T11-59": 10, "2026-01-30T08-00": 90},
        **{f"{number}/tcp": {"2026-01-30T08-00": 1} for number in range(7000, 7011)},
    },
    version(
        "2026-01-31T11-59",
        health="starting",
        ago=12,
        number=20010,
        connections={"tcp": 1, "udp": 0},
    ),
    version(
        "2026-01-30T08-00",
        restarts=2,
        ago=28 * 3600,
        number=20011,
        connections={"tcp": 12000, "udp": 345},
    ),
    *(version(f"2026-01-{day}T08-00", "none") for day in range(29, 12, -1)),
    rollback_to="2026-01-30T08-00",
    doing=[{"id": 7, "verb": "up", "to": "2026-01-31T11-59", "step": "await-ready"}],
)
TROUBLED = service(
    "jobs",
    {"192.0.2.7:8080/tcp": {"3": 1}},
    version("4", "paused"),
    version("3", "exited"),
    version("2", "running", health="unhealthy"),
)
DEPLOYED = service(
    "shop",
    {"80/tcp": {"2.1.0": 1}},
    version("2.1.0", ago=8, number=20021),
    version(
        "2.0.0",
        number=20020,
        connections={"tcp": 3, "udp": 0},
        former={"since": NOW.isoformat(), "deadline": None, "drained": False},
    ),
    version("1.9.0", "paused", image_state="gone"),
    version("1.8.0", "exited", image_state="gone"),
    rollback_to="1.9.0",
    trial={"version": "2.1.0", "until": (NOW + timedelta(seconds=22)).isoformat()},
    hold={"actor": "ann", "message": "a fair is on"},
)
IDLE = service("new", {}, version("1.0.0", "none"), workload="singleton")
EVERYTHING = {
    "services": [SWITCHED, CANARY, TROUBLED, IDLE],
    "problems": ["The engine does not answer: it did not list containers in 30 s."],
}


def text(document: Json, width: int, *, ascii_only: bool = False) -> str:
    lines = picture(document, width, NOW, ascii_only=ascii_only)
    return "".join("".join(piece.text for piece in line) + "\n" for line in lines)


def check(name: str, found: str) -> None:
    file = GOLDEN / f"{name}.txt"
    if os.environ.get("ALONGSIDE_WRITE_GOLDEN"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(found)
    assert found == file.read_text()


@pytest.mark.parametrize("width", [40, 80, 120])
@pytest.mark.parametrize("name", ["everything", "switched"])
def test_at_a_width(name: str, width: int) -> None:
    document = EVERYTHING if name == "everything" else {"services": [SWITCHED], "problems": []}
    check(f"{name}-{width}", text(document, width))
    check(f"{name}-{width}-ascii", text(document, width, ascii_only=True))


@pytest.mark.parametrize("width", [40, 80, 120])
def test_what_is_deployed_drained_and_held(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    check(f"deployed-{width}", text({"services": [DEPLOYED], "problems": []}, width))
    monkeypatch.undo()
    time.tzset()


def test_the_documents_show_it_as_it_is() -> None:
    dns = service(
        "dns",
        {"53/tcp": {"1.0.0": 1}, "53/udp": {"1.0.0": 1}},
        version("1.1.0", health="starting", ago=4, number=20001),
        version("1.0.0", ago=30 * 3600, number=20000),
        version("0.9.0", "exited"),
        rollback_to="0.9.0",
        doing=[{"id": 7, "verb": "activate", "to": "1.1.0", "step": "await-ready"}],
    )
    web = service(
        "web",
        {"80/tcp": {"2.0.0": 10, "1.9.0": 90}},
        version("2.0.0", number=20003),
        version("1.9.0", ago=9 * 86400, number=20002),
        rollback_to="1.9.0",
    )
    page = (Path(__file__).parents[3] / "docs" / "watching.md").read_text()
    drawn = text({"services": [dns, web], "problems": []}, 80)
    assert "".join(f"    {line}".rstrip() + "\n" for line in drawn.splitlines()) in page


def test_nothing_is_released() -> None:
    assert "git tag 1.0.0" in text({"services": [], "problems": []}, 80)


def test_it_reads_documents_of_daemons_that_say_less() -> None:
    bare = {key: SWITCHED[key] for key in ("name", "rollback_to", "ports")}
    bare["versions"] = [
        {key: one[key] for key in ("version", "state", "routed", "current", "bad", "local_ports")}
        for one in SWITCHED["versions"]
    ]
    assert "rollback goes here" in text({"services": [bare], "problems": []}, 100)


def test_what_matters_is_coloured() -> None:
    styles = {
        (piece.text.strip(), piece.style)
        for line in picture(EVERYTHING, 200, NOW)
        for piece in line
        if piece.style
    }
    assert {
        ("●", "green"),
        ("running", "green"),
        ("unhealthy", "red"),
        ("has ports, and does not run!", "red"),
        ("1.1.0", "bold"),
        ("bad", "red"),
    } <= styles


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-5, "0 s"), (59.9, "59 s"), (60, "1 min"), (3600, "1 h"), (47 * 3600, "47 h"), (2e5, "2 d")],
)
def test_ages_have_one_unit(seconds: float, said: str) -> None:
    assert age(timedelta(seconds=seconds)) == said


def test_wires_of_ports_that_lead_to_different_lanes_do_not_touch() -> None:
    rows, first = wires.draw(
        [
            wires.Bundle(["80/tcp"], {0: "10%", 2: "90%"}),
            wires.Bundle(["443/tcp", "8443/tcp"], {1: ""}),
        ],
        3,
    )
    assert first == 3
    assert [row.rstrip() for row in rows] == [
        "80/tcp   ───┐",
        "443/tcp  ─┐ │",
        "8443/tcp ─┤ │",
        "          │ ├── 10% ─▶",
        "          └─│────────▶",
        "            └── 90% ─▶",
    ]


names = st.text("abc.-0123456789", min_size=1, max_size=40)


@st.composite
def services(draw: st.DrawFn) -> Json:
    versions = draw(st.lists(names, min_size=1, max_size=7, unique=True))
    states = st.sampled_from(["running", "none", "exited", "paused"])
    ports: dict[str, dict[str, int]] = {}
    for number in draw(st.lists(st.integers(1, 65535), max_size=6, unique=True)):
        shares = draw(st.lists(st.sampled_from(versions), min_size=1, max_size=3, unique=True))
        ports[f"{number}/tcp"] = {one: draw(st.integers(1, 99)) for one in shares}
    return service(
        draw(names),
        ports,
        *(version(one, draw(states), number=20000) for one in versions),
        rollback_to=draw(st.sampled_from([*versions, None])),
    )


@given(st.lists(services(), max_size=3), st.integers(1, 200), st.booleans())
def test_no_line_is_too_long_and_every_lane_with_ports_has_one_arrow(
    some: list[Json], width: int, ascii_only: bool
) -> None:
    found = text({"services": some, "problems": []}, width, ascii_only=ascii_only)
    assert max(map(len, found.splitlines())) <= max(width, 20)
    if ascii_only:
        assert found.isascii()
    if width >= 120:
        routed = sum(one["routed"] for each in some for one in each["versions"])
        assert found.count(">" if ascii_only else "▶") == routed
