"""A Docker engine of a host's own."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

from support.namespace import Namespace


class EngineFailed(AssertionError):
    """The engine ended, or did not answer in time. Its last log lines are in the message."""


class Engine:
    """dockerd with a containerd of its own, in a namespace; state under `state` (short: socket
    paths end at 107 bytes), images and containers under `data`.

    The containerd is ours because dockerd joins /run/containerd/containerd.sock wherever that
    is there, and two engines in one containerd take each other's containers for strays.
    """

    def __init__(self, namespace: Namespace, state: Path, data: Path, cgroup: str) -> None:
        self.namespace = namespace
        self.state = state
        self.data = data
        self.cgroup = cgroup
        self.socket = state / "docker.sock"
        self.log = state / "dockerd.log"
        self._dockerd: subprocess.Popen[str] | None = None
        self._containerd: subprocess.Popen[str] | None = None

    @property
    def pid(self) -> int:
        """dockerd's; 0 if it does not run."""
        running = self._dockerd is not None and self._dockerd.poll() is None
        return self._dockerd.pid if self._dockerd is not None and running else 0

    def start(self, *options: str, timeout: float = 60) -> None:
        """Start, and return when the API answers. `options` are dockerd's own."""
        deadline = time.monotonic() + timeout
        address = self._start_containerd(deadline)
        (self.state / "docker.pid").unlink(missing_ok=True)  # as systemd would, after a crash
        config = {}
        if _major_version() < 23:
            config["deprecated-key-path"] = str(self.state / "key.json")  # else in /etc/docker
        (self.state / "daemon.json").write_text(json.dumps(config))
        self._dockerd = self.namespace.spawn(
            [
                "dockerd",
                f"--config-file={self.state / 'daemon.json'}",
                f"--data-root={self.data / 'docker'}",
                f"--exec-root={self.state / 'exec'}",
                f"--pidfile={self.state / 'docker.pid'}",
                f"--host=unix://{self.socket}",
                f"--containerd={address}",
                f"--cgroup-parent=/{self.cgroup}",
                # On every machine the same, with systemd and without.
                "--exec-opt=native.cgroupdriver=cgroupfs",
                *options,
            ],
            log=self.log,
        )
        self._wait(self._dockerd, self.log, lambda: _ping(self.socket), deadline)

    def stop(self, timeout: float = 30) -> None:
        """SIGTERM to dockerd, as a service stop does; its containers stop with it."""
        self._end(signal.SIGTERM, timeout)

    def kill(self) -> None:
        """SIGKILL to dockerd alone: containers run on, as they do when it crashes."""
        self._end(signal.SIGKILL, 10)

    def restart(self, *options: str) -> None:
        self.stop()
        self.start(*options)

    def _end(self, number: signal.Signals, timeout: float) -> None:
        if self._dockerd is not None:
            self._dockerd.send_signal(number)
            self._dockerd.wait(timeout)

    def _start_containerd(self, deadline: float) -> Path:
        folder = self.state / "containerd"
        address = folder / "containerd.sock"
        if self._containerd is not None and self._containerd.poll() is None:
            return address
        folder.mkdir(parents=True, exist_ok=True)
        config = folder / "config.toml"
        config.write_text(
            "version = 2\n"
            f'root = "{self.data / "containerd"}"\n'
            f'state = "{folder / "state"}"\n'
            'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
            f'[grpc]\naddress = "{address}"\n'
        )
        log = self.state / "containerd.log"
        self._containerd = self.namespace.spawn(["containerd", "--config", config], log=log)
        self._wait(self._containerd, log, lambda: _connects(address), deadline)
        return address

    def _wait(
        self,
        process: subprocess.Popen[str],
        log: Path,
        answers: Callable[[], bool],
        deadline: float,
    ) -> None:
        while not answers():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.01)
            if process.poll() is not None or time.monotonic() > deadline:
                ended = "ended" if process.poll() is not None else "did not answer in time"
                last = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
                raise EngineFailed(f"{log.stem} {ended}:\n{last}")


def _connects(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(os.fspath(path)) == 0


def _ping(path: Path) -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
        client.settimeout(5)
        client.connect(os.fspath(path))
        client.sendall(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")
        return b" 200 " in client.recv(64)
    return False


@cache
def _major_version() -> int:
    said = subprocess.run(["dockerd", "--version"], capture_output=True, text=True, check=True)
    found = re.search(r"version (\d+)", said.stdout)
    return int(found[1]) if found else 0


def missing() -> list[str]:
    """The programs that an engine needs and the machine lacks."""
    return [name for name in ("dockerd", "containerd", "docker") if shutil.which(name) is None]
