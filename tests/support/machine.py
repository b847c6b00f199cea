"""A whole machine that boots: Debian 13 with systemd as its first process, Docker and pipx, and
neither alongside nor anything else of ours in it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Mapping
from pathlib import Path

from support.host import Host
from support.images import CACHE, KEYS, MIRROR, RECIPES, ROOT, archive
from support.namespace import CommandFailed

_SUITE = "trixie"
_PYTHON = "3.13"  # the suite's
_PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "passwd", "util-linux", "procps"),
    *("docker.io", "docker-cli", "docker-compose", "docker-buildx", "nftables", "iptables"),
    *("iproute2", "conntrack", "git", "python3", "python3-venv", "pipx"),
)
_FINISH = (
    # What would reach for the outer machine, or waits for a network that is not there.
    'ln -sf /dev/null "$1/etc/systemd/system/systemd-sysctl.service"; '
    'ln -sf /dev/null "$1/etc/systemd/system/systemd-modules-load.service"; '
    'ln -sf /dev/null "$1/etc/systemd/system/apt-daily.timer"; '
    'ln -sf /dev/null "$1/etc/systemd/system/apt-daily-upgrade.timer"; '
    'rm -rf "$1"/var/cache/apt/* "$1"/var/lib/apt/lists/*'
)
_LEFT_OUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Machine(Host):
    """A Host whose engine is the machine's own, under its own systemd.

        machine.boot()                       returns when Docker answers in it
        machine.sh("systemctl is-active docker")
        machine.sh("git tag 1.0.0", user="alice", cwd="/home/alice/app")
        machine.where("/etc/group")          where a file of its lies on this machine
        machine.client                       somebody else's machine, as a Host has it

    Its first process is in the network namespace of the Host, so a crash leaves nothing that the
    next `sweep()` does not find.
    """

    def boot(self) -> None:
        self.root = self.folder / "root"
        self.root.mkdir()
        subprocess.run(["tar", "-xf", _root_archive(), "-C", self.root], check=True)
        (self.root / "etc/hostname").write_text("machine\n")
        group = _cgroup2() / self.name
        group.mkdir()
        (group / "cgroup.procs").touch()
        words = [
            *("unshare", "--pid", "--mount", "--cgroup", "--uts", "--ipc", "--fork"),
            *("--kill-child", "--", str(Path(__file__).with_name("boot.sh")), str(self.root)),
        ]
        # A shell moves itself into the cgroup first: what it becomes, and all below, stays there.
        self._unshare = self.spawn(
            ["sh", "-c", 'echo $$ >"$0"; exec "$@"', str(group / "cgroup.procs"), *words],
            log=self.folder / "boot.log",
        )
        self._until("the machine does not start", self._first_process)
        self._until(
            "Docker does not answer in the machine",
            lambda: self.sh("docker version", check=False).returncode == 0,
        )

    def sh(
        self,
        script: str,
        *,
        user: str = "root",
        cwd: str = "/",
        check: bool = True,
        env: Mapping[str, str] | None = None,
        timeout: float = 300,
    ) -> subprocess.CompletedProcess[str]:
        """Run a shell script in it to the end. Raises CommandFailed."""
        home = "/root" if user == "root" else f"/home/{user}"
        variables = {"PATH": _PATH, "HOME": home, "LANG": "C.UTF-8", "NO_COLOR": "1", **(env or {})}
        become = [] if user == "root" else ["runuser", "--user", user, "--"]
        done = subprocess.run(
            [
                *("nsenter", "--target", str(self.first), "--all", "--root", f"--wdns={cwd}"),
                *("env", "-i", *(f"{key}={value}" for key, value in variables.items())),
                *become,
                *("sh", "-euc", script),
            ],
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        if check and done.returncode != 0:
            raise CommandFailed([script], done.returncode, done.stdout + done.stderr)
        return done

    def where(self, inside: str) -> Path:
        return self.root / inside.lstrip("/")

    def load_image(self, name: str) -> None:
        """Have a base image of support.images in its engine."""
        inside = self.where(f"/root/{name}.tar")
        shutil.copy(archive(name), inside)
        self.sh(f"docker load --quiet --input /root/{name}.tar; rm /root/{name}.tar")
        assert RECIPES[name].tag

    def bring_project(self) -> None:
        """This project's files at /root/alongside, and at /root/wheels all that pip wants for
        them: there is no network."""
        target = self.where("/root/alongside")
        shutil.copytree(ROOT / "src", target / "src", ignore=shutil.ignore_patterns("*.egg-info"))
        for name in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(ROOT / name, target / name)
        shutil.copytree(_wheels(), self.where("/root/wheels"))

    def _first_process(self) -> bool:
        pid = self._unshare.pid
        assert self._unshare.poll() is None, (self.folder / "boot.log").read_text()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        self.first = int(children[0]) if children else 0
        return bool(children) and Path(f"/proc/{self.first}/comm").read_text() == "systemd\n"

    def _until(self, otherwise: str, holds: object, timeout: float = 120) -> None:
        assert callable(holds)
        deadline = time.monotonic() + timeout
        while not holds():
            log = (self.folder / "boot.log").read_text()
            assert time.monotonic() < deadline, f"{otherwise}:\n{log}"
            time.sleep(0.05)


def _cgroup2() -> Path:
    """Where cgroups of version 2 are: alone, or beside version 1."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, where, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(where)
    raise AssertionError("systemd needs cgroups of version 2, and this machine has none mounted")


def _root_archive() -> Path:
    """The root folder as an archive, made now if the cache does not have it: about a minute."""
    recipe = json.dumps([_SUITE, _PACKAGES, _FINISH, _LEFT_OUT])
    path = CACHE / f"machine-{_digest(recipe)}.tar"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        for old in CACHE.glob("machine-*.tar"):
            old.unlink()
        with tempfile.TemporaryDirectory(dir=CACHE, prefix=".machine-") as folder:
            whole = Path(folder, "root.tar")
            with tempfile.TemporaryDirectory() as readable:
                # apt checks signatures as the user _apt, who may not see this project's folder.
                Path(readable).chmod(0o755)
                keys = Path(shutil.copy(KEYS, readable))
                keys.chmod(0o644)
                done = subprocess.run(
                    [
                        *("mmdebstrap", "--quiet", f"--keyring={keys}", "--variant=minbase"),
                        f"--include={','.join(_PACKAGES)}",
                        *(f"--dpkgopt=path-exclude={pattern}" for pattern in _LEFT_OUT),
                        f"--customize-hook={_FINISH}",
                        *(_SUITE, str(whole), MIRROR),
                    ],
                    check=False,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                )
            if done.returncode != 0:
                raise RuntimeError(f"mmdebstrap could not make a machine:\n{done.stdout[-2000:]}")
            whole.replace(path)
    return path


def _wheels() -> Path:
    """A folder of wheels for the machine's Python: what pyproject.toml asks for and builds with."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [
        *project["project"]["dependencies"],
        *project["build-system"]["requires"],
        *("pip", "wheel"),
    ]
    path = CACHE / f"wheels-{_digest(json.dumps([wanted, _PYTHON]))}"
    if not path.is_dir():
        CACHE.mkdir(parents=True, exist_ok=True)
        for old in CACHE.glob("wheels-*"):
            shutil.rmtree(old)
        machine = os.uname().machine
        kinds = [f"--platform=manylinux_2_{minor}_{machine}" for minor in (17, 28, 34)]
        with tempfile.TemporaryDirectory(dir=CACHE, prefix=".wheels-") as folder:
            subprocess.run(
                [
                    *(sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"),
                    *("download", f"--dest={folder}/new", "--only-binary=:all:"),
                    *(f"--python-version={_PYTHON}", *kinds, f"--platform=manylinux2014_{machine}"),
                    *wanted,
                ],
                check=True,
                stdin=subprocess.DEVNULL,
            )
            Path(folder, "new").rename(path)
    return path


def _digest(recipe: str) -> str:
    return hashlib.sha256(recipe.encode()).hexdigest()[:12]
