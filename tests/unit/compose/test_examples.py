"""The examples and the page about x-alongside say all that the schema knows, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from alongside.compose.files import linked_files
from alongside.compose.schema import (
    KEY,
    ReadySettings,
    ServiceSettings,
    SharingSettings,
    read,
)
from alongside.compose.services import services_from
from alongside.domain.service import ReadyKind

from .conftest import Read

ROOT = Path(__file__).parents[3]
ANNOTATED = ROOT / "examples" / "compose.yaml"
PAGE = (ROOT / "docs" / "x-alongside.md").read_text()

SERVICE_KEYS = set(ServiceSettings.model_fields)
READY_KEYS = set(ReadySettings.model_fields)


@pytest.mark.parametrize(
    "file",
    sorted((ROOT / "examples").rglob("*compose.y*ml")),
    ids=lambda file: str(file.relative_to(ROOT)),
)
@pytest.mark.parametrize("compose", ["fake", pytest.param("real", marks=pytest.mark.host)])
def test_every_example_is_valid(
    request: pytest.FixtureRequest, model: Read, file: Path, compose: str
) -> None:
    read: Read = request.getfixturevalue("real_model") if compose == "real" else model
    assert services_from(read(file.read_text()), file=file.name)


@pytest.mark.parametrize("compose", ["fake", pytest.param("real", marks=pytest.mark.host)])
def test_a_dollar_is_a_dollar_again(
    request: pytest.FixtureRequest, model: Read, compose: str
) -> None:
    """Compose's model has it twice, as the file has."""
    read: Read = request.getfixturevalue("real_model") if compose == "real" else model
    ready = {one.name: one.ready for one in services_from(read(ANNOTATED.read_text()))}["mail"]
    assert ready.command == ("sh", "-c", "scripts/greets $ALONGSIDE_ADDRESS")


def test_the_annotated_example_has_every_key_where_it_belongs() -> None:
    raw = yaml.safe_load(ANNOTATED.read_text())
    services = list(raw["services"].values())
    built = [one.get(KEY, {}) for one in services if "build" in one]
    asked = [one["ready"] for one in built if "ready" in one]
    keys = {key for one in asked for key in ([one] if isinstance(one, str) else one)}
    assert {key for one in built for key in one} == SERVICE_KEYS
    assert keys == READY_KEYS
    for others in ([one for one in services if "build" not in one], raw["volumes"].values()):
        said = [one[KEY]["shared"] for one in others if KEY in one]
        assert sorted(said) == [False, True]


def test_the_annotated_example_shows_every_readiness(model: Read) -> None:
    found = services_from(model(ANNOTATED.read_text()))
    assert {one.ready.kind for one in found} == set(ReadyKind)
    assert linked_files(ANNOTATED) == (".env",)


def test_its_comments_name_the_defaults() -> None:
    text = ANNOTATED.read_text()
    defaults = ReadySettings()
    assert f"the default is {defaults.timeout:g})" in text
    assert f"the default is {defaults.interval:g})" in text
    assert f"the default is {defaults.status})" in text


@pytest.mark.parametrize(
    "key", sorted(SERVICE_KEYS | READY_KEYS | set(SharingSettings.model_fields))
)
def test_every_key_is_documented(key: str) -> None:
    assert re.search(rf"`{key}[`:]", PAGE), f"docs/x-alongside.md says nothing of {key}"


@pytest.mark.parametrize("key", sorted(SERVICE_KEYS))
def test_every_key_of_a_service_has_its_section_and_its_line(key: str) -> None:
    assert f"\n## {key}\n" in PAGE
    assert f"| [`{key}`](#{key}) |" in PAGE


def test_the_page_documents_no_key_that_is_not_there() -> None:
    lines = re.findall(r"^\| \[`(\w+)`\]\(#", PAGE, re.MULTILINE)
    assert set(lines) == SERVICE_KEYS


def test_what_the_page_shows_is_valid(model: Read) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) > 4
    for block in blocks:
        raw: Any = yaml.safe_load(block)
        if "services" in raw:
            for one in raw["services"].values():
                one.setdefault("image", "x")
            assert services_from(model(yaml.safe_dump(raw)))
        else:
            read(ServiceSettings, "docs", raw[KEY])
