"""Two hosts, as machines of their own: one with alongside, one with what it is held against.

Each has an engine, the same image, and the same two versions of one web server running. The
second knows nothing of alongside: no table, no guard.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from alongside.client import Client
from bench import ROOT
from support import images
from support.host import Host
from support.installation import Installation, load_images

VERSIONS = ("1.0.0", "2.0.0")
SERVICE = "web"
BASE = "nginx-bookworm"

# No log, an answer of six bytes: the server costs as little as it can, so that the path counts.
NGINX = """\
worker_processes auto;
error_log stderr crit;
events { worker_connections 4096; }
http {
    access_log off;
    keepalive_requests 1000000;
    server {
        listen 80 backlog=4096;
        listen [::]:80 backlog=4096;
        location / { default_type text/plain; return 200 "VERSION\\n"; }
    }
}
"""
DOCKERFILE = f"""\
FROM {images.RECIPES[BASE].tag}
COPY nginx.conf /etc/nginx/nginx.conf
CMD ["nginx", "-g", "daemon off;"]
"""
COMPOSE = f"""\
services:
  {SERVICE}:
    container_name: {SERVICE}-${{tag:-latest}}
    image: repo/{SERVICE}:${{tag:-latest}}
    build: .
    ports:
      - "80/tcp"
"""


def tree(version: str) -> dict[str, str]:
    """The files of a version's tag."""
    return {
        "Dockerfile": DOCKERFILE,
        "compose.yaml": COMPOSE,
        "nginx.conf": NGINX.replace("VERSION", version),
    }


class Alongside(Installation):
    """The daemon on a host of its own, and both versions released and running."""

    def __init__(self) -> None:
        super().__init__(Host())
        self.client = Client(str(self.socket))
        self.url = f"http://{self.host.address4}/"

    def set_up(self) -> None:
        load_images(self.host, BASE)
        self.start()
        repository = self.repository("bench", tree(VERSIONS[0]))
        for version in VERSIONS:
            repository.release(version, tree(version))
            self.change("up", version)
        self.change("activate", VERSIONS[0])

    def change(self, verb: str, version: str) -> list[dict[str, Any]]:
        """Ask the daemon over its socket, without a command: the events, the result last."""
        return list(self.client.change(verb, {"reference": f"{SERVICE}@{version}"}))

    def close(self) -> None:
        self.host.close()


class Plain:
    """A host without alongside. Both versions run as a person would run them: published on
    ports that the engine chooses."""

    def __init__(self) -> None:
        self.host = Host()
        self.addresses: dict[str, str] = {}  # the containers' own
        self.published: dict[str, int] = {}  # docker-proxy's ports

    def set_up(self) -> None:
        load_images(self.host, BASE)
        for version in VERSIONS:
            folder = self.host.folder / f"tree-{version}"
            write(folder, tree(version))
            name, image = f"{SERVICE}-{version}", f"repo/{SERVICE}:{version}"
            self.host.docker(["build", "--quiet", "--tag", image, str(folder)])
            # A network of its own, as Compose gives each project: docker0 costs a little less.
            self.host.docker(["network", "create", name])
            options = ["--detach", "--name", name, "--network", name, "--publish", "80/tcp"]
            self.host.docker(["run", *options, image])
            (found,) = json.loads(self.host.docker(["inspect", name]).stdout)
            network = found["NetworkSettings"]
            self.addresses[version] = network["Networks"][name]["IPAddress"]
            self.published[version] = int(network["Ports"]["80/tcp"][0]["HostPort"])

    def article(self, words: str) -> None:
        """Run one of the article's functions, as a person's shell would."""
        self.host.run(["bash", "-c", f". {ROOT}/bench/article.sh; {words}"], env=article_path())

    def close(self) -> None:
        self.host.close()


def article_path() -> dict[str, str]:
    return {"PATH": f"{ROOT}/bench/bin:{os.environ['PATH']}"}


def command() -> str:
    """The `alongside` that belongs to this Python."""
    beside = Path(sys.executable).with_name("alongside")
    found = str(beside) if beside.exists() else shutil.which("alongside")
    if not found:
        raise FileNotFoundError("alongside is not installed in this Python's environment")
    return found


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
