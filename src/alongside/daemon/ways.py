"""By which ways instances are reached on this host: seen, since no engine or firewall tells."""

from __future__ import annotations

import logging
from collections.abc import Collection

from alongside.daemon.context import Context
from alongside.domain.instance import Instance
from alongside.engine.protocol import Container
from alongside.host.from_containers import Address, kept_out
from alongside.host.userland_proxy import is_proxied
from alongside.plan.observed import Pool

PROXY = "proxy"
CONTAINERS = "containers"

_FILTERS_IPV6 = 27  # the first release of the engine that does by itself

_log = logging.getLogger(__name__)

_NO_PROXY = (
    "The engine runs without its userland proxy, so public ports are not reached on [::1], nor "
    "from containers on other networks where the engine keeps networks apart. Take "
    '"userland-proxy": false out of /etc/docker/daemon.json and restart the engine, or live with '
    "it: other machines and the host itself reach them (docs/hosts.md)."
)


def recall(context: Context) -> None:
    """At start: as it was seen last, so that the table that is there is the one that is wanted."""
    context.proxied = context.database.setting(PROXY, "yes") == "yes"
    if not context.proxied:
        context.problems[PROXY] = _NO_PROXY


async def look(context: Context, instance: Instance, container: Container) -> None:
    """Look again, from an instance that runs: whether the engine's proxy answers for it, and
    whether what its container sends gets to the host. What does not work is a problem to show."""
    if container.pid and context.on_bridge(instance):
        await _look_for_proxy(context, instance)
        await _look_from_container(context, instance, container.pid)


def notes(context: Context) -> list[str]:
    """What whoever gives ports to a version should know."""
    return [context.problems[one] for one in (PROXY, CONTAINERS) if one in context.problems]


async def _look_for_proxy(context: Context, instance: Instance) -> None:
    if not instance.local_ports:
        return
    proxied = await is_proxied(instance)
    if proxied:
        context.problems.pop(PROXY, None)
    else:
        context.problems[PROXY] = _NO_PROXY
    if proxied != context.proxied:
        _log.info("the engine runs %s its userland proxy", "with" if proxied else "without")
        context.proxied = proxied
        context.database.keep_if_writable(PROXY, "yes" if proxied else "no")
        await context.commit()
        await context.router.clean_udp(context.wanted())


async def _look_from_container(context: Context, instance: Instance, pid: int) -> None:
    subnet, pool = instance.subnet, context.pool
    addresses: list[Address] = [subnet.gateway4]
    if context.ipv6:
        addresses.append(subnet.gateway6)
    # The last ones: they are given out last.
    out = await kept_out(pid, addresses, reversed(pool.local_ports[-16:]))
    if not out:
        context.problems.pop(CONTAINERS, None)
        return
    said = _kept_out({address.version for address in out}, pool)
    if 6 in {address.version for address in out} and await _leaves_ipv6(context):
        said += (
            " This engine leaves IPv6 to the firewall, so other machines do not reach them over it "
            f"either until: ufw route allow to {pool.ipv6}."
        )
    if context.problems.get(CONTAINERS) != said:
        _log.warning("%s", said)
    context.problems[CONTAINERS] = said


async def _leaves_ipv6(context: Context) -> bool:
    """Whether the engine does nothing about IPv6 in iptables, as before release 27 by default."""
    number = (await context.engine.info()).version.partition(".")[0]
    return number.isdecimal() and int(number) < _FILTERS_IPV6


def _kept_out(families: Collection[int], pool: Pool) -> str:
    over = " and ".join(f"IPv{family}" for family in sorted(families))
    pools = [one for one in (pool.ipv4, pool.ipv6) if one.version in families]
    remedy = "; ".join(f"ufw allow to {one}" for one in pools)
    return (
        f"A firewall drops what containers send to this host over {over}, and with it their way to "
        f"its public ports. With ufw, let it in: {remedy}. With firewalld that was started after "
        "the engine, other machines are kept out as well: systemctl restart docker. More is in "
        "docs/hosts.md."
    )
