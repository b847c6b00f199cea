"""By which ways instances are reached on this host: seen, since no engine or firewall tells."""

from __future__ import annotations

import logging
from collections.abc import Collection

from alongside.daemon import outsiders
from alongside.daemon.context import Context
from alongside.domain.instance import Instance
from alongside.engine.protocol import NFTABLES, Container, EngineInfo
from alongside.host import forwarding
from alongside.host.from_containers import Address, kept_out
from alongside.host.userland_proxy import is_proxied
from alongside.plan.observed import Pool

PROXY = "proxy"
CONTAINERS = "containers"
OUTSIDERS = "outsiders"
FORWARDING = "forwarding"
_TOLD = (PROXY, CONTAINERS, OUTSIDERS, FORWARDING)

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


async def look_at_engine(context: Context) -> None:
    """Whether the host does what its engine leaves to it. Raises Unavailable."""
    settings: list[str] = []
    if (await context.engine.info()).firewall == NFTABLES:
        settings = forwarding.off(ipv6=context.ipv6)
    if settings:
        context.problems[FORWARDING] = _not_forwarded(settings)
    else:
        context.problems.pop(FORWARDING, None)


def _not_forwarded(settings: Collection[str]) -> str:
    commands = "; ".join(f"sysctl -w {one}=1" for one in settings)
    ipv6 = (
        " First ask `alongside doctor`: a host that forwards IPv6 may lose its default route."
        if any("ipv6" in one for one in settings)
        else ""
    )
    return (
        f"The engine's nftables backend leaves it to you to turn forwarding on, and "
        f"{' and '.join(settings)} {'is' if len(settings) == 1 else 'are'} 0: no version can be "
        f"started, and no other machine reaches one. {commands}, and the same lines without "
        f"`sysctl -w` in /etc/sysctl.d/60-alongside.conf for every start.{ipv6}"
    )


async def look(context: Context, instance: Instance, container: Container) -> None:
    """Look again, from an instance that runs: whether the engine's proxy answers for it, and
    whether what its container sends gets to the host. What does not work is a problem to show."""
    if container.pid and context.on_bridge(instance):
        await _look_for_proxy(context, instance)
        await _look_from_container(context, instance, container.pid)
        await _look_from_outside(context, instance)


def notes(context: Context) -> list[str]:
    """What whoever gives ports to a version should know."""
    return [context.problems[one] for one in _TOLD if one in context.problems]


async def _look_for_proxy(context: Context, instance: Instance) -> None:
    if not instance.local_ports:
        return
    await _note_proxy(context, await is_proxied(instance))


async def run_without_proxy(context: Context) -> None:
    """The engine has shown that it runs none."""
    await _note_proxy(context, False)


async def _note_proxy(context: Context, proxied: bool) -> None:
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
    left = _left_to_firewalls(await context.engine.info(), context.ipv6)
    if left == {6} and 6 in {address.version for address in out}:
        said += (
            " This engine leaves IPv6 to the firewall, so other machines do not reach them over it "
            f"either until: ufw route allow to {pool.ipv6}."
        )
    elif 4 in left:
        rest = "; ".join(
            f"ufw route allow to {one}" for one in (pool.ipv4, pool.ipv6) if one.version in left
        )
        said += (
            " This engine's own rules are nftables', which do not undo another table's drop, so "
            f"other machines do not reach them either until: {rest}."
        )
    if context.problems.get(CONTAINERS) != said:
        _log.warning("%s", said)
    context.problems[CONTAINERS] = said


async def _look_from_outside(context: Context, instance: Instance) -> None:
    said = ""
    if (await context.engine.info()).firewall == NFTABLES:
        said = await outsiders.kept_out(context, instance)
    if not said:
        context.problems.pop(OUTSIDERS, None)
        return
    if context.problems.get(OUTSIDERS) != said:
        _log.warning("%s", said)
    context.problems[OUTSIDERS] = said


def _left_to_firewalls(info: EngineInfo, ipv6: bool) -> set[int]:
    """The IP families over which the engine does not see to it that other machines get through."""
    if info.firewall == NFTABLES:
        return {4, 6} if ipv6 else {4}
    number = info.version.partition(".")[0]
    return {6} if number.isdecimal() and int(number) < _FILTERS_IPV6 else set()


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
