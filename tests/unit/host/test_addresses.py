import struct
from ipaddress import IPv4Network

import pytest

from alongside.domain.errors import Conflict
from alongside.host import addresses
from alongside.host.addresses import Route, check_pool, parse_route

POOL = IPv4Network("10.213.0.0/16")


def route(text: str, interface: str = "eth0") -> Route:
    return Route(IPv4Network(text), interface)


async def test_a_wider_route_does_not_count_where_that_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A VPN's, which came after the pool was chosen."""
    monkeypatch.setattr(addresses, "routes", lambda: [route("10.0.0.0/8", "tun0")])
    await check_pool(IPv4Network("10.213.0.16/28"), shortest=16)
    with pytest.raises(Conflict):
        await check_pool(IPv4Network("10.213.0.16/28"))


@pytest.mark.parametrize(
    "there",
    [
        route("10.213.5.0/24"),
        route("10.213.0.0/16", "tun0"),
        route("10.0.0.0/8", "tun0"),
        route("10.213.5.5/32", ""),
        route("10.213.0.0/28", "br-1234"),  # another engine's network, or Docker's own pool
    ],
)
async def test_a_pool_that_something_else_has(
    there: Route, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(addresses, "routes", lambda: [there])

    with pytest.raises(Conflict) as caught:
        await check_pool(POOL)

    assert str(there.network) in caught.value.message
    assert "--pool" in caught.value.hint


@pytest.mark.parametrize(
    "there",
    [
        route("0.0.0.0/0"),
        route("0.0.0.0/1", "tun0"),  # a VPN that takes everything
        route("10.213.0.0/28", "al-0123456789"),  # an instance of ours
        route("10.214.0.0/16"),
        route("192.168.0.0/16"),
    ],
)
async def test_a_pool_that_is_free(there: Route, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "routes", lambda: [there])

    await check_pool(POOL)


def test_what_the_kernel_says() -> None:
    head = struct.pack("=BBBBBBBBI", 2, 24, 0, 0, 254, 2, 0, 1, 0)
    destination = struct.pack("=HH4s", 8, 1, bytes([10, 213, 5, 0]))
    loopback = struct.pack("=HHI", 8, 4, 1)

    assert parse_route(head + destination + loopback) == route("10.213.5.0/24", "lo")
    assert parse_route(head.replace(b"\x18", b"\0", 1)) == route("0.0.0.0/0", "")
    broadcast = struct.pack("=BBBBBBBBI", 2, 32, 0, 0, 255, 2, 0, 3, 0)
    assert parse_route(broadcast + destination) is None
