"""The documents say what is so: every verb, every path of the API, every link."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

from alongside.cli.entry import VERBS, load
from alongside.daemon.api import create
from alongside.doctor.catalogue import CHECKS

ROOT = Path(__file__).resolve().parents[3]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("bench/*.md")])


def test_the_command_line_is_documented_as_it_is() -> None:
    generated = runpy.run_path(str(ROOT / "scripts" / "docs-cli"))["page"]()
    assert (ROOT / "docs" / "cli.md").read_text() == generated, "run scripts/docs-cli"


def test_the_api_is_published_as_it_is() -> None:
    generated = runpy.run_path(str(ROOT / "scripts" / "docs-openapi"))["document"]()
    assert (ROOT / "docs" / "openapi.json").read_text() == generated, "run scripts/docs-openapi"


def test_the_figures_are_those_of_the_reference_run() -> None:
    generated = runpy.run_path(str(ROOT / "scripts" / "docs-performance"))["page"]()
    page = (ROOT / "docs" / "performance.md").read_text()
    assert page == generated, "run scripts/docs-performance"


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_says_what_it_does_and_gives_an_example(verb: str) -> None:
    command = load(verb)
    assert command.help
    assert re.match(rf"Example: .*\balongside {verb}\b", command.epilog or "")


def test_every_path_of_the_api_is_documented() -> None:
    text = (ROOT / "docs" / "api.md").read_text()
    paths = create(None, None).openapi()["paths"]  # type: ignore[arg-type]
    assert paths
    for path, methods in paths.items():
        shown = re.sub(r"\{(\w+)\}", lambda match: match[1].upper(), path)
        for method in methods:
            assert f"`{method.upper()} {shown}`" in text


def test_every_check_of_the_doctor_is_documented_and_no_other() -> None:
    text = (ROOT / "docs" / "doctor.md").read_text()
    rows = re.findall(r"^\| `([a-z0-9-]+)` \| ([^|]+) \| [^|]+ \|$", text, re.MULTILINE)
    assert sorted(rows) == sorted((check.id, check.about) for check in CHECKS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
