"""What is read, of texts as the kernel, dockerd and git have them."""

from __future__ import annotations

from pathlib import Path

import pytest

from alongside import githooks
from alongside.client import DEFAULT_SOCKET
from alongside.doctor.gather.dockerd import options, parse_command
from alongside.doctor.gather.host import addressed, advertised
from alongside.doctor.gather.repository import gone_python, is_current, is_exposed, socket_of
from alongside.doctor.gather.routed import ports
from alongside.router.listing import parse_listing

ROUTES = """\
fe800000000000000000000000000000 40 00000000000000000000000000000000 00 \
00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 \
fe800000000000000000000000000001 00000400 00000002 00000000 00450003     eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 \
20010db8000000000000000000000001 00000400 00000002 00000000 00000003     eth1
"""


def test_a_default_route_that_a_router_advertised() -> None:
    assert advertised(ROUTES) == ("eth0",)
    assert advertised("") == ()


def test_interfaces_with_an_ipv6_address() -> None:
    text = "fe80 02 40 20 80     eth0\n2001 02 40 00 80     eth0\n0001 01 80 10 80       lo\n"
    assert addressed(text) == ["eth0", "lo"]


def test_words_of_dockerds_command_line() -> None:
    words = ["-H", "fd://", "--iptables=false", "--config-file", "/x.json", "--debug"]
    assert parse_command(words) == {"iptables": "false", "config-file": "/x.json", "debug": "true"}


@pytest.mark.parametrize(
    ("words", "configured", "proxy", "iptables", "ip6tables"),
    [
        ([], {}, True, True, None),
        (["--userland-proxy=false"], {}, False, True, None),
        ([], {"userland-proxy": False, "iptables": False, "ip6tables": False}, False, False, False),
        (["--ip6tables"], {"userland-proxy": True}, True, True, True),
    ],
)
def test_what_dockerd_was_told(
    words: list[str],
    configured: dict[str, object],
    proxy: bool,
    iptables: bool,
    ip6tables: bool | None,
) -> None:
    found = options(words, configured)
    assert (found.userland_proxy, found.iptables, found.ip6tables) == (proxy, iptables, ip6tables)


def hook(name: str, python: str, socket: str = "") -> str:
    text = Path(githooks.__file__).with_name(name).read_text()
    named = f'[ -n "$A" ] || ALONGSIDE_SOCKET={socket}; export ALONGSIDE_SOCKET' if socket else ""
    for key, value in (
        ("@FORMER@", "'/a b/hooks'"),
        ("@OWN@", ".githooks"),
        ("@SOCKET@", named),
        ("@ALONGSIDE@", f"{python} -m alongside"),
    ):
        text = text.replace(key, value)
    return text


def test_a_hook_tells_its_daemon_its_python_and_its_version() -> None:
    text = hook("reference-transaction.sh", "/gone/python", "'/run/a b.sock'")
    assert is_current("reference-transaction", text)
    assert not is_current("reference-transaction", text.replace("prepared)", "aborted)"))
    assert socket_of(text) == "/run/a b.sock"
    assert gone_python(text) == "/gone/python"
    plain = hook("reference-transaction.sh", "/bin/sh")
    assert socket_of(plain) == DEFAULT_SOCKET
    assert gone_python(plain) == ""
    assert is_current("post-receive", hook("dispatch.sh", "/bin/sh"))


@pytest.mark.parametrize(
    ("python", "exposed"),
    [("/bin/sh", True), ("/bin/sh -E", True), ("/bin/sh -I", False), ("'/a b' -E -P -B", False)],
)
def test_a_hook_of_before_that_runs_modules_of_the_work_tree(python: str, *, exposed: bool) -> None:
    for name in ("reference-transaction.sh", "dispatch.sh"):
        assert is_exposed(hook(name, python)) is exposed
    assert not is_exposed("#!/bin/sh\n")


def test_the_ports_that_the_kernel_routes() -> None:
    text = """\
table inet alongside {
    map ports {
        type inet_proto . inet_service : verdict
        elements = { tcp . 80 : goto port-80-tcp,
            udp . 53 : goto port-53-udp }
    }

    map ports6 {
        type ipv6_addr . inet_proto . inet_service : verdict
        elements = { 2001:db8::1 . tcp . 443 : goto port-443-tcp }
    }
}
"""
    found = [str(port) for port in ports(parse_listing(text.replace("    ", "\t")))]
    assert found == ["80/tcp", "53/udp", "[2001:db8::1]:443/tcp"]
