from __future__ import annotations

from ipaddress import ip_address

import pytest

from alongside.router.jhash import jhash, scale
from alongside.router.rules import HASH_SEED

# tests/host/test_router_paths.py holds the kernel to these: its rulesets by client.


@pytest.mark.parametrize("address", ["198.51.100.2", "10.213.0.18", "2001:db8::2", "::"])
def test_a_hash_is_32_bits_and_depends_on_all_of_the_key(address: str) -> None:
    key = ip_address(address).packed
    first = jhash(key, HASH_SEED)
    assert 0 <= first < 2**32
    for at in range(len(key)):
        other = bytes(byte ^ (index == at) for index, byte in enumerate(key))
        assert jhash(other, HASH_SEED) != first
    assert jhash(key, HASH_SEED + 1) != first


def test_parts_are_fair() -> None:
    places = [
        scale(jhash(ip_address(0x0A000000 + number).packed, HASH_SEED), 10)
        for number in range(20000)
    ]
    assert all(1800 < places.count(place) < 2200 for place in range(10))


def test_an_empty_key_has_the_initial_value() -> None:
    assert jhash(b"", 0) == 0xDEADBEEF
