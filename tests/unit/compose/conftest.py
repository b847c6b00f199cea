"""Compose files of a few lines, read as Compose reads them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from alongside.compose.services import services_from
from alongside.domain.service import Service
from alongside.engine.fake.model import load

Read = Callable[..., Mapping[str, Any]]


@pytest.fixture
def model(tmp_path: Path) -> Read:
    """`model(text, *overrides, name="app", tag="1.0.0")`: what `docker compose config` says, as
    far as the fake goes."""

    def read(*texts: str, name: str = "app", tag: str = "1.0.0") -> Mapping[str, Any]:
        return load(name, _write(tmp_path, texts), {"tag": tag})

    return read


@pytest.fixture
def real_model(tmp_path: Path) -> Read:
    """The same from Compose itself. It needs no engine for it."""
    version = subprocess.run(["docker", "compose", "version"], check=False, capture_output=True)
    if version.returncode != 0:
        pytest.skip("`docker compose` is not there")
    (tmp_path / ".env").touch()

    def read(*texts: str, name: str = "app", tag: str = "1.0.0") -> Mapping[str, Any]:
        files = [part for file in _write(tmp_path, texts) for part in ("--file", str(file))]
        done = subprocess.run(
            ["docker", "compose", "--project-name", name, *files, "config", "--no-path-resolution"],
            cwd=tmp_path,
            env={**os.environ, "tag": tag},
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        said: Mapping[str, Any] = yaml.safe_load(done.stdout)
        return said

    return read


@pytest.fixture
def services(model: Read) -> Callable[[str], dict[str, Service]]:
    """The released services of a compose file, by name."""

    def read(text: str) -> dict[str, Service]:
        return {one.name: one for one in services_from(model(text), file="compose.yaml")}

    return read


def _write(folder: Path, texts: Sequence[str]) -> list[Path]:
    files = [folder / f"{number}.yaml" for number in range(len(texts))]
    for file, text in zip(files, texts, strict=True):
        file.write_text(text)
    return files
