"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from alongside import __version__

_VERSIONS = {
    "dockerd": ("dockerd", "--version"),
    "docker": ("docker", "--version"),
    "nft": ("nft", "--version"),
    "iptables": ("iptables", "--version"),
    "nginx": ("nginx", "-v"),
    "haproxy": ("haproxy", "-v"),
    "wrk": ("wrk", "-v"),
    "git": ("git", "--version"),
}


def machine() -> dict[str, Any]:
    cpu = re.search(r"^model name\s*: (.*)$", _read("/proc/cpuinfo"), re.MULTILINE)
    memory = re.search(r"^MemTotal:\s*(\d+) kB", _read("/proc/meminfo"), re.MULTILINE)
    system = re.search(r'^PRETTY_NAME="(.*)"', _read("/etc/os-release"), re.MULTILINE)
    return {
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "system": system[1] if system else "",
        "processor": cpu[1] if cpu else "",
        "cores": os.cpu_count(),
        "memory_mib": int(memory[1]) // 1024 if memory else 0,
        "load_before": os.getloadavg()[0],
        "python": platform.python_version(),
        "alongside": __version__,
        "commit": _said("git", "rev-parse", "--short=12", "HEAD"),
        **{name: _said(*argv) for name, argv in _VERSIONS.items()},
    }


def missing() -> list[str]:
    """The programs that the bench needs and the machine lacks."""
    wanted = ("wrk", "nginx", "haproxy", "jq", "iptables-save", "dockerd", "nft", "conntrack")
    return [name for name in wanted if shutil.which(name) is None]


def _said(*argv: str) -> str:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[0] if lines else ""


def _read(path: str) -> str:
    return Path(path).read_text()
