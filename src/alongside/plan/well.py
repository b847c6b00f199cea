"""Whether a container is as it should be, and what is wrong where it is not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from alongside.domain.instance import Instance
from alongside.engine.protocol import LABEL_ORDINAL, LABEL_SERVICE, LABEL_VERSION, Container


class Kind(StrEnum):
    GONE = "gone"  # there is no container
    ENDED = "ended"
    LOST = "lost"  # it lacks a network, or its address: only a new container has them again
    CUT_OFF = "cut off"  # likewise, and the container itself does not know of it
    NEEDY = "needy"  # what it needs of its own is not well
    PAUSED = "paused"  # and is to run
    AWAKE = "awake"  # and is to be paused
    RESTARTING = "restarting"  # the engine does it
    SICK = "sick"  # by its own health check
    SHADOWED = "shadowed"  # another container has its address


@dataclass(frozen=True, slots=True)
class Ill:
    kind: Kind
    said: str  # what follows the container's name in a sentence

    @property
    def curable(self) -> bool:
        """Whether there is something to do about it."""
        return self.kind not in (Kind.RESTARTING, Kind.SICK, Kind.SHADOWED)


def ill(  # noqa: PLR0911 - the first that holds
    container: Container | None,
    networks: Mapping[str, str],
    *,
    instance: Instance | None = None,
    wanted: Literal["running", "paused"] = "running",
) -> Ill | None:
    """None where all is well. `networks`: those of the engine, name -> ID; nothing is said of a
    container's where there are none. `instance`: whose the container is, where it has a network
    and an address of its own."""
    if container is None:
        return Ill(Kind.GONE, "has no container")
    if container.state == "restarting":
        said = f"is being restarted by the engine: it exited with code {container.exit_code}"
        return Ill(Kind.RESTARTING, said)
    up = container.state in ("running", "paused")
    how = "" if up else _ended(container)
    lacks = _lacks(container, networks, instance, up=up)
    if lacks or container.state == "dead":  # which cannot be started again either
        return Ill(Kind.LOST, " and ".join(one for one in (how, lacks) if one))
    if how:
        return Ill(Kind.ENDED, how)
    if container.state == "paused":
        return Ill(Kind.PAUSED, "is paused") if wanted == "running" else None
    if wanted == "paused":
        return Ill(Kind.AWAKE, "is running, and should be paused")
    if container.health == "unhealthy":
        last = container.health_output.splitlines()[-1:]
        return Ill(Kind.SICK, f"is unhealthy{f' ({last[0]})' if last else ''}")
    return None


def _ended(container: Container) -> str:
    if container.state == "created":
        return "was never started"
    if container.oom:
        return "was killed because it ran out of memory"
    return f"has exited with code {container.exit_code}"


def _lacks(
    container: Container, networks: Mapping[str, str], instance: Instance | None, *, up: bool
) -> str:
    if not networks:
        return ""
    for name, known in container.networks.items():
        if known and networks.get(name) != known:
            return f"its network {name} was removed"
    if instance is None:
        return ""
    if instance.network not in container.networks:
        return f"is not on its network {instance.network}"
    subnet = instance.subnet
    addresses = (
        (container.ipv4.get(instance.network), subnet.address4),
        (container.ipv6.get(instance.network, subnet.address6), subnet.address6),
    )
    wrong = [str(own) for has, own in addresses if has != own]
    return f"does not have its address {wrong[0]}" if up and wrong else ""


def holder(instance: Instance, containers: Mapping[str, Container]) -> Container | None:
    """The container that has the instance's address in its place; None where it is its own, or
    where no container has it."""
    has = [
        one
        for one in containers.values()
        if instance.subnet.address4 in one.ipv4.values()
        or instance.subnet.address6 in one.ipv6.values()
    ]
    # By its labels: a singleton's is called otherwise while it is replaced.
    if any(_is_of(one, instance) for one in has):
        return None
    return has[0] if has else None


def _is_of(container: Container, instance: Instance) -> bool:
    """An image's labels are on every container of it; the ordinal is on ours alone."""
    labels = container.labels
    return (
        labels.get(LABEL_SERVICE) == instance.service
        and labels.get(LABEL_VERSION) == str(instance.version)
        and labels.get(LABEL_ORDINAL) == str(instance.ordinal)
    )
