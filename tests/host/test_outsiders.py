"""An engine whose rules are nftables' own, as Docker 29's, beside a firewall that drops what is
forwarded: what its tables look like, made by hand, and what is seen of it from the host."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network

import pytest

from alongside.daemon.outsiders import said
from alongside.doctor.facts import Firewall, InstanceState, Wanted
from alongside.doctor.gather.firewall import firewall
from alongside.domain.port import Protocol, parse_port
from alongside.router.nft import NftRouter
from alongside.router.protocol import Choice, RoutedPort, Ruleset
from support.host import Host
from support.pretend import SILENCE, Answer, Stage

pytestmark = pytest.mark.host

PORT = 5300
POOL4, POOL6 = IPv4Network("10.213.0.0/16"), IPv6Network("fd00:a1:51de::/48")


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with Host() as host, Stage(host, instances=1) as made:
        made.answer(PORT, Protocol.TCP)
        for family, address in (
            ("ip", made.subnets[0].address4),
            ("ip6", made.subnets[0].address6),
        ):
            host.nft(f"""
                table {family} docker-bridges {{
                    chain filter-FORWARD {{
                        type filter hook forward priority filter; policy accept;
                        oifname {made.subnets[0].bridge} {family} daddr {address} \\
                            tcp dport {PORT} counter accept
                    }}
                }}
                table {family} firewall {{
                    chain forward {{
                        type filter hook forward priority filter; policy drop;
                        ct state established,related accept
                        jump ufw-user-forward
                    }}
                    chain ufw-user-forward {{
                    }}
                }}""")
        yield made


def reached(stage: Stage) -> list[bool]:
    """By outsiders, over IPv4 and IPv6."""
    host = stage.host
    outcomes = [
        stage.ask(stage.outside, address, PORT, Protocol.TCP)
        for address in (host.address4, host.address6)
    ]
    assert all(isinstance(one, Answer) or one == SILENCE for one in outcomes)
    return [isinstance(one, Answer) for one in outcomes]


async def test_what_is_said_is_what_happens(stage: Stage) -> None:
    wanted = Ruleset(
        (RoutedPort(parse_port(f"{PORT}/tcp"), (Choice(stage.target(0, PORT), 1),)),),
        stage.subnets,
    )
    router = NftRouter(namespace=stage.host.path)
    await router.apply(wanted)
    known = Wanted(
        wanted,
        (InstanceState("dns-1.0.0", "dns@1.0.0", "running", stage.subnets[0].bridge, None, ()),),
        POOL4,
        POOL6,
    )
    seen: list[tuple[list[bool], list[str]]] = []
    for family, network in (("", ""), ("ip", POOL4), ("ip6", POOL6)):
        if family:  # what `ufw route allow to` comes to
            stage.host.nft(
                f"add rule {family} firewall ufw-user-forward {family} daddr {network} accept"
            )
        rules = await asyncio.to_thread(stage.host.call, asyncio.run, firewall())
        assert isinstance(rules, Firewall)
        words = said(rules, known)
        remedies = [f"ufw route allow to {one}" for one in (POOL4, POOL6)]
        seen.append((reached(stage), [one for one in remedies if one in words]))
    assert seen == [
        ([False, False], [f"ufw route allow to {POOL4}", f"ufw route allow to {POOL6}"]),
        ([True, False], [f"ufw route allow to {POOL6}"]),
        ([True, True], []),
    ]
