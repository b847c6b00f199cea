"""Real firewalls for test hosts: ufw and firewalld of Debian's packages, in a root folder of their
own.

    with Firewall(host) as firewall:
        firewall(["ufw", "--force", "enable"])
        firewall.start_firewalld()

Nothing of them is installed on the machine, where firewalld's package would start it. The folder
is a small Debian system that mmdebstrap made; what runs from it has the host's network, and a
mount namespace and root of its own: its own /etc/ufw, /etc/firewalld, /run and system bus.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Sequence
from functools import cache

from support import images
from support.host import Host

# What starts a firewall: /proc, /sys and /dev are the machine's, but /proc/sys/net and what
# netfilter shows are those of whoever looks, and so the host's.
_ENTER = """
for folder in proc sys dev; do mount --rbind /$folder "$1/$folder"; done
echo ready
exec sleep infinity
"""


class Firewall:
    """A Debian system beside the host's engine, with ufw and firewalld, neither switched on."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.root = host.folder / "firewall"
        self.root.mkdir()
        archive = images.firewalls(_suite())
        subprocess.run(["tar", "-xf", archive, "-C", self.root], check=True)
        self._holder = host.popen(
            ["unshare", "--mount", "--propagation=private", "sh", "-ec", _ENTER, "sh", self.root]
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline().strip() == "ready"
        self._firewalld: subprocess.Popen[str] | None = None
        self._log = host.folder / "firewall.log"

    def __call__(
        self, argv: Sequence[str], *, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        return self.host.run(self._enter(argv), check=check, env=_ENVIRONMENT)

    def _enter(self, argv: Sequence[str]) -> list[str]:
        mounts = f"--mount=/proc/{self._holder.pid}/ns/mnt"
        return ["nsenter", mounts, "--", "chroot", str(self.root), *argv]

    # -- ufw -------------------------------------------------------------------------------

    def enable_ufw(self) -> None:
        """As its package comes: nothing in, everything out, nothing forwarded."""
        self(["ufw", "--force", "enable"])

    # -- firewalld -------------------------------------------------------------------------

    def start_firewalld(self) -> None:
        """With a system bus, which the host's engine is told of when it next starts."""
        (self.root / "run" / "dbus").mkdir(parents=True, exist_ok=True)
        self._spawn(["dbus-daemon", "--system", "--nofork", "--nopidfile"])
        bus = self.root / "run" / "dbus" / "system_bus_socket"
        _wait(bus.is_socket, "the system bus")
        self.host.environment["DBUS_SYSTEM_BUS_ADDRESS"] = f"unix:path={bus}"
        self._run_firewalld()

    def restart_firewalld(self) -> None:
        assert self._firewalld is not None
        self._firewalld.terminate()
        self._firewalld.wait(30)
        self._run_firewalld()

    def _run_firewalld(self) -> None:
        self._firewalld = self._spawn(["firewalld", "--nofork", "--nopid"])
        _wait(lambda: self._state() == "running", "firewalld")

    def _spawn(self, argv: Sequence[str]) -> subprocess.Popen[str]:
        return self.host.spawn(self._enter(argv), log=self._log, env=_ENVIRONMENT)

    def _state(self) -> str:
        return self(["firewall-cmd", "--state"], check=False).stdout.strip()

    def words(self) -> str:
        return self._log.read_text() if self._log.exists() else ""


_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C",
    "DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/run/dbus/system_bus_socket",  # as seen from its root
}


def _wait(there, what: str, timeout: float = 30) -> None:
    deadline = time.monotonic() + timeout
    while not there():
        assert time.monotonic() < deadline, f"{what} did not start"
        time.sleep(0.05)


@cache
def _suite() -> str:
    """The Debian release whose nft is the machine's: two of them misread each other's tables."""
    said = subprocess.run(["nft", "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"v(\d+)\.(\d+)", said)
    return "trixie" if found and (int(found[1]), int(found[2])) >= (1, 1) else "bookworm"
