"""The host: its kernel, its engine, its tools, who listens."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
from pathlib import Path

from alongside.doctor.facts import (
    POOL,
    EngineOptions,
    Facts,
    Failed,
    ImageProblem,
    Kernel,
    Ports,
    Space,
    StateFolder,
    Tools,
    Unseen,
    Wanted,
)
from alongside.doctor.gather.commands import run
from alongside.doctor.gather.dockerd import engine_options
from alongside.doctor.gather.firewall import firewall
from alongside.domain.errors import AlongsideError, Conflict
from alongside.engine.protocol import Compose, Engine, EngineInfo
from alongside.host.addresses import OURS, check_pool, local_addresses
from alongside.host.listeners import listeners
from alongside.host.requirements import check

_SYS = Path("/proc/sys")
_ROOT_ONLY = "only root can see it, and so can the daemon"
_CONTAINERS = (OURS, "veth", "br-", "docker")  # interfaces that no router advertises to
# linux/ipv6_route.h, linux/route.h: a default route that a router advertised
_RTF_DEFAULT, _RTF_ADDRCONF = 0x00010000, 0x00040000


def engine_host() -> str:
    """The engine that the daemon works with, if it has this process's environment."""
    return os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")


async def host_facts(
    engine: Engine,
    compose: Compose,
    engine_host: str,
    state: Path | None,
    wanted: Wanted | Unseen,
    table: bool | Unseen,
    images: tuple[ImageProblem, ...] | Unseen,
) -> Facts:
    """All that the host shows to whoever asks. Of the last three the daemon knows."""
    root = os.geteuid() == 0
    info, tools, ports, routes, rules, options = await asyncio.gather(
        _info(engine, engine_host),
        _tools(compose) if root else _unseen(_ROOT_ONLY),
        _ports(engine),
        _routes(wanted),
        firewall() if root else _unseen(_ROOT_ONLY),
        asyncio.to_thread(engine_options, engine_host),
    )
    told: EngineOptions | Unseen = options if root else Unseen(_ROOT_ONLY)
    return Facts(
        kernel=kernel(),
        tools=tools,
        engine=info,
        engine_host=engine_host,
        options=told,
        wanted=wanted,
        table=table,
        ports=ports,
        images=images,
        routes=routes,
        firewall=rules,
        space=_space(state, info),
        state=_state(state),
    )


async def _unseen(why: str) -> Unseen:
    return Unseen(why)


async def _info(engine: Engine, host: str) -> EngineInfo | Unseen:
    path = Path(host.removeprefix("unix://"))
    if path.exists() and not os.access(path, os.R_OK | os.W_OK):
        return Unseen(f"{path} is not yours to use")
    try:
        return await engine.info()
    except AlongsideError as error:
        return Failed(error.message)


async def _tools(compose: Compose) -> Tools | Unseen:
    try:
        missing = tuple(await check(compose))
    except AlongsideError as error:
        return Unseen(error.message)
    try:
        version = await compose.version()
    except AlongsideError:
        version = ""
    said = await run("docker", "buildx", "version")
    found = "" if isinstance(said, Unseen) or said.status != 0 else said.out
    numbers = re.search(r"\d+\.\d+\S*", found)
    return Tools(await _nfts(), version, numbers[0] if numbers else "", missing)


async def _nfts() -> dict[str, str]:
    """Every nft that somebody's path may find first."""
    folders = [*os.environ.get("PATH", "").split(":"), "/usr/local/sbin", "/usr/sbin", "/sbin"]
    files = {
        os.path.realpath(path)
        for folder in folders
        if folder and (path := shutil.which("nft", path=folder))
    }
    found = {}
    for file in sorted(files):
        said = await run(file, "--version")
        numbers = None if isinstance(said, Unseen) else re.search(r"\d+(\.\d+)+", said.out)
        found[file] = numbers[0] if numbers else "?"
    return found


async def _ports(engine: Engine) -> Ports | Unseen:
    try:
        heard, addresses = await asyncio.gather(listeners(), local_addresses())
    except AlongsideError as error:
        return Unseen(error.message)
    try:
        return Ports(tuple(heard), tuple(await engine.published()), addresses)
    except AlongsideError as error:
        return Ports(tuple(heard), Unseen(error.message), addresses)


async def _routes(wanted: Wanted | Unseen) -> str | Unseen:
    pool = POOL if isinstance(wanted, Unseen) else wanted.pool4
    try:
        await check_pool(pool)
    except Conflict as error:
        return error.message
    except AlongsideError as error:
        return Unseen(error.message)
    return ""


def kernel() -> Kernel:
    release = re.match(r"(\d+)\.(\d+)", os.uname().release)
    names = [
        "net.ipv4.ip_forward",
        "net.ipv6.conf.all.forwarding",
        "net.ipv6.conf.default.forwarding",
        "net.ipv6.conf.all.disable_ipv6",
        "net.ipv4.conf.all.rp_filter",
    ]
    own = [name for _, name in socket.if_nameindex() if not name.startswith(_CONTAINERS)]
    names += [f"net.ipv4.conf.{name}.rp_filter" for name in own]
    with_ipv6 = addressed(_text(Path("/proc/net/if_inet6")))  # the others take no advertisements
    names += [f"net.ipv6.conf.{name}.accept_ra" for name in own if name in with_ipv6]
    found = {name: _setting(name) for name in names}
    count, most = (_setting(f"net.netfilter.nf_conntrack_{one}") for one in ("count", "max"))
    return Kernel(
        release=tuple(int(part) for part in release.groups()) if release else (),
        settings={name: value for name, value in found.items() if value},
        advertised=advertised(_text(Path("/proc/net/ipv6_route"))),
        conntrack=(int(count), int(most)) if count and most else None,
        bridges=any(name.startswith(OURS) for _, name in socket.if_nameindex()),
    )


def addressed(addresses: str) -> list[str]:
    """The interfaces that have an IPv6 address, of /proc/net/if_inet6."""
    return list(dict.fromkeys(line.split()[5] for line in addresses.splitlines()))


def advertised(routes: str) -> tuple[str, ...]:
    """The interfaces whose default route a router advertised, of /proc/net/ipv6_route."""
    found = []
    for line in routes.splitlines():
        fields = line.split()
        flags = int(fields[8], 16)
        if fields[1] == "00" and flags & _RTF_ADDRCONF and flags & _RTF_DEFAULT:
            found.append(fields[9])
    return tuple(dict.fromkeys(found))


def _setting(name: str) -> str:
    parts = name.split(".")
    # An interface's name may hold dots: eth0.100.
    if parts[2] == "conf":
        parts = [*parts[:3], ".".join(parts[3:-1]), parts[-1]]
    return _text(_SYS.joinpath(*parts)).strip()


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # not in this kernel, or not in a namespace of it
        return ""


def _space(state: Path | None, info: EngineInfo | Unseen) -> tuple[Space, ...] | Unseen:
    places = [(state, "the state folder")] if state else []
    if not isinstance(info, Unseen):
        places.append((Path(info.root), "the engine's images and containers"))
    found = []
    for path, of in places:
        try:
            usage = shutil.disk_usage(path)
        except OSError:  # an engine's folder of another mount namespace, or not ours to see
            continue
        found.append(Space(str(path), of, usage.free, usage.total))
    return tuple(found) if found else Unseen("no folder of alongside's or the engine's is seen")


def _state(state: Path | None) -> StateFolder | Unseen:
    if state is None:
        return Unseen("the daemon is not there to say where its state folder is")
    try:
        found = state.stat()
    except OSError as error:
        return Unseen(f"{state}: {error.strerror}")
    return StateFolder(str(state), found.st_uid, found.st_mode & 0o7777)
