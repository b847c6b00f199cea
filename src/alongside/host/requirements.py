"""What the host must have. All that is missing is said at once."""

from __future__ import annotations

import asyncio
import re
import shutil
import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path
from typing import NamedTuple

from alongside.domain.errors import AlongsideError
from alongside.domain.instance import Subnet
from alongside.domain.port import Port, Protocol
from alongside.domain.route import Assign
from alongside.engine.protocol import Compose
from alongside.router.compile import compile_table
from alongside.router.difference import difference
from alongside.router.netlink import NETLINK_NETFILTER, dump, open_netlink
from alongside.router.protocol import Choice, InstanceTarget, RoutedPort, Ruleset
from alongside.router.table import TABLE
from alongside.router.transaction import to_text

NFT = (1, 0, 2)  # Ubuntu 22.04's; the rules and the listing are spelled as 1.0.6 does
COMPOSE = (2, 24, 4)  # the first with `!override`

_CAP_NET_ADMIN = 12  # linux/capability.h
_CT_STATISTICS = 1 << 8 | 4  # NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_GET_STATS_CPU


class Missing(NamedTuple):
    what: str
    remedy: str


async def check(compose: Compose) -> list[Missing]:
    """Everything that is missing, each with its remedy. The engine itself is not asked: the
    daemon starts without it, keeps the routes, and waits for it."""
    rights = _rights()
    found = await asyncio.gather(_nft(privileged=not rights), _compose(compose))
    return [*rights, *found[0], *_iproute(), *([] if rights else _conntrack()), *found[1]]


def _rights() -> list[Missing]:
    status = Path("/proc/self/status").read_text()
    effective = re.search(r"^CapEff:\s*([0-9a-f]+)", status, re.MULTILINE)
    if effective and int(effective[1], 16) >> _CAP_NET_ADMIN & 1:
        return []
    return [Missing("the right to change the network (CAP_NET_ADMIN)", "Run the daemon as root.")]


async def _nft(*, privileged: bool) -> list[Missing]:
    try:
        _, out = await _run("nft", "--version")
    except FileNotFoundError:
        return [Missing("the command nft", "Install the package nftables.")]
    wanted = ".".join(map(str, NFT))
    if _numbers(out) < NFT:
        return [
            Missing(
                f"nft {wanted} or later (this is {out.strip()})",
                "Upgrade the package nftables: Debian 12 and Ubuntu 22.04 have a newer one.",
            )
        ]
    if not privileged:
        return []
    status, out = await _run("nft", "--check", "--file", "-", given=sample())
    if status == 0:
        return []
    said = next(iter(out.splitlines()), "it said nothing")
    return [
        Missing(
            f"a kernel with nf_tables as the rules need it (nft says: {said})",
            "Use the distribution's own kernel, and no container that hides it.",
        )
    ]


def _iproute() -> list[Missing]:
    if shutil.which("ip"):
        return []
    return [Missing("the command ip", "Install the package iproute2.")]


def sample() -> str:
    """Every kind of rule that the router writes, as a transaction on a table of another name,
    which is checked and never committed."""
    targets = [
        InstanceTarget(
            name=f"check@{number}",
            subnet=Subnet(
                f"al-check{number}",
                IPv4Network(f"192.0.2.{16 * number}/28"),
                IPv6Network(f"2001:db8:0:{number}::/64"),
            ),
            ipv4=IPv4Address(f"192.0.2.{16 * number + 2}"),
            ipv6=IPv6Address(f"2001:db8:0:{number}::2"),
            port=80,
            local_port=20000,
        )
        for number in (1, 2)
    ]
    choices = tuple(Choice(target, 1) for target in targets)
    ports = [
        RoutedPort(Port(protocol, 80 + number), choices[:most], assign)
        for protocol in Protocol
        for number, (most, assign) in enumerate(
            [(0, Assign.RANDOM), (1, Assign.RANDOM), (2, Assign.RANDOM), (2, Assign.CLIENT)]
        )
    ]
    ruleset = Ruleset(
        ports=tuple(ports),
        subnets=tuple(target.subnet for target in targets),
        container_bridges=frozenset(target.subnet.bridge for target in targets),
    )
    text = to_text(difference(None, compile_table(ruleset)))
    return text.replace(f" {TABLE} ", f" {TABLE}_check ").replace(
        f" {TABLE}\n", f" {TABLE}_check\n"
    )


def _conntrack() -> list[Missing]:
    try:
        with open_netlink(NETLINK_NETFILTER) as channel:
            for _ in dump(channel, _CT_STATISTICS, bytes((socket.AF_UNSPEC, 0, 0, 0))):
                pass
    except (OSError, AlongsideError) as error:
        return [
            Missing(
                f"connection tracking over netlink ({error})",
                "Load its kernel module: modprobe nf_conntrack_netlink",
            )
        ]
    return []


async def _compose(compose: Compose) -> list[Missing]:
    try:
        text = await compose.version()
    except AlongsideError as error:
        said = error.message.rstrip(".")
        return [Missing(said[:1].lower() + said[1:], error.hint)]
    if _numbers(text) < COMPOSE:
        wanted = ".".join(map(str, COMPOSE))
        return [
            Missing(
                f"Compose {wanted} or later (this is {text})",
                "Upgrade the package docker-compose-v2 (Ubuntu), docker-compose (Debian 13) or "
                "docker-compose-plugin (Docker's own).",
            )
        ]
    return []


def _numbers(text: str) -> tuple[int, ...]:
    """`nftables v1.0.6 (Lester Gooch #5)`, `2.26.1-4` -> the first three numbers."""
    found = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    return tuple(int(number or 0) for number in found.groups()) if found else ()


async def _run(*command: str, given: str = "") -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate(given.encode())
    return process.returncode or 0, out.decode(errors="replace")
