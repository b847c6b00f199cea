"""Finding the compose file, and what it links."""

from __future__ import annotations

from pathlib import Path

import pytest

from alongside.compose.files import NAMES, find_compose_file, linked_files
from alongside.domain.errors import InvalidInput, NotFound


def test_composes_own_order_of_preference(tmp_path: Path) -> None:
    for name in reversed(NAMES):
        (tmp_path / name).touch()
        assert find_compose_file(tmp_path).name == name


def test_a_named_file(tmp_path: Path) -> None:
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy" / "stack.yml").touch()
    assert find_compose_file(tmp_path, "deploy/stack.yml") == tmp_path / "deploy" / "stack.yml"


@pytest.mark.parametrize("named", ["/etc/passwd", "../compose.yaml", "a/../../compose.yaml"])
def test_a_file_outside_the_tree_is_refused(tmp_path: Path, named: str) -> None:
    with pytest.raises(InvalidInput, match="not a path within the repository"):
        find_compose_file(tmp_path, named)


@pytest.mark.parametrize("named", ["", "stack.yml"])
def test_what_is_not_there_is_said(tmp_path: Path, named: str) -> None:
    with pytest.raises(NotFound) as missing:
        find_compose_file(tmp_path, named)
    assert missing.value.hint


def linked(tmp_path: Path, text: str) -> tuple[str, ...]:
    file = tmp_path / "compose.yaml"
    file.write_text(text)
    return linked_files(file)


def test_linked_files_of_all_services_each_once(tmp_path: Path) -> None:
    text = """
services:
  a: {x-alongside: {linked: [.env, ./conf/key.pem]}}
  b: {x-alongside: {linked: .env}}
  c: {image: x}
"""
    assert linked(tmp_path, text) == (".env", "conf/key.pem")


@pytest.mark.parametrize("text", ["", "[", "services: 1", "services: {a: 1}", "a: !reset null"])
def test_what_cannot_be_read_is_left_to_compose(tmp_path: Path, text: str) -> None:
    assert linked(tmp_path, text) == ()


@pytest.mark.parametrize("name", ["../.env", "/etc/shadow", "a/../../b", "."])
def test_a_linked_file_outside_the_tree_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInput, match=r"x-alongside\.linked of service a"):
        linked(tmp_path, f"services: {{a: {{x-alongside: {{linked: ['{name}']}}}}}}")
