"""`ports:` in each of Compose's forms."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from alongside.compose.ports import check_distinct, publishes
from alongside.domain.errors import InvalidInput
from alongside.domain.port import can_be_public

numbers = st.integers(1, 65535)


def read(*entries: object) -> list[str]:
    return [f"{one.port} -> {one.target}" for one in publishes("service dns", entries)]


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("53/udp", ["53/udp -> 53"]),
        ("80", ["80/tcp -> 80"]),
        (80, ["80/tcp -> 80"]),
        ("8080:80", ["8080/tcp -> 80"]),
        ("192.0.2.7:80:80", ["192.0.2.7:80/tcp -> 80"]),
        ("[2001:db8::1]:80:80", ["[2001:db8::1]:80/tcp -> 80"]),
        ("2001:db8::1:80:80/udp", ["[2001:db8::1]:80/udp -> 80"]),
        ("127.0.0.1::81", ["127.0.0.1:81/tcp -> 81"]),
        ("0.0.0.0:80:80", ["80/tcp -> 80"]),
        ("[::]:80:80", ["80/tcp -> 80"]),
        ("7000-7002:7000-7002", [f"{n}/tcp -> {n}" for n in (7000, 7001, 7002)]),
        ("8000-8001:80-81/udp", ["8000/udp -> 80", "8001/udp -> 81"]),
        ("200-201", ["200/tcp -> 200", "201/tcp -> 201"]),
        ({"mode": "ingress", "target": 53, "protocol": "udp"}, ["53/udp -> 53"]),
        ({"target": 80, "published": "8080", "protocol": "tcp"}, ["8080/tcp -> 80"]),
        ({"target": 80, "published": 8080}, ["8080/tcp -> 80"]),
        ({"target": 80, "published": ""}, ["80/tcp -> 80"]),
        ({"target": 80, "published": "80", "host_ip": "::1"}, ["[::1]:80/tcp -> 80"]),
    ],
)
def test_forms(entry: object, expected: list[str]) -> None:
    assert read(entry) == expected


def test_a_line_that_stands_twice_counts_once() -> None:
    assert read("80:80", "0.0.0.0:80:80", "[::]:80:80") == ["80/tcp -> 80"]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("9000-9005:99", "6 numbers for one number"),
        ("9000:99-100", "one number for 2 numbers"),
        ({"target": 99, "published": "9000-9005"}, "9000-9005 for 99"),
        ("0:80", "0 in ports"),
        ("80:65536", "65536"),
        ("81-80", "81-80"),
        ("http", "'http'"),
        ("", "''"),
        ({"published": "80"}, "no number"),
        ("80/sctp", "protocol sctp"),
        ("localhost:80:80", "'localhost'"),
        ("300.0.0.1:80:80", "'300.0.0.1'"),
        ("127.0.0.2:80:80", "of loopback only 127.0.0.1 and ::1"),
    ],
)
def test_what_is_no_port_is_refused_with_the_service_and_what_was_found(
    entry: object, said: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        read(entry)
    assert refused.value.message.startswith("service dns ")
    assert said in refused.value.message
    assert refused.value.hint


@given(st.none() | st.ip_addresses(), numbers, numbers, st.sampled_from(["tcp", "udp"]))
def test_short_and_long_forms_say_the_same(
    address: Any, published: int, target: int, protocol: str
) -> None:
    assume(address is None or can_be_public(address))
    host = "" if address is None else f"[{address}]:" if address.version == 6 else f"{address}:"
    short = f"{host}{published}:{target}/{protocol}"
    long = {"target": target, "published": str(published), "protocol": protocol}
    assert read(short) == read(long if address is None else long | {"host_ip": str(address)})


def check(**services: tuple[str, ...]) -> None:
    check_distinct((name, publishes(name, ports)) for name, ports in services.items())


def test_ports_that_no_packet_can_be_meant_for_at_once_stand_together() -> None:
    check(dns=("53/udp", "53/tcp", "192.0.2.7:80:80"), web=("192.0.2.8:80:80", "[::1]:80:80"))


@pytest.mark.parametrize("other", ["8080:80", "8080:81", "192.0.2.7:8080:80", "[::1]:8080:80"])
def test_two_services_that_want_one_port_are_refused_with_both(other: str) -> None:
    with pytest.raises(InvalidInput, match="dns and web both publish"):
        check(dns=("8080:80",), web=(other,))


@pytest.mark.parametrize("other", ["80:81", "192.0.2.7:80:81", "[::]:80:81"])
def test_one_port_for_two_ports_of_a_container_is_refused(other: str) -> None:
    with pytest.raises(InvalidInput, match="a packet could be meant for both"):
        check(web=("80:80", other))
