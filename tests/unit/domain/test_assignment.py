"""`PUBLIC:LISTENS/PROTOCOL`, with addresses and ranges."""

from __future__ import annotations

import pytest

from alongside.domain.assignment import parse_assignments
from alongside.domain.errors import InvalidInput


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("80:50080/tcp", ["80/tcp -> 50080"]),
        ("80:50080", ["80/tcp -> 50080"]),
        ("53:5353/UDP", ["53/udp -> 5353"]),
        ("53:10.0.3.2:53/udp", ["53/udp -> 10.0.3.2:53"]),
        ("192.0.2.7:80:8080", ["192.0.2.7:80/tcp -> 8080"]),
        ("192.0.2.7:80:80/tcp", []),  # to itself
        ("0.0.0.0:80:8080", ["80/tcp -> 8080"]),
        ("[::]:80:8080", ["80/tcp -> 8080"]),
        ("[2001:db8::1]:80:[2001:db8::9]:8080", ["[2001:db8::1]:80/tcp -> [2001:db8::9]:8080"]),
        ("127.0.0.1:80:8080", ["127.0.0.1:80/tcp -> 8080"]),
        ("7000-7001:17000-17001/udp", ["7000/udp -> 17000", "7001/udp -> 17001"]),
    ],
)
def test_what_can_be_meant(text: str, expected: list[str]) -> None:
    if not expected:
        with pytest.raises(InvalidInput, match="to itself"):
            parse_assignments(text)
        return
    assert [str(one) for one in parse_assignments(text)] == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "does not say which port"),
        ("80", "does not say which port"),
        ("80:", "does not say which port"),
        ("http:8080", "does not say which port"),
        ("80:8080:tcp", "does not say which port"),
        ("2001:db8::1:80:8080", "does not say which port"),
        ("0:8080", "0 is not a port number"),
        ("80:65536", "65536 is not a port number"),
        ("80-81:8080", "gives 2 ports to 1"),
        ("81-80:8081-8080", "goes downwards"),
        ("80:8080/sctp", "the protocol sctp"),
        ("80:127.0.0.1:8080", "cannot be reached from other machines"),
        ("80:[::1]:8080", "cannot be reached from other machines"),
        ("127.0.0.2:80:8080", "of loopback only 127.0.0.1 and ::1"),
        ("300.0.0.1:80:8080", "is not an address"),
        ("192.0.2.7:80:[2001:db8::9]:80", "the other IP version"),
    ],
)
def test_what_cannot_is_refused_with_a_remedy(text: str, said: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_assignments(text)
    assert said in refused.value.message
    assert refused.value.hint
