"""As the kernel (6.18) printed them in a container on two networks."""

import os
from ipaddress import ip_address

from alongside.host.default_route import default_gateway, parse_ipv4, parse_ipv6

ROUTE = """\
Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
eth0	00000000	0107D50A	0003	0	0	0	00000000	0	0	0
eth0	0007D50A	00000000	0001	0	0	0	F0FFFFFF	0	0	0
eth1	000012AC	00000000	0001	0	0	0	0000FFFF	0	0	0
"""

IPV6_ROUTE = "\n".join(
    " ".join(fields)
    for fields in (
        ("fd" + "0" * 30, "40", "0" * 32, "00", "0" * 32, "00000100", "1", "0", "00000001", "eth0"),
        ("0" * 32, "00", "0" * 32, "00", "fd" + "0" * 29 + "1", "00000400", "1", "0", "00000003",
         "eth0"),
        ("0" * 32, "00", "0" * 32, "00", "0" * 32, "ffffffff", "1", "0", "00200200", "lo"),
    )
)  # fmt: skip


def test_ipv4() -> None:
    assert parse_ipv4(ROUTE) == ip_address("10.213.7.1")


def test_ipv6() -> None:
    assert parse_ipv6(IPV6_ROUTE) == ip_address("fd00::1")


def test_the_lower_metric_counts() -> None:
    other = "eth1\t00000000\t010012AC\t0003\t0\t0\t50\t00000000\t0\t0\t0\n"
    assert parse_ipv4(ROUTE + other) == ip_address("10.213.7.1")


def test_none() -> None:
    assert parse_ipv4(ROUTE.splitlines()[0]) is None
    assert parse_ipv6("") is None


def test_a_process_that_has_ended() -> None:
    child = os.posix_spawn("/bin/true", ["true"], {})
    os.waitpid(child, 0)
    assert default_gateway(child) is None
