"""`alongside daemon`: put the parts together, restore, serve, and stop without a trace of harm."""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import logging
import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alongside.daemon.alone import alone
from alongside.daemon.context import Context
from alongside.daemon.guard import STATE, Guard, Waiting
from alongside.daemon.notify import notify
from alongside.daemon.opening import Opened, open_state
from alongside.daemon.parts import attach
from alongside.daemon.paths import StatePaths
from alongside.daemon.reconciler import Reconciler
from alongside.daemon.reopening import Reopening
from alongside.daemon.watchdog import watchdog
from alongside.domain.errors import Conflict, InvalidInput, MissingRequirement, Unavailable
from alongside.engine.compose import DockerCompose
from alongside.engine.docker import DockerEngine
from alongside.host.addresses import check_pool, has_ipv6
from alongside.host.requirements import check
from alongside.plan.observed import Pool
from alongside.router.nft import NftRouter
from alongside.router.watch import changes
from alongside.store.database import Database

if TYPE_CHECKING:
    import socket as sockets

    import uvicorn

    from alongside.daemon.operations import Operations

    _Loaded = tuple[
        Callable[[Path], sockets.socket], Callable[[Context, Operations], uvicorn.Server]
    ]

GRACE = 15  # seconds for what is being answered while the state is opened anew

_log = logging.getLogger("alongside")


def run(state_dir: Path, socket: Path, pool: str, local_ports: str) -> None:
    """Serve until SIGTERM or SIGINT. Raises MissingRequirement with all that is missing,
    Conflict where another daemon runs on this host, or has the state folder or the socket,
    InvalidInput."""
    # The journal has the time already.
    time = "" if "JOURNAL_STREAM" in os.environ else "%(asctime)s "
    logging.basicConfig(format=f"{time}%(levelname)s %(message)s", level=logging.INFO)
    logging.getLogger("uvicorn.access").setLevel(logging.WARNING)
    faulthandler.enable()  # where it hung, when the watchdog's SIGABRT ends it
    asyncio.run(_main(StatePaths(state_dir.resolve()), socket, pool, local_ports))


async def _main(paths: StatePaths, socket: Path, pool: str, local_ports: str) -> None:
    loading = asyncio.create_task(asyncio.to_thread(_load))
    docker_host = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    compose = DockerCompose(docker_host)
    missing = await check(compose)
    if missing:
        raise MissingRequirement(
            "This host lacks what alongside needs: " + "; ".join(one.what for one in missing) + ".",
            hint=" ".join(one.remedy for one in missing),
        )
    async with alone(paths, socket):  # before anything is written
        _make_folders(paths)
        listener = _Listener(socket, loading)
        reopening: Reopening | None = Reopening()
        while reopening is not None:
            engine, router = DockerEngine(docker_host), NftRouter()
            opened = await open_state(paths, engine, router, reopening.salvaged)
            context = Context(
                paths=paths,
                pool=_pool(opened.database, pool, local_ports),
                database=opened.database,
                engine=engine,
                compose=compose,
                router=router,
                socket=str(socket),
                ipv6=await has_ipv6(),
                lost=opened.lost,
            )
            attach(context)
            if not context.ipv6:
                _log.info("IPv6 is off on this host: instances have IPv4 addresses alone")
            reopening = await _serve(context, opened, listener)
        socket.unlink(missing_ok=True)


class _Listener:
    """The socket, for as long as the daemon runs: who asks while the state is opened anew waits
    for the answer."""

    def __init__(self, path: Path, loading: Awaitable[_Loaded]) -> None:
        self._path = path
        self._loading = loading
        self._listener: sockets.socket | None = None

    async def server(self, context: Context) -> tuple[uvicorn.Server, sockets.socket]:
        """The server, and its own handle of the socket, which it closes."""
        bind, server = await self._loading
        if self._listener is None:
            self._listener = bind(self._path)
        return server(context, context.operations), self._listener.dup()


def _make_folders(paths: StatePaths) -> None:
    """Raises Unavailable where there is no state folder and none can be made."""
    try:
        paths.make()
    except OSError as error:
        if not paths.root.is_dir():
            raise Unavailable(
                f"The state folder {paths.root} cannot be made: {error.strerror}.",
                hint="Is its disk mounted, and may it be written?",
            ) from error
        _log.warning("the state folder %s is not as it should be: %s", paths.root, error)


async def _check_pool(context: Context) -> None:
    """A pool that overlaps another network is refused while nothing is given out of it; a route
    that comes later is a problem to show, and no reason to stay down."""
    try:
        await check_pool(context.pool.ipv4)
    except Conflict as error:
        if not context.instances.all():
            raise
        context.problems["pool"] = f"{error.message} {error.hint}"


def _load() -> _Loaded:
    """While nft works, Compose says its version, and the routes are restored."""
    from alongside.daemon.peers import bind  # noqa: PLC0415 -- late, and in a thread
    from alongside.daemon.server import server  # noqa: PLC0415

    return bind, server


async def _serve(context: Context, opened: Opened, listener: _Listener) -> Reopening | None:
    """Until it is to end, or its state to be opened anew: then how."""
    operations = context.operations
    why = opened.lost or opened.unwritable
    operations.refusal = context.database.refusal
    if why:
        context.problems[STATE] = why
        _log.error("%s", why)
    if opened.lost:
        work = context.supervisor.run([Waiting(context).part()])
    elif opened.unwritable:
        reconciler = Reconciler(context, changes)
        await reconciler.restore()
        work = reconciler.hold(Waiting(context).part())
    else:
        await _check_pool(context)
        reconciler = Reconciler(context, changes)
        reconciler.settle()
        await reconciler.restore()
        work = reconciler.run(Guard(context).part())
    serving, handle = await listener.server(context)
    # What is there by now stays: garbage is looked for among what comes.
    gc.freeze()
    gc.enable()
    async with (
        _background(watchdog(context.supervisor)),
        _background(work),
        _background(_end_when_asked(context.reopening, serving)),
    ):
        _log.info("listening on %s, state in %s", context.socket, context.paths.root)
        notify("READY=1")  # `systemctl start` returns once we answer
        await serving.serve(sockets=[handle])
    # The table stays: traffic flows while the daemon is down.
    await operations.cancel()
    await context.watcher.close()
    background = list(context.background)
    for task in background:
        task.cancel()
    # They take back what they had begun, which needs the engine and the state.
    await asyncio.gather(*background, return_exceptions=True)
    await context.engine.close()
    context.database.close()
    return context.reopening if context.reopening.asked.is_set() else None


async def _end_when_asked(reopening: Reopening, serving: uvicorn.Server) -> None:
    await reopening.asked.wait()
    # Nobody is in a hurry, as they are at the end of a daemon: who asks is answered.
    serving.config.timeout_graceful_shutdown = GRACE
    serving.should_exit = True


@asynccontextmanager
async def _background(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def _pool(database: Database, pool: str, local_ports: str) -> Pool:
    """The pool; its IPv6 half is a ULA prefix of this host's own, made once (RFC 4193)."""
    try:
        ipv4 = IPv4Network(pool)
        first, last = (int(number) for number in local_ports.split("-"))
    except ValueError:
        raise InvalidInput(
            f"--pool {pool} and --local-ports {local_ports} cannot be meant.",
            hint="For example: --pool 10.213.0.0/16 --local-ports 20000-29999",
        ) from None
    if not 1 <= first < last <= 65535:
        raise InvalidInput(f"--local-ports {local_ports} is not a range of port numbers.")
    if ipv4.prefixlen > 24:
        raise InvalidInput(f"--pool {pool} is too small.", hint="A /24 holds 16 instances.")
    prefix = f"fd{secrets.token_hex(5)}"
    ula = database.setting("ula", f"{prefix[:4]}:{prefix[4:8]}:{prefix[8:]}::/48")
    return Pool(ipv4, IPv6Network(ula), range(first, last + 1))
