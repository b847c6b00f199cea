"""What the host must have. All that is missing is said at once."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from typing import NamedTuple

from alongside.domain.errors import AlongsideError
from alongside.engine.protocol import Compose

NFT = (1, 0, 2)  # the first with `comment` on chains and vmaps as we write them
COMPOSE = (2, 24, 4)  # the first with `!override`

_PACKAGES = {"nft": "nftables", "conntrack": "conntrack", "ip": "iproute2", "ss": "iproute2"}
_TABLE = """add table inet alongside_probe
add chain inet alongside_probe c { type nat hook prerouting priority -110; policy accept; }
add rule inet alongside_probe c fib daddr type local meta l4proto tcp dnat ip to 192.0.2.1:80
add rule inet alongside_probe c numgen random mod 2 0 meta l4proto udp redirect to :53
"""


class Missing(NamedTuple):
    what: str
    remedy: str


async def check(compose: Compose) -> list[Missing]:
    """Everything that is missing, each with its remedy."""
    missing = []
    if os.geteuid() != 0:
        missing.append(Missing("the rights of root", "Run the daemon as root."))
    packages = {package for program, package in _PACKAGES.items() if not shutil.which(program)}
    for package in sorted(packages):
        missing.append(Missing(f"the package {package}", f"apt install {package}."))
    if not packages and os.geteuid() == 0:
        missing += await _nft()
    missing += await _compose(compose)
    return missing


async def _nft() -> list[Missing]:
    code, out = await _run("nft", "--version")
    found = re.search(r"v(\d+)\.(\d+)\.(\d+)", out)
    if not found or tuple(map(int, found.groups())) < NFT:
        wanted = ".".join(map(str, NFT))
        return [Missing(f"nft {wanted} or later (there is {out.strip()})", "Upgrade nftables.")]
    code, out = await _run("nft", "--check", "--file", "-", given=_TABLE)
    if code != 0:
        return [
            Missing(
                f"a kernel with nf_tables and its nat, fib and numgen expressions ({out.strip()})",
                "Use the distribution's own kernel, and run outside restricted containers.",
            )
        ]
    return []


async def _compose(compose: Compose) -> list[Missing]:
    try:
        text = await compose.version()
    except AlongsideError as error:
        return [Missing(error.message.rstrip("."), error.hint)]
    numbers = tuple(int(part) for part in re.findall(r"\d+", text)[:3])
    if numbers < COMPOSE:
        wanted = ".".join(map(str, COMPOSE))
        return [Missing(f"Compose {wanted} or later (there is {text})", "Upgrade its plugin.")]
    return []


async def _run(*command: str, given: str = "") -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate(given.encode())
    return process.returncode or 0, out.decode()
