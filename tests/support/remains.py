"""What a test host leaves on the machine, and taking it away, also after a crash.

Every process that makes hosts has a folder under /run/alongside-test with a locked file in it.
What it is about to make is written there first. The kernel drops the lock when the process ends,
however it ends: a folder whose lock can be had belongs to nobody, and what it names is removed.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import secrets
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

RUNS = Path("/run/alongside-test")
STORES = Path("/var/tmp/alongside-test")  # engines' data: /run may be a small tmpfs
_CGROUPS = Path("/sys/fs/cgroup")
_MNT_DETACH = 2
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Remains:
    """The names of all that one host puts on the machine."""

    namespaces: tuple[str, ...]
    folders: tuple[str, ...]
    cgroup: str  # below every hierarchy's root

    def remove(self) -> None:
        """Kill what runs in the namespaces and in the cgroup, unmount, delete. May be called
        again, and when only a part is there."""
        for _ in range(100):
            if not self._kill():
                break
            time.sleep(0.01)  # a process that was killed leaves /proc when it is reaped
        for folder in self.folders:
            _unlink_shim_sockets(Path(folder))
            _unmount_below(folder)
            shutil.rmtree(folder, ignore_errors=True)
        for name in self.namespaces:
            path = Path("/run/netns", name)
            if path.exists():
                _libc.umount2(os.fsencode(path), _MNT_DETACH)
                path.unlink(missing_ok=True)
        for group in self._cgroups():
            for folder, _, _ in os.walk(group, topdown=False):
                with contextlib.suppress(OSError):
                    Path(folder).rmdir()

    def _kill(self) -> int:
        """SIGKILL to every process that is ours; returns how many there were."""
        inodes = set()
        for name in self.namespaces:
            with contextlib.suppress(OSError):
                inodes.add(Path(f"/run/netns/{name}").stat().st_ino)
        found = {pid for pid in _pids() if pid != os.getpid() and _is_in(pid, inodes)}
        for group in self._cgroups():
            for file in group.rglob("cgroup.procs"):
                with contextlib.suppress(OSError):
                    found |= {int(pid) for pid in file.read_text().split()}
        for pid in found:
            with contextlib.suppress(OSError):
                descriptor = os.pidfd_open(pid)
                try:
                    # The number may have a new owner since it was read: ask again, now that
                    # the descriptor holds on to one process.
                    if _is_in(pid, inodes) or self._in_cgroup(pid):
                        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
                finally:
                    os.close(descriptor)
        return len(found)

    def _in_cgroup(self, pid: int) -> bool:
        with contextlib.suppress(OSError):
            return f":/{self.cgroup}/" in Path(f"/proc/{pid}/cgroup").read_text()
        return False

    def _cgroups(self) -> list[Path]:
        """In version 2 one folder, in version 1 one a controller."""
        return [
            path for path in (_CGROUPS / self.cgroup, *_CGROUPS.glob(f"*/{self.cgroup}"))
            if path.is_dir()
        ]  # fmt: skip


class Run:
    """One process's entry under /run/alongside-test."""

    def __init__(self) -> None:
        RUNS.mkdir(mode=0o700, exist_ok=True)
        STORES.mkdir(mode=0o711, exist_ok=True)
        self.token = f"{os.getpid():x}{secrets.token_hex(2)}"
        self.folder = RUNS / self.token
        with _locked(RUNS / ".lock"):
            self.folder.mkdir()
            self._owner = (self.folder / "owner").open("w")
            fcntl.flock(self._owner, fcntl.LOCK_EX)

    def record(self, name: str, remains: Remains) -> None:
        (self.folder / f"{name}.json").write_text(json.dumps(asdict(remains)))

    def forget(self, name: str) -> None:
        (self.folder / f"{name}.json").unlink(missing_ok=True)

    def close(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.rmtree(STORES / self.token, ignore_errors=True)
        self._owner.close()


def sweep() -> list[str]:
    """Remove what runs left whose process is dead; returns their tokens."""
    swept: list[str] = []
    if not RUNS.is_dir():
        return swept
    with _locked(RUNS / ".lock"):
        for folder in sorted(path for path in RUNS.iterdir() if path.is_dir()):
            with (folder / "owner").open("a") as owner:
                try:
                    fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                for entry in folder.glob("*.json"):
                    with contextlib.suppress(ValueError):  # cut short: nothing was made yet
                        fields = json.loads(entry.read_text())
                        Remains(
                            tuple(fields["namespaces"]), tuple(fields["folders"]), fields["cgroup"]
                        ).remove()
                shutil.rmtree(folder, ignore_errors=True)
                shutil.rmtree(STORES / folder.name, ignore_errors=True)
                swept.append(folder.name)
    return swept


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _is_in(pid: int, inodes: set[int]) -> bool:
    try:
        return Path(f"/proc/{pid}/ns/net").stat().st_ino in inodes
    except OSError:
        return False


def _unmount_below(folder: str) -> None:
    mounted = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for target in reversed(mounted):
        if target == folder or target.startswith(folder + "/"):
            _libc.umount2(os.fsencode(target), _MNT_DETACH)


def _unlink_shim_sockets(folder: Path) -> None:
    """containerd's shims listen under /run/containerd/s, whatever its own state folder is; a
    shim that was killed leaves its socket there, and its path in the bundle."""
    for file in folder.glob("engine/containerd/state/io.containerd.runtime.v2.task/*/*/address"):
        with contextlib.suppress(OSError):
            socket = Path(file.read_text().removeprefix("unix://"))
            if socket.is_relative_to("/run/containerd/s"):
                socket.unlink()
