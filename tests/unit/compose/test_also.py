"""`also:`: ports beside the service's own."""

from __future__ import annotations

import pytest

from alongside.compose.also import also_of
from alongside.compose.ports import publishes
from alongside.domain.errors import InvalidInput

ONE = publishes("service dns", ["53/udp", "53/tcp"])
TWO = publishes("service web", ["80:8080", "443:8443"])


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"8053": "^1"}, ["8053/udp -> 53 ^1", "8053/tcp -> 53 ^1"]),
        ({"8053/udp": "~1.2"}, ["8053/udp -> 53 ~1.2"]),
        ({"8053:53/tcp": "latest"}, ["8053/tcp -> 53 latest"]),
        (
            {"1": "1", "2": "2"},
            ["1/udp -> 53 1", "1/tcp -> 53 1", "2/udp -> 53 2", "2/tcp -> 53 2"],
        ),
    ],
)
def test_one_port(said: dict[str, str], expected: list[str]) -> None:
    found = also_of("service dns", said, ONE)
    assert [f"{one.port} -> {one.target} {one.range}" for one in found] == expected


def test_of_several_ports_one_is_named() -> None:
    (found,) = also_of("service web", {"8081:8443": "^1"}, TWO)
    assert (str(found.port), found.target) == ("8081/tcp", 8443)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"8081": "^1"}, "names 8081, and service web has 2 ports of its own"),
        ({"8081:80": "^1"}, "leads 8081:80 to 80, which is not in its ports"),
        ({"8081:8080/udp": "^1"}, "leads 8081:8080/udp to 8080/udp"),
        ({"http": "^1"}, "names the port 'http'"),
        ({"8081:8080": "newest"}, "'newest' is not a range"),
        ({"0:8080": "^1"}, "0 is not a port number"),
    ],
)
def test_refused(said: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        also_of("service web", said, TWO)
    assert message in caught.value.message
