"""Other owners' packet rules, and who keeps them. Reads, and never writes.

`nft list chains` tells which tables have chains in the hooks that matter; those tables and no
others are read whole, iptables' own by its -save command.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal

from alongside.doctor.facts import Firewall, Unseen
from alongside.doctor.foreign import iptables, nftables
from alongside.doctor.foreign.rules import Base
from alongside.doctor.gather.commands import run
from alongside.doctor.gather.processes import named
from alongside.domain.errors import StepFailed
from alongside.host.addresses import OURS, routes
from alongside.router.table import TABLE

_HOOKS = ("prerouting", "input", "forward")
_IPTABLES = {"raw", "mangle", "nat", "filter", "security"}
_DEFAULT = 0  # the prefix length of a default route


async def firewall() -> Firewall | Unseen:
    listed = await run("nft", "-j", "list", "chains")
    if isinstance(listed, Unseen):
        return listed
    if listed.status != 0:
        return Unseen(f"nft does not list chains: {_first(listed.err, listed.status)}")
    try:
        objects = json.loads(listed.out)["nftables"]
    except ValueError:
        return Unseen("nft does not list chains in JSON")
    chains = [one["chain"] for one in objects if "chain" in one]
    tables = {
        (one["family"], one["table"])
        for one in chains
        if one.get("hook") in _HOOKS and f"{one['family']} {one['table']}" != TABLE
    }
    found = await asyncio.gather(
        *(_table(*one) for one in sorted(tables) if one[0] in ("ip", "ip6", "inet")),
        *(_legacy(family) for family in ("ip", "ip6")),
    )
    bases = [base for one in found if not isinstance(one, str) for base in one]
    return Firewall(
        bases=tuple(sorted(bases, key=lambda one: one.priority)),
        unreadable=tuple(one for one in found if isinstance(one, str)),
        uplinks=_uplinks(),
        ufw=any("ufw" in name for base in bases for name in base.chains),
        firewalld=("inet", "firewalld") in tables or bool(named("firewalld")),
    )


async def _table(family: str, table: str) -> list[Base] | str:
    """The base chains; or why they cannot be read. nft 1.0.6 may crash at a table that a newer
    one has written."""
    if family != "inet" and table in _IPTABLES:
        saved = await _saved(family, table, "iptables")
        if saved is not None:
            return await _parsed(f"{family} {table}", iptables.bases, saved, family, "iptables")
    said = await run("nft", "-j", "list", "table", family, table)
    if isinstance(said, Unseen):
        return f"{family} {table}: {said.why}"
    if said.status != 0:
        return f"{family} {table}: {_first(said.err, said.status)}"
    return await _parsed(f"{family} {table}", lambda out: nftables.bases(json.loads(out)), said.out)


async def _parsed(
    table: str, parse: Callable[..., list[Base]], *arguments: object
) -> list[Base] | str:
    """Another version may print what was never seen; that hides no other table."""
    try:
        return await asyncio.to_thread(parse, *arguments)
    except (ValueError, LookupError, TypeError) as error:
        return f"{table}: its listing is not understood ({error!r})"


async def _legacy(family: str) -> list[Base] | str:
    """Of the old iptables. Asking for a table that is not there would load its module."""
    names = Path(f"/proc/net/{'ip6' if family == 'ip6' else 'ip'}_tables_names")
    try:
        tables = names.read_text().split()
    except OSError:  # no such module, or not root
        return []
    found: list[Base] = []
    for table in sorted(_IPTABLES.intersection(tables)):
        saved = await _saved(family, table, "iptables-legacy")
        if saved is None:
            return f"{family} {table}: there is no iptables-legacy-save to read it with"
        name = f"{family} {table} (legacy)"
        parsed = await _parsed(name, iptables.bases, saved, family, "iptables-legacy")
        if isinstance(parsed, str):
            return parsed
        found += parsed
    return found


async def _saved(family: str, table: str, by: Literal["iptables", "iptables-legacy"]) -> str | None:
    """What iptables-save prints; None where there is none, or where it cannot say it all."""
    prefix = "ip6tables" if family == "ip6" else "iptables"
    kind = "legacy" if by == "iptables-legacy" else "nft"
    for command in (f"{prefix}-{kind}-save", f"{prefix}-save"):
        if shutil.which(command) is None:
            continue
        said = await run(command, "-t", table)
        if isinstance(said, Unseen) or said.status != 0 or "is incompatible" in said.out:
            continue
        # `iptables-save` alone is either; its first line says which.
        by_nft = "-nft-" in command or "(nf_tables)" in said.out.partition("\n")[0]
        if f"*{table}\n" in said.out and by_nft == (kind == "nft"):
            return said.out
    return None


def _uplinks() -> tuple[str, ...]:
    """The interfaces that default routes lead to."""
    try:
        found = routes()
    except StepFailed:
        return ()
    default = [one.interface for one in found if one.network.prefixlen == _DEFAULT]
    return _distinct(one for one in default if one and not one.startswith(OURS))


def _distinct(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _first(text: str, status: int) -> str:
    line = next((line for line in text.splitlines() if line.strip()), "")
    return line or (f"it ended by signal {-status}" if status < 0 else f"exit code {status}")
