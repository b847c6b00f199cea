import struct
from ipaddress import ip_address

import pytest

from alongside.domain.port import Protocol, parse_port
from alongside.host.listeners import Address, Listener, holders, parse

ADDRESSES = [ip_address(text) for text in ("127.0.0.1", "::1", "192.0.2.7", "2001:db8::7")]


def listener(where: str, number: int = 53, protocol: Protocol = Protocol.UDP) -> Listener:
    return Listener(protocol, None if where == "*" else ip_address(where), number)


@pytest.mark.parametrize(
    ("where", "port", "is_holder"),
    [
        ("*", "53/udp", True),
        ("0.0.0.0", "53/udp", True),
        ("::", "53/udp", True),
        ("192.0.2.7", "53/udp", True),
        ("2001:db8::7", "53/udp", True),
        ("127.0.0.1", "53/udp", True),
        ("::1", "53/udp", True),
        ("127.0.0.53", "53/udp", False),  # a resolver's own place
        ("224.0.0.251", "53/udp", False),  # multicast is no address of the host
        ("198.51.100.1", "53/udp", False),  # nor is one that it does not have
        ("*", "54/udp", False),
        ("*", "53/tcp", False),
        # A port of one address takes nothing from the others.
        ("*", "192.0.2.7:53/udp", True),
        ("0.0.0.0", "192.0.2.7:53/udp", True),
        ("::", "192.0.2.7:53/udp", False),  # IPv6 alone
        ("192.0.2.7", "192.0.2.7:53/udp", True),
        ("127.0.0.1", "192.0.2.7:53/udp", False),
        ("2001:db8::7", "192.0.2.7:53/udp", False),
        ("0.0.0.0", "[2001:db8::7]:53/udp", False),
        ("127.0.0.53", "127.0.0.53:53/udp", True),
    ],
)
def test_who_holds_a_port(where: str, port: str, is_holder: bool) -> None:
    one = listener(where)

    assert holders(parse_port(port), [one], ADDRESSES) == ([one] if is_holder else [])


def message(family: int, packed: bytes, port: int, only_ipv6: bool | None = None) -> bytes:
    """A struct inet_diag_msg as the kernel lays it out."""
    data = struct.pack("=BBBB", family, 7, 0, 0)
    data += struct.pack("!HH", port, 0) + packed.ljust(16, b"\0") + bytes(16)
    data += struct.pack("=III", 0, 1, 2)  # interface, cookie
    data += struct.pack("=IIIII", 0, 0, 0, 101, 4711)  # expires, queues, user, inode
    if only_ipv6 is not None:
        data += struct.pack("=HHB3x", 5, 11, only_ipv6)
    return data


@pytest.mark.parametrize(
    ("family", "where", "only_ipv6", "expected"),
    [
        (2, "0.0.0.0", None, "0.0.0.0"),
        (2, "127.0.0.53", None, "127.0.0.53"),
        (10, "::", False, None),
        (10, "::", True, "::"),
        (10, "2001:db8::7", False, "2001:db8::7"),
        (10, "::ffff:192.0.2.7", False, "192.0.2.7"),
    ],
)
def test_what_the_kernel_says(
    family: int, where: str, only_ipv6: bool | None, expected: str | None
) -> None:
    found = parse(Protocol.UDP, message(family, ip_address(where).packed, 53, only_ipv6))

    address: Address | None = ip_address(expected) if expected else None
    assert found == Listener(Protocol.UDP, address, 53, inode=4711)
