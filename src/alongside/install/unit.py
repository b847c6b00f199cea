"""The unit file, and reading our own back."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from pathlib import Path

from alongside.install.settings import Settings

_HEAD = """\
# Written by `alongside daemon install`, which brings it up to date, and taken away by
# `alongside daemon uninstall`. Changes of your own: systemctl edit alongside

[Unit]
Description=Versions of containers side by side, and which of them the host's ports reach
# The firewalls first: they empty nftables when they start.
After=network.target nftables.service firewalld.service ufw.service docker.service
# Routes are kept without the engine, so its restart is not ours.
Wants=docker.service

[Service]
Type=notify
"""

_REST = """\
# It says that it is well while its event loop turns and each of its parts moves, or waits to be
# tried again after a failure.
WatchdogSec=60
Restart=on-failure
RestartSec=5
# Traffic flows on while it is down. The builds that run are ended by the daemon itself.
KillMode=mixed
TimeoutStopSec=30
LimitNOFILE=65536

# What it needs: nftables, conntrack and an address on lo (NET_ADMIN); to enter a container's
# network and cut connections there (SYS_ADMIN); which program has a port (SYS_PTRACE); folders of
# releases, which are read-only (DAC_OVERRIDE); the socket's group (CHOWN).
CapabilityBoundingSet=CAP_NET_ADMIN CAP_SYS_ADMIN CAP_SYS_PTRACE CAP_DAC_OVERRIDE CAP_CHOWN
NoNewPrivileges=yes
RestrictNamespaces=net
RestrictAddressFamilies=AF_UNIX AF_NETLINK AF_INET AF_INET6
SystemCallFilter=@system-service
SystemCallArchitectures=native
SystemCallErrorNumber=EPERM
MemoryDenyWriteExecute=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RemoveIPC=yes

# The whole file system is read-only, but for what stands above.
ProtectSystem=strict
# Not hidden: the program may lie in a home, and compose files may name files there.
ProtectHome=read-only
PrivateMounts=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectControlGroups=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectClock=yes
ProtectHostname=yes

[Install]
WantedBy=multi-user.target
"""


def unit_text(settings: Settings) -> str:
    """The whole unit file."""
    arguments = [
        *settings.command,
        "daemon",
        *("--state-dir", str(settings.state_dir)),
        *("--socket", str(settings.socket)),
        *("--pool", settings.pool),
        *("--local-ports", settings.local_ports),
    ]
    environment = {**settings.environment, "DOCKER_CONFIG": str(settings.docker_config)}
    assignments = _quoted(f"{name}={value}" for name, value in sorted(environment.items()))
    return "".join(
        [
            _HEAD,
            f"ExecStart={_quoted(arguments).replace('$', '$$')}\n",
            f"Environment={assignments}\n",
            *_folders(settings),
            _REST,
        ]
    )


def _folders(settings: Settings) -> list[str]:
    """systemd makes folders below /var/lib and /run, and takes those in /run away again; others
    are written to where they are."""
    lines = []
    writable = []
    if settings.state_dir.parent == Path("/var/lib"):
        lines += [f"StateDirectory={settings.state_dir.name}\n", "StateDirectoryMode=0700\n"]
    else:
        writable.append(str(settings.state_dir))
    folder = settings.socket.parent
    if folder.parent == Path("/run"):
        lines += [f"RuntimeDirectory={folder.name}\n", "RuntimeDirectoryMode=0750\n"]
        # Not taken away from a daemon that somebody runs by hand, which refuses this one.
        lines += ["RuntimeDirectoryPreserve=restart\n"]
    else:
        writable.append(str(folder))
    if writable:
        lines.append(f"ReadWritePaths={_quoted(writable)}\n")
    return lines


def settings_of(text: str) -> Settings | None:
    """What a unit of ours was written from; None where it is not one of ours."""
    found = re.search(r"^ExecStart=(.*)$", text, re.MULTILINE)
    if found is None:
        return None
    words = _unquoted(found[1].replace("$$", "$"))
    if "daemon" not in words:
        return None
    at = words.index("daemon")
    options = dict(zip(words[at + 1 :: 2], words[at + 2 :: 2], strict=False))
    if not {"--state-dir", "--socket", "--pool", "--local-ports"} <= options.keys():
        return None
    environment = re.search(r"^Environment=(.*)$", text, re.MULTILINE)
    assignments = _unquoted(environment[1]) if environment else []
    variables = dict(one.split("=", 1) for one in assignments if "=" in one)
    variables.pop("DOCKER_CONFIG", None)
    return Settings(
        command=tuple(words[:at]),
        state_dir=Path(options["--state-dir"]),
        socket=Path(options["--socket"]),
        pool=options["--pool"],
        local_ports=options["--local-ports"],
        environment=variables,
    )


def _quoted(words: Iterable[str]) -> str:
    """As systemd reads words: % begins a specifier, and quotes and backslashes are C's."""
    found = []
    for word in words:
        text = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
        found.append(f'"{text}"' if re.search(r"[\s\"'\\;]", word) or not word else text)
    return " ".join(found)


def _unquoted(text: str) -> list[str]:
    return [word.replace("%%", "%") for word in shlex.split(text)]
