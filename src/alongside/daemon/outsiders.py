"""Whether others' rules keep other machines from instances, on an engine that cannot prevent it.

An engine with iptables puts its accepts into the very chains that a firewall's rules are in, and
before them. One with nftables (29, by choice) has tables of its own, and an accept there does not
undo a drop in another table. Nothing on the host notices it: containers and the host itself are
answered. So the rules are read, as the doctor reads them, and an instance's ports are sent through.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from alongside.daemon.context import Context
from alongside.doctor.facts import Firewall, InstanceState, Unseen, Wanted
from alongside.doctor.foreign.remedies import let_pass
from alongside.doctor.foreign.ways import Stopped, forwarded, once
from alongside.doctor.gather.firewall import firewall
from alongside.domain.instance import Instance
from alongside.domain.port import Port
from alongside.router.protocol import Choice, InstanceTarget, RoutedPort, Ruleset


async def kept_out(context: Context, instance: Instance) -> str:
    """Who drops what other machines send to an instance that runs, over which IP, and what would
    let it pass; empty where none is known to."""
    rules = await firewall()
    if isinstance(rules, Unseen):
        return ""
    wanted = _wanted(context, instance)
    # Following thousands of rules takes a while, in which somebody may want to switch.
    return await asyncio.to_thread(said, rules, wanted)


def said(rules: Firewall, wanted: Wanted) -> str:
    """What others' rules do to these versions' packets, as a sentence with the remedy."""
    stopped = [one for one in once(forwarded(rules, wanted)) if not one.fate.doubt]
    if not stopped:
        return ""
    families = sorted({one.packet.to.version for one in stopped})
    over = " and ".join(f"IPv{family}" for family in families)
    return (
        f"Other machines do not reach versions over {over}: {_by(stopped)} drops what is forwarded "
        "to them, and this engine's own rules, which are nftables', do not undo that. Let it "
        f"pass: {'; '.join(_remedies(stopped, wanted))}. More is in docs/hosts.md."
    )


def _by(stopped: Iterable[Stopped]) -> str:
    return " and ".join(dict.fromkeys(str(one.fate) for one in stopped))


def _remedies(stopped: Iterable[Stopped], wanted: Wanted) -> list[str]:
    return list(dict.fromkeys(line for one in stopped for line in let_pass(one, wanted)))


def _wanted(context: Context, instance: Instance) -> Wanted:
    """The instance's own ports, as if each were public: whether one is does not matter here."""
    subnet, reference = instance.subnet, f"{instance.service}@{instance.version}"
    targets = {
        Port(local.protocol, local.target): InstanceTarget(
            reference, subnet, subnet.address4, subnet.address6, local.target, local.number
        )
        for local in instance.local_ports
    }
    return Wanted(
        ruleset=Ruleset(
            tuple(RoutedPort(port, (Choice(one, 1),)) for port, one in targets.items())
        ),
        instances=(InstanceState(instance.name, reference, "running", subnet.bridge, None, ()),),
        pool4=context.pool.ipv4,
        pool6=context.pool.ipv6 if context.ipv6 else None,
    )
