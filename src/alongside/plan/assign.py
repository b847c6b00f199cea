"""Giving public ports to what is no version of a service, and taking them back."""

from __future__ import annotations

from collections.abc import Sequence

from alongside.domain.assignment import Assignment
from alongside.domain.errors import Conflict, PortTaken
from alongside.domain.port import Port, Protocol
from alongside.plan.observed import Observed
from alongside.plan.steps import CleanUdp, Plan, RecordAssignments, Step, Switch


def plan_assign(wanted: Sequence[Assignment], observed: Observed, *, take: bool = False) -> Plan:
    """Raises Conflict, PortTaken; and then nothing has been touched."""
    ports = [one.port for one in wanted]
    for port in ports:
        for route in observed.routes:
            if route.port.overlaps(port):
                raise Conflict(
                    f"{port} belongs to the service {route.service}"
                    f"{'' if route.port == port else f', as {route.port}'}.",
                    hint=f"Take it from there first: alongside deactivate {route.service}",
                )
    seen = _of(ports, observed)
    had = {one.port for one in seen}
    held = [one for one in observed.holders if one.wanted not in had]
    if held and not take:
        names = "; ".join(f"{one.port} is held by {one.program}" for one in held)
        raise PortTaken(
            f"{_list(ports)} cannot be assigned: {names}.",
            hint="Stop that program, or say --take: new connections then go where the port is "
            "assigned to, and what listens there now gets no more of them.",
        )
    name, before, after = _list(ports), _targets(seen), _targets(wanted)
    notes = [note for one in wanted for note in _listening(one, observed)]
    if set(seen) == set(wanted):
        return Plan(
            "assign", name, before, after, reason=f"{name} goes to {after} already.", notes=notes
        )
    steps = _change(ports, tuple(wanted), seen)
    return Plan("assign", name, before, after, steps=steps, notes=notes)


def plan_unassign(ports: Sequence[Port], observed: Observed) -> Plan:
    """Raises Conflict for a port that a service has."""
    seen = _of(ports, observed)
    name = _list(ports)
    if not seen:
        for route in observed.routes:
            if route.port in ports:
                raise Conflict(
                    f"{route.port} is not assigned; the service {route.service} has it.",
                    hint=f"alongside deactivate {route.service}",
                )
        return Plan(
            "unassign", name, "", "", reason=f"{name} is not assigned; nothing was changed."
        )
    return Plan("unassign", name, _targets(seen), "", steps=_change(ports, (), seen))


def _change(
    ports: Sequence[Port], wanted: tuple[Assignment, ...], seen: tuple[Assignment, ...]
) -> list[Step]:
    steps: list[Step] = [RecordAssignments(tuple(ports), wanted, seen), Switch()]
    if any(port.protocol is Protocol.UDP for port in ports):
        kept = {one.port for one in wanted}
        steps.append(CleanUdp(tuple(port for port in ports if port not in kept)))
    return steps


def _of(ports: Sequence[Port], observed: Observed) -> tuple[Assignment, ...]:
    return tuple(one for one in observed.assignments if one.port in ports)


def _listening(one: Assignment, observed: Observed) -> list[str]:
    if one.address is not None and not one.on_host:
        return []  # in another network, which is not looked into
    heard = observed.listening.get((one.port.protocol, one.number))
    if heard is None:
        return [f"Nothing listens on {one.number}/{one.port.protocol} on this host now."]
    if heard == "loopback":
        return [
            f"What listens on {one.number}/{one.port.protocol} does so on loopback alone: it "
            "answers this host, and no other machine."
        ]
    return []


def _list(ports: Sequence[Port]) -> str:
    """`80/tcp`, and `7000/udp and 10 more`."""
    more = len(ports) - 1
    return f"{ports[0]}{f' and {more} more' if more else ''}"


def _targets(assignments: Sequence[Assignment]) -> str:
    if not assignments:
        return ""
    more = len(assignments) - 1
    return f"{assignments[0].target}{f' and {more} more' if more else ''}"
