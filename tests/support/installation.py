"""alongside itself on a test host: a daemon, the command line, and repositories to release."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from alongside.client import Client
from support.host import Host
from support.images import RECIPES, archive


class Installation:
    """A daemon on a host with a state folder and a socket of its own.

    alongside = Installation(host)
    alongside.start()
    alongside("activate", "dns@1.0.0")        -> CompletedProcess; raises CommandFailed
    alongside.json("status")
    """

    def __init__(self, host: Host) -> None:
        self.host = host
        self.state = host.folder / "state"
        self.socket = host.engine.state / "a.sock"  # short: socket paths end at 107 bytes
        self.log = host.folder / "daemon.log"
        self.environment = {
            **host.environment,
            "ALONGSIDE_SOCKET": str(self.socket),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "NO_COLOR": "1",
        }
        self.process: subprocess.Popen[str] | None = None

    # -- the daemon ----------------------------------------------------------------------

    def start(self, *, fault: str = "", wait: bool = True) -> None:
        """Start it; with `fault` (STEP:MOMENT) it dies there as by kill -9."""
        self.host.engine_start()
        self.process = self.host.spawn(
            [sys.executable, "-m", "alongside", "daemon", "--state-dir", str(self.state)],
            log=self.log,
            env={**self.environment, "ALONGSIDE_FAULT": fault},
        )
        if wait:
            self.wait_ready()

    def wait_ready(self, timeout: float = 30) -> None:
        deadline = time.monotonic() + timeout
        while not self.host.call(_answers, self.socket):
            assert self.process is not None
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the daemon does not answer:\n{self.words()}")
            time.sleep(0.01)

    def wait_ended(self, timeout: float = 30) -> int:
        assert self.process is not None
        return self.process.wait(timeout)

    def stop(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(30)

    def words(self) -> str:
        """What it has logged."""
        return self.log.read_text() if self.log.exists() else ""

    # -- the command line ----------------------------------------------------------------

    def __call__(
        self,
        *arguments: str,
        check: bool = True,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float = 120,
    ) -> subprocess.CompletedProcess[str]:
        return self.host.run(
            [sys.executable, "-m", "alongside", *arguments],
            check=check,
            cwd=cwd,
            env={**self.environment, **(env or {})},
            timeout=timeout,
        )

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "--json").stdout)

    def api(self, path: str, **query: object) -> Any:
        """What the daemon itself answers, without a command between."""
        return Client(str(self.socket)).get(path, **query)

    def refused(self, *arguments: str, cwd: Path | None = None, status: int = 1) -> str:
        """What it says on standard error when it refuses. AssertionError where it does not."""
        done = self(*arguments, check=False, cwd=cwd)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stderr

    # -- repositories --------------------------------------------------------------------

    def repository(self, name: str, files: Mapping[str, str], *, init: bool = True) -> Repository:
        """A git repository with one commit of `files`, its hooks installed."""
        path = self.host.folder / "src" / name
        path.mkdir(parents=True)
        repository = Repository(self, path)
        repository.git("init", "--quiet", "--initial-branch=main")
        repository.commit(files)
        if init:
            self("init", cwd=path)
        return repository


class Repository:
    def __init__(self, alongside: Installation, path: Path) -> None:
        self.alongside = alongside
        self.path = path

    def git(
        self, *arguments: str, check: bool = True, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """git as its user types it, the hooks' words among its own."""
        return self.alongside.host.run(
            ["git", *arguments],
            check=check,
            cwd=self.path,
            env=_GIT | self.alongside.environment | dict(env or {}),
        )

    def write(self, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def commit(self, files: Mapping[str, str]) -> str:
        """Returns the commit."""
        self.write(files)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", "a commit")
        return self.git("rev-parse", "HEAD").stdout.strip()

    def tag(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.git("tag", *arguments)

    def release(self, version: str, files: Mapping[str, str]) -> None:
        """Commit and tag."""
        self.commit(files)
        self.tag(version)


_GIT = {
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@example.test",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@example.test",
    "GIT_CONFIG_GLOBAL": "/dev/null",
}


def load_images(host: Host, *names: str) -> None:
    """Have base images in the host's engine."""
    for name in names:
        tag = RECIPES[name].tag
        if host.docker(["image", "inspect", tag], check=False).returncode != 0:
            host.load(archive(name))


def _answers(path: Path) -> bool:
    import socket

    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(os.fspath(path)) == 0


DNS_COMPOSE = """\
services:
  dns:
    container_name: dns-${tag:-latest}
    image: repo/dns:${tag:-latest}
    build: .
    ports:
      - "53/udp"
      - "53/tcp"
    x-alongside:
      ready: {dns: version.test}
"""

RESPONDER_COMPOSE = """\
services:
  web:
    image: repo/web:${tag:-latest}
    build: {context: ., args: {VERSION: "${tag}"}}
    ports: ["80:80", "7/udp", "7/tcp"]
"""

RESPONDER_DOCKERFILE = """\
FROM alongside-test/responder:latest
ARG VERSION
ENV VERSION=$VERSION PORTS="80 7"
"""


def dns_files(suite: str) -> dict[str, str]:
    """A dnsmasq of a Debian release that says at version.test which one it is."""
    return {
        "compose.yaml": DNS_COMPOSE,
        "Dockerfile": f"FROM alongside-test/dnsmasq:{suite}\n",
    }


def web_files(**environment: str) -> dict[str, str]:
    """The responder; `environment` (DELAY_MS, PORTS) is baked in."""
    lines = "".join(f"ENV {name}={value!r}\n" for name, value in environment.items())
    return {
        "compose.yaml": RESPONDER_COMPOSE,
        "Dockerfile": RESPONDER_DOCKERFILE + lines.replace("'", '"'),
    }
