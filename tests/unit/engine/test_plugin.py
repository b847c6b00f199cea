from __future__ import annotations

from pathlib import Path

import pytest

from alongside.engine.compose import DockerCompose
from alongside.engine.plugin import compose_plugin


def put(folder: Path, script: str = "exit 0") -> str:
    folder.mkdir(parents=True)
    program = folder / "docker-compose"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return str(program)


def test_the_user_s_own_comes_before_the_system_s(tmp_path: Path) -> None:
    system = (tmp_path / "usr/local/lib", tmp_path / "usr/libexec")
    home = tmp_path / "config"
    assert compose_plugin(str(home), system) is None
    last = put(system[1])
    assert compose_plugin(str(home), system) == last
    first = put(system[0])
    assert compose_plugin(str(home), system) == first
    own = put(home / "cli-plugins")
    assert compose_plugin(str(home), system) == own


def test_the_user_s_folder_is_in_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    own = put(tmp_path / ".docker/cli-plugins")
    assert compose_plugin("", ()) == own


def test_what_cannot_be_run_is_none(tmp_path: Path) -> None:
    Path(put(tmp_path / "cli-plugins")).chmod(0o644)
    assert compose_plugin(str(tmp_path), ()) is None


@pytest.mark.parametrize("config", ['{"cliPluginsExtraDirs": ["/opt"]}', "{", "7"])
def test_a_configuration_that_only_docker_understands(tmp_path: Path, config: str) -> None:
    put(tmp_path / "cli-plugins")
    (tmp_path / "config.json").write_text('{"auths": {}}')
    assert compose_plugin(str(tmp_path), ())
    (tmp_path / "config.json").write_text(config)
    assert compose_plugin(str(tmp_path), ()) is None


async def test_the_plugin_is_run_without_docker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "cli-plugins", 'echo "v2.99.$#"')
    monkeypatch.setenv("PATH", str(tmp_path))
    compose = DockerCompose("unix:///x.sock", docker_config=tmp_path)
    assert await compose.version() == "2.99.2"


async def test_docker_is_run_where_only_it_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "cli-plugins", "echo v2.1.1")
    (tmp_path / "config.json").write_text('{"cliPluginsExtraDirs": []}')
    docker = tmp_path / "docker"
    docker.write_text('#!/bin/sh\necho "v2.2.2 $1" | tr -d " compose"\n')
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    compose = DockerCompose("unix:///x.sock", docker_config=tmp_path)
    assert await compose.version() == "2.2.2"
