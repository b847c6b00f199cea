from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import alongside
from alongside import program
from alongside.domain.errors import MissingRequirement

SHADOWS = (
    *("select.py", "json.py", "alongside/__init__.py", "alongside/__main__.py", "click.py"),
    *("sitecustomize.py", "usercustomize.py"),
)


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    program.isolated.cache_clear()
    yield
    program.isolated.cache_clear()


def shadow(folder: Path) -> Path:
    """Modules that leave a mark where any of them is run; returns the mark."""
    mark = folder.parent / "ran"
    for name in SHADOWS:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"open({str(mark)!r}, 'a').write({name!r})\n")
    return mark


def run(folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*program.command(), "--version"],
        cwd=folder,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("env", [{}, {"PYTHONPATH": ".", "PYTHONHOME": "/nowhere"}])
def test_no_module_of_the_folder_that_it_is_started_in_is_run(
    tmp_path: Path, env: Mapping[str, str]
) -> None:
    mark = shadow(tmp_path / "work")
    done = run(tmp_path / "work", **env)
    assert (done.returncode, done.stderr) == (0, "")
    assert alongside.__version__ in done.stdout
    assert not mark.exists()


def test_the_interpreter_is_named_by_its_absolute_path() -> None:
    first, *options = program.command()
    assert first == sys.executable
    assert Path(first).is_absolute()
    assert options[-2:] == ["-m", "alongside"]


def test_one_among_the_users_own_packages_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by `pip install --user`: -I does not look there."""
    fake = tmp_path / "python"
    fake.write_text(
        textwrap.dedent(f"""\
        #!/bin/sh
        case "$1" in -I) exit 1 ;; esac
        exec {sys.executable} "$@"
        """)
    )
    fake.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(fake))
    assert program.command()[:3] == (str(fake), "-E", "-P")
    mark = shadow(tmp_path / "work")
    assert run(tmp_path / "work", PYTHONPATH=".").returncode == 0
    assert not mark.exists()


def test_one_that_is_found_by_pythonpath_alone_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alongside, "__file__", str(tmp_path / "alongside" / "__init__.py"))
    with pytest.raises(MissingRequirement, match="only by PYTHONPATH"):
        program.command()


def test_who_writes_no_bytecode_does_not_write_it_from_hooks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    assert "-B" in program.command()
