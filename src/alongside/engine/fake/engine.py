"""`FakeEngine`: containers, images and networks in memory."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from alongside.domain.errors import NotFound, StepFailed, Unavailable
from alongside.engine.protocol import (
    LABEL_SERVICE,
    NFTABLES,
    Container,
    EngineInfo,
    Event,
    Image,
    Mount,
    Network,
    Published,
)

_ARCHIVE = "an image archive of a fake"


@dataclass(frozen=True, slots=True)
class Script:
    """What a container does when it is started."""

    log: tuple[str, ...] = ()
    exit_code: int | None = None  # it ends at once; None: it runs on
    health: str = "healthy"  # what its health check comes to, if it has one


@dataclass(slots=True)
class _Entry:
    """A container, and what its inspection does not show."""

    shown: Container
    has_health: bool
    publishes: tuple[Published, ...]
    networks: dict[str, str]  # name -> ID, "" until it was first started
    ipv4: dict[str, IPv4Address]
    ipv6: dict[str, IPv6Address]
    log: list[str] = field(default_factory=list)


class FakeEngine:
    """An `Engine`. What is named and not there is refused as the real one refuses it.

    The scripts of containers that are yet to come are set by name in `scripts`, and what commands
    in them come to in `execs` (None: the command hangs). Containers have no process: their `pid`
    is 0, so that nobody takes a stranger's for theirs.
    """

    def __init__(self) -> None:
        self.scripts: dict[str, Script] = {}
        self.execs: dict[str, tuple[int, str] | None] = {}
        self.executed: list[tuple[str, tuple[str, ...]]] = []
        self.answers = True  # False: the engine is down
        self.about = EngineInfo("20.10.24", "1.41", "a fake", "/nowhere")
        self.proxy = True  # whether it runs its userland proxy
        self.forwarded = (4, 6)  # the IP versions that the host's kernel forwards
        self.made_volumes: set[str] = set()
        self._containers: dict[str, _Entry] = {}
        self._images: dict[str, Image] = {}  # by ID
        self._networks = {"bridge": Network("bridge", "bridge", "docker0", _id("bridge"))}
        self._events: list[Event] = []
        self._changed = asyncio.Event()

    # The protocol

    async def info(self) -> EngineInfo:
        self._check()
        return self.about

    async def containers(self) -> list[Container]:
        self._check()
        return [one.shown for one in self._containers.values() if LABEL_SERVICE in one.shown.labels]

    async def container(self, name: str) -> Container | None:
        self._check()
        entry = self._containers.get(name)
        return entry.shown if entry else None

    async def running(self) -> list[Container]:
        self._check()
        shown = [one.shown for one in self._containers.values()]
        return [one for one in shown if one.state in ("running", "paused", "restarting")]

    async def everything(self) -> list[Container]:
        self._check()
        return self.every()

    async def rename(self, name: str, new: str) -> None:
        self._check()
        if name not in self._containers:
            raise StepFailed(f"There is no container {name}, so it cannot be renamed.")
        if new in self._containers:
            raise StepFailed(
                f"The engine did not rename the container {name}: Conflict. The container name "
                f'"/{new}" is already in use by container "{self._containers[new].shown.id}". '
                "You have to remove (or rename) that container to be able to reuse that name."
            )
        entry = self._containers.pop(name)
        entry.shown = replace(entry.shown, name=new)
        self._containers[new] = entry
        self._emit("container", "rename", new)

    async def tag_image(self, image_id: str, reference: str) -> None:
        self._check()
        image = self._images.get(image_id)
        if image is None:
            raise StepFailed(
                f"The engine did not name the image {reference}: No such image: {image_id}"
            )
        self._give_name(image, reference)

    async def image(self, reference: str) -> Image | None:
        self._check()
        return self._image(reference)

    async def images(self) -> list[Image]:
        self._check()
        return [one for one in self._images.values() if LABEL_SERVICE in one.labels]

    async def untag(self, reference: str) -> None:
        self._check()
        image = self._image(reference)
        if image is None:
            return
        rest = tuple(tag for tag in image.tags if tag != _tagged(reference))
        if rest:
            self._images[image.id] = replace(image, tags=rest)
            return
        for entry in self._containers.values():
            if entry.shown.image_id == image.id:
                raise StepFailed(
                    f"The engine did not untag {reference}: conflict: unable to remove repository "
                    f'reference "{reference}" (must force) - container {entry.shown.id[:12]} is '
                    f"using its referenced image {image.id[7:19]}"
                )
        del self._images[image.id]
        self._emit("image", "delete", image.id)

    async def remove_image(self, image_id: str) -> None:
        self._check()
        image = self._image(image_id)
        if image is None:
            return
        for entry in self._containers.values():
            if entry.shown.image_id == image.id:
                raise StepFailed(
                    f"The engine did not remove the image {image_id}: the container "
                    f"{entry.shown.name} uses it."
                )
        del self._images[image.id]
        self._emit("image", "delete", image.id)

    async def save(self, reference: str, path: Path) -> None:
        self._check()
        image = self._image(reference)
        if image is None:
            raise StepFailed(f"There is no image {reference}, so it cannot be saved.")
        names = () if reference == image.id else (_tagged(reference),)
        archive = [_ARCHIVE, image.id, names, dict(image.labels), image.size]
        try:
            path.write_text(json.dumps(archive))
        except OSError as error:
            raise StepFailed(
                f"The engine did not save the image {reference}: {path} cannot be written: "
                f"{error.strerror}."
            ) from error

    async def load(self, path: Path) -> None:
        self._check()
        try:
            text = path.read_text()
        except OSError as error:
            raise StepFailed(
                f"The image archive {path} cannot be read: {error.strerror}."
            ) from error
        if not text.startswith(f'["{_ARCHIVE}"'):
            raise StepFailed(f"{path} is no image archive, so the engine cannot load it.")
        _, image_id, names, labels, size = json.loads(text)
        self._images.setdefault(image_id, Image(image_id, (), labels, size))
        for name in names:
            self._give_name(self._images[image_id], name)
        self._emit("image", "load", image_id)

    async def start(self, name: str) -> None:
        self._check()
        entry = self._containers.get(name)
        if entry is None:
            raise NotFound(f"There is no container {name}, so it cannot be started.")
        if entry.shown.state == "paused":
            entry.shown = replace(entry.shown, state="running")
            self._emit("container", "unpause", name)
        elif not entry.shown.running:
            self._publish(entry)
            self._run(entry)

    def check_forwarding(self, network: str, *, ipv6: bool) -> None:
        """Of a network that is made: release 29 with nftables turns nothing on itself."""
        if self.about.firewall != NFTABLES:
            return
        for version, what, settings in (
            (4, "IPv4", "sysctl net.ipv4.ip_forward=1"),
            (
                6,
                "IPv6 global",
                "sysctls net.ipv6.conf.all.forwarding=1 and net.ipv6.conf.default.forwarding=1",
            ),
        ):
            if version not in self.forwarded and (version == 4 or ipv6):
                raise StepFailed(
                    f"failed to create network {network}: Error response from daemon: {what} "
                    f"forwarding is disabled: check your host's firewalling and set {settings}, or "
                    "disable this check using daemon option --ip-forward=false"
                )

    def _publish(self, entry: _Entry) -> None:
        """As release 29 with nftables does it without the proxy, and says that it cannot."""
        if self.about.firewall != NFTABLES or self.proxy:
            return
        keys = [(one.protocol, one.number, one.address.version) for one in entry.publishes]
        for key in keys:
            if keys.count(key) > 1:
                raise StepFailed(
                    f"The engine did not start the container {entry.shown.name}: failed to set up "
                    "container networking: driver failed programming external connectivity: rule "
                    "from /go/src/port.go:236: adding rule:'… counter masquerade comment "
                    "\"MASQ TO OWN PORT\"' chain:'nat-postrouting-in__br' group:0: rule exists"
                )

    async def pause(self, name: str) -> None:
        self._check()
        entry = self._containers.get(name)
        if entry is None:
            raise NotFound(f"There is no container {name}, so it cannot be paused.")
        if entry.shown.state == "paused":
            return
        if not entry.shown.running:
            raise StepFailed(
                f"The engine did not pause the container {name}: Container {entry.shown.id} is "
                "not running"
            )
        entry.shown = replace(entry.shown, state="paused")
        self._emit("container", "pause", name)

    async def exec(self, name: str, command: Sequence[str]) -> tuple[int, str]:
        self._check()
        entry = self._containers.get(name)
        if entry is None:
            raise NotFound(f"There is no container {name}, so nothing can be run in it.")
        if not entry.shown.running:
            how = "paused" if entry.shown.state == "paused" else "not running"
            raise StepFailed(
                f"The engine did not run {command[0]} in the container {name}: Container "
                f"{entry.shown.id} is {how}"
            )
        self.executed.append((name, tuple(command)))
        answer = self.execs.get(name, (0, ""))
        if answer is None:
            await asyncio.Event().wait()
            raise AssertionError("nobody ends it but the caller")
        return answer

    async def stop(self, name: str, timeout: int = 10) -> None:
        self._check()
        entry = self._containers.get(name)
        if entry is not None and entry.shown.state in ("running", "paused"):
            self.end(name, 0)
            self._emit("container", "stop", name)

    async def remove(self, name: str) -> None:
        self._check()
        entry = self._containers.get(name)
        if entry is not None:
            if entry.shown.state in ("running", "paused"):
                self.end(name, 137)
            del self._containers[name]
            self._emit("container", "destroy", name)

    async def published(self) -> list[Published]:
        self._check()
        return [
            port
            for entry in self._containers.values()
            if entry.shown.state in ("running", "paused")
            for port in entry.publishes
        ]

    async def networks(self) -> list[Network]:
        self._check()
        return list(self._networks.values())

    async def volumes(self) -> list[str]:
        self._check()
        mounts = (mount for one in self.every() for mount in one.mounts if mount.volume)
        return sorted(self.made_volumes | {mount.volume for mount in mounts})

    async def logs(
        self, name: str, *, tail: int, follow: bool = False
    ) -> AsyncGenerator[str, None]:
        self._check()
        entry = self._containers.get(name)
        if entry is None:
            raise NotFound(f"There is no container {name}, so it has no log.")
        position = max(0, len(entry.log) - tail)
        while True:
            while position < len(entry.log):
                position += 1
                yield entry.log[position - 1]
            if not follow or entry.shown.state not in ("running", "paused"):
                return
            await self._changed.wait()
            self._check()

    def events(self) -> AsyncGenerator[Event, None]:
        return self._follow(len(self._events))

    async def _follow(self, position: int) -> AsyncGenerator[Event, None]:
        while True:
            while position < len(self._events):
                position += 1
                yield self._events[position - 1]
            self._check()
            await self._changed.wait()

    async def close(self) -> None:
        self.answers = False
        self._wake()

    # What Compose, or somebody else, does to the engine

    def tag(self, reference: str, content: str, labels: Mapping[str, str] | None = None) -> Image:
        """An image of that content under that name; whoever had the name loses it."""
        labels = dict(labels or {})
        digest = hashlib.sha256(repr((content, sorted(labels.items()))).encode()).hexdigest()
        there = self._images.get(f"sha256:{digest}")
        made = there or Image(f"sha256:{digest}", (), labels, size=len(content))
        return self._give_name(made, reference)

    def _give_name(self, image: Image, reference: str) -> Image:
        name = _tagged(reference)
        for other in list(self._images.values()):
            if name in other.tags:
                rest = tuple(tag for tag in other.tags if tag != name)
                self._images[other.id] = replace(other, tags=rest)
        there = self._images.get(image.id, image)
        self._images[image.id] = named = replace(there, tags=(*there.tags, name))
        self._emit("image", "tag", name)
        return named

    def create(
        self,
        name: str,
        image: str,
        *,
        labels: Mapping[str, str] | None = None,
        network: str = "bridge",
        networks: Iterable[str] = (),
        ipv4: Mapping[str, IPv4Address] | None = None,
        ipv6: Mapping[str, IPv6Address] | None = None,
        publishes: Iterable[Published] = (),
        has_health: bool = False,
        mounts: Iterable[Mount] = (),
    ) -> Container:
        """On `network`, and on `networks` beside it; it has its addresses while it runs. Raises
        StepFailed for a name that is taken, an image or a network that is not there."""
        self._check()
        if name in self._containers:
            raise StepFailed(
                f'Error response from daemon: Conflict. The container name "/{name}" is already '
                f'in use by container "{self._containers[name].shown.id}". You have to remove (or '
                "rename) that container to be able to reuse that name."
            )
        found = self._image(image)
        if found is None:
            raise StepFailed(f"Error response from daemon: No such image: {image}")
        joined = dict.fromkeys((network, *networks), "")
        for one in joined:
            if one not in self._networks:
                raise StepFailed(f"Error response from daemon: network {one} not found")
        container = Container(
            id=hashlib.sha256(f"{name}{len(self._events)}".encode()).hexdigest(),
            name=name,
            image_id=found.id,
            state="created",
            health="",
            exit_code=0,
            restarts=0,
            pid=0,
            started=None,
            labels={**found.labels, **(labels or {})},  # as the engine does it
            image=image,
            mounts=tuple(mounts),
            networks=joined,
        )
        self._containers[name] = _Entry(
            container, has_health, tuple(publishes), joined, dict(ipv4 or {}), dict(ipv6 or {})
        )
        self._emit("container", "create", name)
        return container

    def every(self) -> list[Container]:
        """All containers, also those that are not ours."""
        return [entry.shown for entry in self._containers.values()]

    def add_network(self, name: str, bridge: str) -> None:
        self._check()
        self._networks[name] = Network(name, "bridge", bridge, _id(f"{name}{len(self._events)}"))
        self._emit("network", "create", name)

    def remove_network(self, name: str) -> None:
        self._check()
        used = [one for one in self._containers.values() if name in one.networks]
        if any(one.shown.state in ("running", "paused") for one in used):
            raise StepFailed(f"Error response from daemon: network {name} has active endpoints")
        if self._networks.pop(name, None):
            self._emit("network", "destroy", name)

    def disconnect(self, network: str, name: str) -> None:
        """`docker network disconnect --force`: the container is not on it any more."""
        entry = self._containers[name]
        for known in (entry.networks, entry.ipv4, entry.ipv6):
            known.pop(network, None)
        self._show_networks(entry)
        self._emit("network", "disconnect", network)

    def connect(self, network: str, name: str, ipv4: IPv4Address) -> None:
        """`docker network connect --ip`, of a container that runs."""
        entry = self._containers[name]
        entry.networks[network], entry.ipv4[network] = self._networks[network].id, ipv4
        self._check_addresses(entry)
        self._show_networks(entry)
        self._emit("network", "connect", network)

    def _show_networks(self, entry: _Entry) -> None:
        up = entry.shown.state in ("running", "paused")
        entry.shown = replace(
            entry.shown,
            networks=dict(entry.networks),
            ipv4=dict(entry.ipv4) if up else {},
            ipv6=dict(entry.ipv6) if up else {},
        )

    def _check_addresses(self, entry: _Entry) -> None:
        for other in self._containers.values():
            for network, address in entry.ipv4.items():
                if other is not entry and other.shown.ipv4.get(network) == address:
                    raise StepFailed("Error response from daemon: Address already in use")

    def _join(self, entry: _Entry) -> None:
        """What the engine does to a container's networks when it starts it."""
        for name, known in entry.networks.items():
            there = self._networks.get(name)
            if there is None or known not in ("", there.id):
                raise StepFailed(f"Error response from daemon: network {known or name} not found")
            entry.networks[name] = there.id
        self._check_addresses(entry)

    # What happens to containers by itself

    def write(self, name: str, *lines: str) -> None:
        self._containers[name].log.extend(lines)
        self._wake()

    def end(self, name: str, exit_code: int) -> None:
        """The container's program ends."""
        entry = self._containers[name]
        if entry.shown.state not in ("running", "paused"):
            raise AssertionError(f"{name} is {entry.shown.state}, so it cannot end.")
        entry.shown = replace(
            entry.shown,
            state="exited",
            exit_code=exit_code,
            health="",
            finished=datetime.now(UTC),
            oom=False,
        )
        self._show_networks(entry)
        self._emit("container", "die", name, exitCode=str(exit_code))

    def crash(self, name: str, exit_code: int) -> None:
        """The program ends, and the engine's restart policy starts it again."""
        self.end(name, exit_code)
        entry = self._containers[name]
        entry.shown = replace(entry.shown, restarts=entry.shown.restarts + 1)
        self._run(entry)

    def set_health(self, name: str, health: str, output: str = "") -> None:
        entry = self._containers[name]
        entry.shown = replace(entry.shown, health=health, health_output=output)
        self._emit("container", f"health_status: {health}", name)

    def oom(self, name: str) -> None:
        """The kernel ends the program for want of memory."""
        self._emit("container", "oom", name)
        self.end(name, 137)
        entry = self._containers[name]
        entry.shown = replace(entry.shown, oom=True)

    def go_down(self) -> None:
        """The engine ends, and with it every container."""
        for name, entry in self._containers.items():
            if entry.shown.state in ("running", "paused"):
                self._emit("container", "kill", name)
                self.end(name, 137)
        self.answers = False
        self._wake()

    def come_up(self) -> None:
        self.answers = True

    def _run(self, entry: _Entry) -> None:
        script = self.scripts.get(entry.shown.name, Script())
        self._join(entry)
        entry.shown = replace(
            entry.shown,
            state="running",
            exit_code=0,
            health="starting" if entry.has_health else "",
            started=datetime.now(UTC),
        )
        self._show_networks(entry)
        entry.log.extend(script.log)
        self._emit("container", "start", entry.shown.name)
        if script.exit_code is not None:
            self.end(entry.shown.name, script.exit_code)
        elif entry.has_health and script.health != "starting":
            self.set_health(entry.shown.name, script.health)

    def _image(self, reference: str) -> Image | None:
        if reference in self._images:
            return self._images[reference]
        name = _tagged(reference)
        return next((one for one in self._images.values() if name in one.tags), None)

    def _emit(self, kind: str, action: str, name: str, **more: str) -> None:
        entry = self._containers.get(name) if kind == "container" else None
        attributes = {"name": name, **(entry.shown.labels if entry else {}), **more}
        self._events.append(Event(kind, action, name, attributes))
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _check(self) -> None:
        if not self.answers:
            raise Unavailable("The container engine does not answer: it is a fake that is down.")


def _id(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _tagged(reference: str) -> str:
    """`dns` is `dns:latest`."""
    _, _, last = reference.rpartition("/")
    return reference if ":" in last else f"{reference}:latest"
