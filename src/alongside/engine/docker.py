"""The Engine protocol on a Docker engine, through its API."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from alongside.domain.errors import (
    AlongsideError,
    InvalidInput,
    NotFound,
    StepFailed,
    Unavailable,
)
from alongside.engine import archives, wire
from alongside.engine.inside import end_process
from alongside.engine.logs import Tail, demultiplex, undivided
from alongside.engine.protocol import (
    LABEL_SERVICE,
    Container,
    EngineInfo,
    Event,
    Image,
    Network,
    Published,
)

if TYPE_CHECKING:
    from aiodocker import Docker
    from aiodocker.execs import Exec
    from aiohttp import ClientTimeout

T = TypeVar("T")

# The newest API that this module's reading of the answers was checked against. An engine that
# speaks a newer one is asked in this; an older one in its own (engine 20.10: 1.41).
NEWEST_API = (1, 51)

CONNECT = 5.0  # seconds
WRITTEN = 4096  # characters of a command's output that are kept
ANSWER = 60.0  # seconds; an engine under load takes its time to start a container

_OURS = {"label": [LABEL_SERVICE]}
_RECALLS = 1.0  # seconds from asking for events in which it sends those of before
_SKEW = 0.1  # seconds between two readings of the host's clock, at the most
_ENDING = 2.0  # seconds to end a command whose caller has gone
_CHUNK = 64 * 1024  # bytes
_REFUSED_CONNECTION = 900  # aiodocker's own status: there was no answer


class DockerEngine:
    """An `Engine`. `host` is as in DOCKER_HOST: `unix:///var/run/docker.sock`.

    Nothing is imported or connected before the first question: aiodocker takes 170 ms.
    """

    def __init__(self, host: str) -> None:
        if not host.startswith(("unix://", "tcp://", "http://")):
            raise InvalidInput(
                f"{host!r} (DOCKER_HOST) is no engine that alongside can work with.",
                hint="It must be an engine of this very host: unix:///var/run/docker.sock",
            )
        self.host = host
        self._client: Docker | None = None
        self._negotiated = False

    async def info(self) -> EngineInfo:
        found = await self._ask("say what it is", lambda docker: docker.system.info())
        client = await self._connected()
        return wire.engine(found, client.api_version.removeprefix("v"))

    async def containers(self) -> list[Container]:
        return await self._listed(all=True, filters=_OURS)

    async def container(self, name: str) -> Container | None:
        found = await self._named(name)
        return None if found is None else wire.container(found)

    async def running(self) -> list[Container]:
        return await self._listed()

    async def everything(self) -> list[Container]:
        return await self._listed(all=True)

    async def rename(self, name: str, new: str) -> None:
        found = await self._named(name)
        if found is None:
            raise StepFailed(f"There is no container {name}, so it cannot be renamed.")
        there = found["Id"]
        await self._ask(
            f"rename the container {name}",
            lambda docker: docker.containers.container(there).rename(new),
        )

    async def tag_image(self, image_id: str, reference: str) -> None:
        repository, _, tag = reference.rpartition(":")
        await self._ask(
            f"name the image {reference}",
            lambda docker: docker.images.tag(image_id, repository, tag=tag),
        )

    async def image(self, reference: str) -> Image | None:
        found = await self._find(
            f"look at the image {reference}", lambda docker: docker.images.inspect(reference)
        )
        return None if found is None else wire.image(found)

    async def images(self) -> list[Image]:
        listed = await self._ask("list images", lambda docker: docker.images.list(filters=_OURS))
        return [wire.listed_image(one) for one in listed]

    async def untag(self, reference: str) -> None:
        await self._find(f"untag {reference}", lambda docker: docker.images.delete(reference))

    async def remove_image(self, image_id: str) -> None:
        found = await self.image(image_id)
        if found is None:
            return
        what = f"remove the image {image_id}"
        # All at first: once the first names are off, it is too late to see that it is used.
        listed = await self._ask("list containers", lambda docker: docker.containers.list(all=True))
        for one in listed:
            if one["ImageID"] == found.id:
                name = min(one["Names"], key=len).removeprefix("/")
                raise StepFailed(f"The engine did not {what}: the container {name} uses it.")
        taken: list[str] = []
        try:
            for name in found.tags:
                await self.untag(name)
                taken.append(name)
            # With its last name it is gone, unless it had none.
            await self._find(what, lambda docker: docker.images.delete(found.id))
        except StepFailed:
            for name in taken:
                if await self.image(found.id) is not None:
                    await self.tag_image(found.id, name)
            raise

    async def save(self, reference: str, path: Path) -> None:
        what = f"save the image {reference}"
        if await self.image(reference) is None:
            raise StepFailed(f"There is no image {reference}, so it cannot be saved.")
        chunks = self._stream(what, f"images/{reference}/get")
        async with aclosing(chunks):
            await archives.keep(chunks, path, what)

    async def load(self, path: Path) -> None:
        with await asyncio.to_thread(archives.open_archive, path) as archive:
            what = f"load the image archive {path}"
            chunks = self._stream(what, "images/load", {"quiet": "1"}, send=archive)
            lines = undivided(chunks)
            async with aclosing(chunks), aclosing(lines):
                async for line in lines:
                    if said := archives.failure(line):
                        raise StepFailed(f"The engine did not {what}: {said}")

    async def start(self, name: str) -> None:
        found = await self._named(name)
        if found is None:
            raise NotFound(f"There is no container {name}, so it cannot be started.")
        there, paused = found["Id"], found["State"]["Status"] == "paused"

        async def start(docker: Docker) -> None:
            container = docker.containers.container(there)
            # The engine refuses to start a paused container.
            await (container.unpause() if paused else container.start())

        await self._ask(f"start the container {name}", start)

    async def pause(self, name: str) -> None:
        found = await self._named(name)
        if found is None:
            raise NotFound(f"There is no container {name}, so it cannot be paused.")
        if found["State"]["Status"] == "paused":
            return
        there = found["Id"]
        await self._ask(
            f"pause the container {name}",
            lambda docker: docker.containers.container(there).pause(),
        )

    async def exec(self, name: str, command: Sequence[str]) -> tuple[int, str]:
        what = f"run {command[0]} in the container {name}"
        found = await self._named(name)
        made: Exec | None = None
        if found is not None:
            there = found["Id"]
            made = await self._find(
                what, lambda docker: docker.containers.container(there).exec(command)
            )
        if found is None or made is None:
            raise NotFound(f"There is no container {name}, so nothing can be run in it.")
        tail = Tail(WRITTEN)
        chunks = self._stream(what, f"exec/{made.id}/start", begin={"Detach": False, "Tty": False})
        lines = demultiplex(chunks)
        try:
            async with aclosing(chunks), aclosing(lines):
                async for line in lines:
                    tail.feed(line)
            return await self._exit_code(what, made), str(tail)
        except BaseException:
            with suppress(AlongsideError, TimeoutError):
                async with asyncio.timeout(_ENDING):
                    await self._end(what, made, found["Id"])
            raise

    async def _exit_code(self, what: str, made: Exec) -> int:
        """It is there when the output ends, or a moment later."""
        for pause in (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0):
            await asyncio.sleep(pause)
            code = (await self._ask(what, lambda _: made.inspect()))["ExitCode"]
            if code is not None:
                return int(code)
        raise StepFailed(f"The engine did not {what}: it does not say how that ended.")

    async def _end(self, what: str, made: Exec, container_id: str) -> None:
        """End the command, also one that the engine is only about to start."""
        for pause in (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5):
            await asyncio.sleep(pause)
            seen = await self._ask(what, lambda _: made.inspect())
            if seen["ExitCode"] is None and seen["Pid"]:
                end_process(seen["Pid"], container_id)
            if seen["ExitCode"] is not None or seen["Pid"]:
                break

    async def stop(self, name: str, timeout: int = 10) -> None:
        found = await self._named(name)
        if found is None:
            return
        there, patience = found["Id"], _client_timeout(ANSWER + timeout)
        await self._find(
            f"stop the container {name}",
            lambda docker: docker.containers.container(there).stop(t=timeout, timeout=patience),
        )

    async def remove(self, name: str) -> None:
        found = await self._named(name)
        if found is None:
            return
        there = found["Id"]
        await self._find(
            f"remove the container {name}",
            lambda docker: docker.containers.container(there).delete(force=True, v=True),
        )

    async def published(self) -> list[Published]:
        listed = await self._ask("list containers", lambda docker: docker.containers.list())
        return [port for one in listed for port in wire.published(one)]

    async def networks(self) -> list[Network]:
        listed = await self._ask("list networks", lambda docker: docker.networks.list())
        return [wire.network(one) for one in listed]

    async def volumes(self) -> list[str]:
        found: Mapping[str, Any] = await self._ask(
            "list volumes",
            lambda docker: docker.volumes.list(),  # type: ignore[no-untyped-call]
        )
        return [one["Name"] for one in found.get("Volumes") or ()]

    async def logs(
        self, name: str, *, tail: int, follow: bool = False
    ) -> AsyncGenerator[str, None]:
        found = await self._named(name)
        if found is None:
            raise NotFound(f"There is no container {name}, so it has no log.")
        asked = {"stdout": "1", "stderr": "1", "tail": str(tail), "follow": str(int(follow))}
        chunks = self._stream(f"read the log of {name}", f"containers/{found['Id']}/logs", asked)
        # Only engines from 23 on say in the answer's type whether it is in frames.
        lines = undivided(chunks) if found["Config"]["Tty"] else demultiplex(chunks)
        async with aclosing(chunks), aclosing(lines):
            async for line in lines:
                yield line

    def events(self) -> AsyncGenerator[Event, None]:
        """Events since the call itself, however late the first one is waited for."""
        return self._events(time.monotonic())

    async def _events(self, called: float) -> AsyncGenerator[Event, None]:
        """What the engine still has in mind of before it sends by its time of day. A clock that
        was set back has left it with events of the future there: what ended an hour ago, by the
        old time, would seem to end now."""
        asked_at = time.monotonic()
        since = time.time() - (asked_at - called)
        kinds = {"type": ["container", "image", "network"]}
        asked = {"since": f"{since:.9f}", "filters": json.dumps(kinds)}
        chunks = self._stream("send events", "events", asked)
        lines = undivided(chunks)
        async with aclosing(chunks), aclosing(lines):
            async for line in lines:
                recalled = time.monotonic() - asked_at < _RECALLS
                if not recalled or wire.moment(line) <= time.time() + _SKEW:
                    yield wire.event(line)

    async def close(self) -> None:
        client, self._client, self._negotiated = self._client, None, False
        if client is not None:
            await client.close()

    async def _listed(self, **asked: Any) -> list[Container]:
        # Health, exit code and restarts are not in the list.
        listed = await self._ask("list containers", lambda docker: docker.containers.list(**asked))
        found = await asyncio.gather(*(self._inspect(one.id) for one in listed))
        return [wire.container(one) for one in found if one is not None]

    async def _named(self, name: str) -> dict[str, Any] | None:
        """The container of exactly that name; the engine takes the beginning of an ID too."""
        found = await self._inspect(name)
        return found if found is not None and found["Name"] == f"/{name}" else None

    async def _inspect(self, name: str) -> dict[str, Any] | None:
        return await self._find(
            f"look at the container {name}",
            lambda docker: docker.containers.container(name).show(),
        )

    async def _find(self, what: str, call: Callable[[Docker], Awaitable[T]]) -> T | None:
        """None is the API's 404 and nothing else."""
        try:
            return await self._ask(what, call)
        except _Missing:
            return None

    async def _ask(self, what: str, call: Callable[[Docker], Awaitable[T]]) -> T:
        from aiodocker import DockerError  # noqa: PLC0415 - 170 ms, for the daemon alone
        from aiohttp import ClientError  # noqa: PLC0415

        try:
            return await call(await self._connected())
        except DockerError as error:
            if error.status == _REFUSED_CONNECTION:
                raise self._unavailable(error.message) from error
            kind = _Missing if error.status == 404 else StepFailed
            raise kind(f"The engine did not {what}: {error.message.strip()}") from error
        except TimeoutError as error:
            raise self._unavailable(f"it did not {what} in {ANSWER:g} s") from error
        except (ClientError, OSError) as error:
            raise self._unavailable(str(error)) from error

    async def _stream(
        self,
        what: str,
        path: str,
        asked: Mapping[str, str] | None = None,
        *,
        begin: Mapping[str, Any] | None = None,
        send: BinaryIO | None = None,
    ) -> AsyncGenerator[bytes, None]:
        """The body of an answer as it comes; `begin` (as JSON) or `send` is what it is asked with.

        aiodocker's own streams leave the connection open when their reader is cancelled, so this
        goes to its session directly.
        """
        from aiohttp import ClientError  # noqa: PLC0415

        client = await self._connected()
        url = f"{client.docker_host}/{client.api_version}/{path}"
        try:
            async with client.session.request(
                "GET" if begin is None and send is None else "POST",
                url,
                params=asked,
                json=begin,
                data=send,
                timeout=_client_timeout(None),
            ) as got:
                if got.status != 200:
                    said = (await got.json()).get("message", "")
                    raise StepFailed(f"The engine did not {what}: {said}")
                async for chunk in got.content.iter_chunked(_CHUNK):
                    yield chunk
        except (ClientError, OSError) as error:
            raise self._unavailable(str(error)) from error

    async def _connected(self) -> Docker:
        """The client, speaking the newest API that both sides know."""
        from aiodocker import Docker  # noqa: PLC0415

        if self._client is None:
            self._client = Docker(url=self.host, timeout=_client_timeout(ANSWER))
        if not self._negotiated:
            await self._negotiate(self._client)
        return self._client

    async def _negotiate(self, client: Docker) -> None:
        from aiohttp import ClientError  # noqa: PLC0415

        try:
            async with client.session.get(f"{client.docker_host}/_ping") as answer:
                offered = answer.headers.get("Api-Version", "")
                if answer.status != 200 or not offered:
                    raise self._unavailable(f"its answer is {answer.status} {answer.reason}")
        except TimeoutError as error:
            raise self._unavailable(f"no answer in {ANSWER:g} s") from error
        except (ClientError, OSError) as error:
            raise self._unavailable(str(error)) from error
        major, minor = min(NEWEST_API, tuple(int(part) for part in offered.split(".")))
        client.api_version = f"v{major}.{minor}"
        self._negotiated = True

    def _unavailable(self, why: str) -> Unavailable:
        self._negotiated = False  # another engine may answer next
        return Unavailable(
            f"The container engine at {self.host} does not answer: {why}.",
            hint="Is it running? `systemctl status docker` says; DOCKER_HOST names another.",
        )


class _Missing(StepFailed):
    """The API's status 404."""


def _client_timeout(total: float | None) -> ClientTimeout:
    from aiohttp import ClientTimeout  # noqa: PLC0415

    return ClientTimeout(total=total, sock_connect=CONNECT)
