"""Listeners, addresses and requirements of a real network namespace."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from ipaddress import IPv4Network, ip_address
from typing import Any

import pytest

from alongside.domain.errors import Conflict
from alongside.domain.port import Protocol, parse_port
from alongside.engine.fake import FakeCompose, FakeEngine
from alongside.host.addresses import check_pool, local_addresses, routes
from alongside.host.listeners import Listener, holders, identify, listeners
from alongside.host.requirements import check, sample
from support.host import Host

pytestmark = pytest.mark.host

ANY = ["0.0.0.0", "::"]


@pytest.fixture
def host() -> Iterator[Host]:
    with Host() as host:
        yield host


def run(host: Host, make: Callable[[], Any]) -> Any:
    return host.call(lambda: asyncio.run(make()))


def listen(stack: ExitStack, host: Host, where: str, number: int, *, only_ipv6: int = 1) -> None:
    """TCP and UDP."""
    family = socket.AF_INET6 if ":" in where else socket.AF_INET
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        one = stack.enter_context(host.socket(family, kind))
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only_ipv6)
        one.bind((where, number))
        if kind == socket.SOCK_STREAM:
            one.listen()


def test_listeners_are_found_with_their_program(host: Host) -> None:
    with ExitStack() as stack:
        listen(stack, host, "0.0.0.0", 80)
        listen(stack, host, "::", 81)
        listen(stack, host, "::", 82, only_ipv6=0)
        listen(stack, host, "127.0.0.53", 53)
        listen(stack, host, "::ffff:127.0.0.1", 54, only_ipv6=0)
        found = run(host, listeners)

    places = {(one.protocol, one.number, one.address) for one in found}
    assert places == {
        (protocol, number, ip_address(where) if where else None)
        for protocol in Protocol
        for number, where in [
            (80, "0.0.0.0"),
            (81, "::"),
            (82, None),
            (53, "127.0.0.53"),
            (54, "127.0.0.1"),
        ]
    }
    assert {one.pid for one in found} == {os.getpid()}
    assert all(one.program for one in found)


def test_connections_are_no_listeners(host: Host) -> None:
    with ExitStack() as stack:
        listen(stack, host, "127.0.0.1", 80)
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            one = stack.enter_context(host.socket(socket.AF_INET, kind))
            one.connect(("127.0.0.1", 80))
        found = run(host, listeners)

    assert [one.number for one in found] == [80, 80]


def test_programs_are_looked_up_only_where_wanted(host: Host) -> None:
    with ExitStack() as stack:
        listen(stack, host, "127.0.0.1", 80)
        found: list[Listener] = run(host, lambda: listeners(programs=False))
        assert {(one.program, one.pid) for one in found} == {("", 0)}
        (tcp, _) = asyncio.run(identify(found))

    assert tcp.pid == os.getpid()


def test_a_listener_of_this_host_holds_its_port(host: Host) -> None:
    with ExitStack() as stack:
        listen(stack, host, host.address4, 53)
        listen(stack, host, "127.0.0.53", 53)
        found = run(host, listeners)
        addresses = run(host, local_addresses)

    assert ip_address(host.address6) in addresses
    held = holders(parse_port("53/udp"), found, addresses)
    assert [str(one.address) for one in held] == [host.address4]


def test_a_port_that_another_namespace_listens_on_is_free(host: Host) -> None:
    with ExitStack() as stack:
        listen(stack, host, "0.0.0.0", 80)
        assert host.client.call(lambda: asyncio.run(listeners())) == []


def test_routes_say_what_a_pool_would_overlap(host: Host) -> None:
    assert IPv4Network("198.51.100.0/24") in [
        route.network for route in host.call(routes) if route.interface == "eth0"
    ]

    with pytest.raises(Conflict, match=r"198\.51\.100\.0/24, which this host reaches by eth0"):
        run(host, lambda: check_pool(IPv4Network("198.51.0.0/16")))
    run(host, lambda: check_pool(IPv4Network("10.213.0.0/16")))


def test_this_machine_has_what_is_needed_and_checking_commits_nothing(host: Host) -> None:
    assert run(host, lambda: check(FakeCompose(FakeEngine()))) == []
    assert host.run(["nft", "list", "ruleset"]).stdout == ""


def test_the_sample_would_be_accepted_as_a_whole(host: Host) -> None:
    host.nft(sample())
    assert "alongside_check" in host.run(["nft", "list", "tables"]).stdout
