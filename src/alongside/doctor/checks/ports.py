"""Who else has the public ports, the local ports, and the addresses."""

from __future__ import annotations

from collections.abc import Iterator

from alongside.doctor.facts import POOL, Facts, Unseen, seen
from alongside.doctor.finding import Finding, Seen, problem, warning
from alongside.domain.port import Port
from alongside.host.listeners import Listener, holders
from alongside.router.protocol import AddressTarget, HostTarget, RoutedPort

# The engine's own. With its proxy off dockerd holds the sockets; engine 28 makes them and hands
# them to the proxy.
_ENGINE = ("docker-proxy", "dockerd")


def shadowed(facts: Facts) -> Seen:
    """Programs that listen on a public port and get nothing of it."""
    ports, routed = seen(facts.ports), seen(facts.wanted).ruleset.ports
    found = []
    for one in routed:
        for listener in holders(one.port, ports.listeners, ports.addresses):
            if listener.program not in _ENGINE and not _is_target(one, listener):
                found.append(_shadowed(one, listener))
    return Seen.of(found, f"nobody else listens on {_count(len(routed), 'public port')}")


def _shadowed(routed: RoutedPort, listener: Listener) -> Finding:
    program = listener.program or "a program"
    stop = f"kill {listener.pid}"
    return warning(
        f"{program} (pid {listener.pid}) listens on {_where(listener)}, and {routed.port} goes to "
        f"{_names(routed)}.",
        f"What comes for the port reaches {_names(routed)}; {program} gets none of it.",
        f"Stop {program}, have it listen elsewhere, or take the port back from the service.",
        f"systemctl status {listener.pid}  # which service it is of",
        f"{stop}  # where it is of none",
        *(f"alongside deactivate {service}" for service in _services(routed)),
    )


def published(facts: Facts) -> Seen:
    """Containers that publish a public port by the engine."""
    ports = seen(facts.ports)
    routed = seen(facts.wanted).ruleset.ports
    found = []
    for one in routed:
        for other in seen(ports.published):
            address = None if other.address.is_unspecified else other.address
            if Port(other.protocol, other.number, address).overlaps(one.port):
                where = f" of the Compose project {other.project}" if other.project else ""
                found.append(
                    warning(
                        f"The container {other.container}{where} publishes {one.port}, which goes "
                        f"to {_names(one)}.",
                        f"What comes for the port reaches {_names(one)}; {other.container} gets "
                        "none of it.",
                        "Stop the container, or publish another port.",
                        f"docker stop {other.container}",
                    )
                )
    once = list(dict.fromkeys(found))
    return Seen.of(once, f"no container publishes {_count(len(routed), 'public port')}")


def local_ports(facts: Facts) -> Seen:
    """Others on the local ports of instances: probes and people would reach them instead."""
    ports, instances = seen(facts.ports), seen(facts.wanted).instances
    owners = {local: one for one in instances if not one.on_host for local in one.local_ports}
    found = []
    for listener in ports.listeners:
        owner = owners.get((listener.protocol.value, listener.number))
        if owner is not None and listener.program not in (*_ENGINE, ""):
            found.append(
                problem(
                    f"{listener.program} (pid {listener.pid}) listens on {_where(listener)}, the "
                    f"local port of {owner.reference}.",
                    f"{owner.name} cannot start while it does; its public ports do not answer on "
                    "127.0.0.1 and not to containers.",
                    f"Have {listener.program} listen elsewhere, then start the instance anew.",
                    f"systemctl status {listener.pid}  # which service it is of",
                    f"alongside up {owner.reference}",
                )
            )
    return Seen.of(found, f"{_count(len(owners), 'local port')}, and nobody else on them")


def pool(facts: Facts) -> Seen:
    """The instances' addresses, and the engine's own for other networks."""
    found = list(_pool(facts))
    wanted = facts.wanted
    name = POOL if isinstance(wanted, Unseen) else wanted.pool4
    return Seen.of(found, f"{name} is alongside's alone")


def _pool(facts: Facts) -> Iterator[Finding]:
    overlap = seen(facts.routes)
    another = "alongside daemon --pool 10.214.0.0/16  # or another that is free"
    if overlap:
        yield problem(
            overlap,
            "Instances get addresses that lead elsewhere: what comes for their ports may not "
            "reach them.",
            "Give the daemon another pool; instances that are there keep their addresses until "
            "`alongside rm` and `alongside up`.",
            another,
        )
    if isinstance(facts.engine, Unseen) or isinstance(facts.wanted, Unseen):
        return
    for one in facts.engine.pools:
        if one.overlaps(facts.wanted.pool4):
            yield warning(
                f"The engine's default-address-pools hold {one}, and alongside's pool is "
                f"{facts.wanted.pool4}.",
                "The engine may give another network an address range that an instance is to "
                "have; that instance does not start then.",
                "Keep them apart: change either.",
                another,
            )


def _is_target(routed: RoutedPort, listener: Listener) -> bool:
    """An assigned port may lead to the same number on this host."""
    return any(
        isinstance(choice.target, HostTarget | AddressTarget)
        and choice.target.port == listener.number
        for choice in routed.choices
    )


def _services(routed: RoutedPort) -> list[str]:
    names = (choice.target.name for choice in routed.choices if "@" in choice.target.name)
    return list(dict.fromkeys(name.partition("@")[0] for name in names))


def _names(routed: RoutedPort) -> str:
    return ", ".join(choice.target.name for choice in routed.choices) or "nobody, by its route"


def _where(listener: Listener) -> str:
    address = listener.address
    where = "" if address is None else f"[{address}]:" if address.version == 6 else f"{address}:"
    return f"{where}{listener.number}/{listener.protocol}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
