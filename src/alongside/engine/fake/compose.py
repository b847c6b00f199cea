"""`FakeCompose`: projects on a `FakeEngine`."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from alongside.domain.errors import StepFailed
from alongside.domain.port import Protocol
from alongside.engine.buildlog import BuildLog
from alongside.engine.fake.engine import FakeEngine, Script
from alongside.engine.fake.model import load
from alongside.engine.protocol import Container, Mount, Project, Published

LABEL_PROJECT = "com.docker.compose.project"
LABEL_SERVICE = "com.docker.compose.service"

_BRIDGE_NAME = "com.docker.network.bridge.name"


class FakeCompose:
    """A `Compose` on a `FakeEngine`.

    `failing_builds`: by service, what the failing step writes. `built`: the services of each
    build, for tests that count them. `runs`: by service, what its one-off containers do (by
    default they end at once, well); `ran`: each with its project, service and command.
    """

    def __init__(self, engine: FakeEngine) -> None:
        self.engine = engine
        self.failing_builds: dict[str, Sequence[str]] = {}
        self.built: list[tuple[str, ...]] = []
        self.runs: dict[str, Script] = {}
        self.ran: list[tuple[str, str, tuple[str, ...]]] = []
        self.volumes = engine.made_volumes

    async def version(self) -> str:
        return "2.26.1"

    async def config(self, project: Project) -> Mapping[str, Any]:
        return load(project.name, project.files, project.environment)

    async def build(self, project: Project, services: Sequence[str]) -> AsyncGenerator[str, None]:
        model = load(project.name, project.files, project.environment)
        log = BuildLog()
        for number, service in enumerate(services, 1):
            for line in self._build(number, service, project, model):
                log.feed(line)
                yield line
                if line.startswith("failed"):
                    raise log.failure(services)
        self.built.append(tuple(services))

    def _build(
        self, number: int, service: str, project: Project, model: Mapping[str, Any]
    ) -> Iterable[str]:
        raw = model["services"].get(service)
        if raw is None:
            yield f"failed: no such service: {service}"
            return
        if "build" not in raw:
            return
        yield f"#{number} [{service} 1/1] RUN make"
        if service in self.failing_builds:
            yield from (f"#{number} 0.1 {line}" for line in self.failing_builds[service])
            yield f"#{number} ERROR: exit code: 1"
            yield "failed to solve: exit code: 1"
            return
        yield f"#{number} DONE 0.1s"
        context = project.directory / raw["build"]["context"]
        content = repr([(file.name, file.read_bytes()) for file in sorted(context.glob("*.*"))])
        labels = {**raw["build"].get("labels", {}), LABEL_PROJECT: project.name}
        self.engine.tag(raw.get("image") or f"{project.name}-{service}", content, labels)

    async def up(self, project: Project, services: Sequence[str]) -> None:
        await self._bring(project, services, "start")

    async def recreate(self, project: Project, services: Sequence[str]) -> None:
        model = load(project.name, project.files, project.environment)
        try:
            await self._networks(model)
            for service in services:
                name = model["services"][service].get("container_name")
                await self.engine.remove(name or f"{project.name}-{service}-1")
                await self._up(project, service, model, start=True)
        except StepFailed as error:
            raise StepFailed(
                f"Compose could not make {' and '.join(services)} anew: {error.message}",
                log=[error.message],
            ) from error

    async def create(self, project: Project, services: Sequence[str]) -> None:
        await self._bring(project, services, "make")

    async def run(
        self, project: Project, service: str, command: Sequence[str]
    ) -> AsyncGenerator[str, None]:
        model = load(project.name, project.files, project.environment)
        what = shlex.join(command) or "its own command"
        if service not in model["services"]:
            raise _run_failed(what, service, 1, [f"no such service: {service}"])
        self.ran.append((project.name, service, tuple(command)))
        name = f"{project.name}-{service}-{len(self.ran)}"
        self.engine.scripts[name] = self.runs.get(service, Script(exit_code=0))
        try:
            await self._networks(model)
            self.volumes |= {one["name"] for one in model.get("volumes", {}).values()}
            for other in _in_order([service], model["services"])[:-1]:
                await self._up(project, other, model, start=True)
            await self._up(project, service, model, start=True, once=name)
        except StepFailed as error:
            raise _run_failed(what, service, 1, [error.message]) from error
        lines = []
        try:
            log = self.engine.logs(name, tail=1000, follow=True)
            async with aclosing(log):
                async for line in log:
                    lines.append(line)
                    yield line
            ended = await self.engine.container(name)
            status = ended.exit_code if ended else 137
        finally:
            await self.engine.remove(name)
        if status != 0:
            raise _run_failed(what, service, status, lines)

    async def _bring(self, project: Project, services: Sequence[str], what: str) -> None:
        model = load(project.name, project.files, project.environment)
        for service in services:
            if service not in model["services"]:
                raise StepFailed(
                    f"Compose could not {what} {' and '.join(services)}: no such service: {service}"
                )
        try:
            await self._networks(model)
            self.volumes |= {one["name"] for one in model.get("volumes", {}).values()}
            for service in _in_order(services, model["services"]):
                await self._up(project, service, model, start=what == "start")
        except StepFailed as error:
            raise StepFailed(
                f"Compose could not {what} {' and '.join(services)}: {error.message}",
                log=[error.message],
            ) from error

    async def _networks(self, model: Mapping[str, Any]) -> None:
        there = {network.name for network in await self.engine.networks()}
        for one in model["networks"].values():
            if one.get("external") and one["name"] not in there:
                raise StepFailed(
                    f"network {one['name']} declared as external, but could not be found"
                )
            if one["name"] not in there:
                self.engine.check_forwarding(one["name"], ipv6=bool(one.get("enable_ipv6")))
                bridge = (one.get("driver_opts") or {}).get(_BRIDGE_NAME)
                self.engine.add_network(one["name"], bridge or f"br-{one['name'][:12]}")

    async def _up(
        self,
        project: Project,
        service: str,
        model: Mapping[str, Any],
        *,
        start: bool,
        once: str = "",
    ) -> None:
        raw = model["services"][service]
        name = once or raw.get("container_name") or f"{project.name}-{service}-1"
        labels = {LABEL_PROJECT: project.name, LABEL_SERVICE: service}
        there = await self.engine.container(name)
        if there is None or not _bears(there, labels):
            ipv4, ipv6 = _addresses(raw["networks"], model["networks"])
            self.engine.create(
                name,
                raw.get("image") or f"{project.name}-{service}",
                labels={**raw.get("labels", {}), **labels},
                network=model["networks"][next(iter(raw["networks"]))]["name"],
                networks=[model["networks"][one]["name"] for one in raw["networks"]],
                ipv4=ipv4,
                ipv6=ipv6,
                publishes=() if once else _publishes(name, project.name, raw.get("ports", ())),
                has_health=bool(raw.get("healthcheck")),
                mounts=_mounts(raw.get("volumes", ()), model.get("volumes", {}), project),
            )
        # Compose leaves a paused container as it is.
        if start and (there is None or there.state != "paused"):
            await self.engine.start(name)

    async def down(self, project: Project, *, volumes: bool = False) -> None:
        model = load(project.name, project.files, project.environment)
        for container in self.engine.every():
            if _bears(container, {LABEL_PROJECT: project.name}):
                await self.engine.remove(container.name)
        for one in model["networks"].values():
            if not one.get("external"):
                self.engine.remove_network(one["name"])
        if volumes:
            self.volumes -= {
                one["name"] for one in model.get("volumes", {}).values() if not one.get("external")
            }


def _run_failed(what: str, service: str, status: int, lines: list[str]) -> StepFailed:
    said = lines[-1] if lines else "it wrote nothing"
    return StepFailed(
        f"{what}, in a container of {service}, ended with exit code {status}: {said}", log=lines
    )


def _bears(container: Container, labels: Mapping[str, str]) -> bool:
    return all(container.labels.get(key) == value for key, value in labels.items())


def _in_order(services: Iterable[str], model: Mapping[str, Any]) -> list[str]:
    """Dependencies before those who depend on them, each once."""
    order: dict[str, None] = {}

    def add(service: str) -> None:
        for other in model[service].get("depends_on") or ():
            add(other)
        order[service] = None

    for service in services:
        add(service)
    return list(order)


def _addresses(
    joined: Mapping[str, Any], networks: Mapping[str, Any]
) -> tuple[dict[str, IPv4Address], dict[str, IPv6Address]]:
    wanted = {networks[name]["name"]: raw or {} for name, raw in joined.items()}
    return (
        {
            name: IPv4Address(raw["ipv4_address"])
            for name, raw in wanted.items()
            if "ipv4_address" in raw
        },
        {
            name: IPv6Address(raw["ipv6_address"])
            for name, raw in wanted.items()
            if "ipv6_address" in raw
        },
    )


def _mounts(
    raw: Iterable[Mapping[str, Any]], volumes: Mapping[str, Any], project: Project
) -> list[Mount]:
    found = []
    for one in raw:
        kind, source, writable = one["type"], one.get("source", ""), not one.get("read_only")
        if kind == "bind":
            path = str((project.directory / source).resolve())
            found.append(Mount(kind, path, one["target"], writable=writable))
        elif kind == "volume":
            name = (
                volumes[source]["name"]
                if source
                else hashlib.sha256(repr(one).encode()).hexdigest()
            )
            path = f"/nowhere/volumes/{name}/_data"
            found.append(Mount(kind, path, one["target"], name, writable))
    return sorted(found, key=lambda one: one.target)


def _publishes(name: str, project: str, ports: Iterable[Mapping[str, Any]]) -> list[Published]:
    return [
        Published(
            container=name,
            protocol=Protocol(port["protocol"]),
            address=ip_address(address),
            number=int(port["published"]),
            project=project,
        )
        for port in ports
        if "published" in port
        for address in ([port["host_ip"]] if "host_ip" in port else ["0.0.0.0", "::"])  # noqa: S104
    ]
