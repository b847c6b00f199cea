"""Answers of engines 20.10 and 28, cut down to what is read."""

from copy import deepcopy
from ipaddress import IPv4Address, IPv4Network, IPv6Address
from typing import Any

import pytest

from alongside.domain.port import Protocol
from alongside.engine import wire
from alongside.engine.protocol import Network, Published

INSPECTED: dict[str, Any] = {
    "Id": "dfd4",
    "Name": "/dns-1.0.0",
    "Image": "sha256:24a0",
    "RestartCount": 2,
    "Config": {"Labels": None, "Tty": False},
    "State": {
        "Status": "running",
        "OOMKilled": False,
        "ExitCode": 0,
        "Pid": 812,
        "StartedAt": "2026-11-23T13:01:03.174280967Z",
        "FinishedAt": "0001-01-01T00:00:00Z",
        "Health": {
            "Status": "unhealthy",
            "Log": [{"Output": "first"}, {"Output": "connection refused\n"}],
        },
    },
    "NetworkSettings": {
        "Networks": {
            "one_default": {"IPAddress": "10.213.0.2", "GlobalIPv6Address": "fd00::2"},
            "internal": {"IPAddress": "", "GlobalIPv6Address": ""},
        }
    },
}


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, (False, False, "", ())),
        (
            {
                "LiveRestoreEnabled": True,
                "SecurityOptions": ["name=seccomp,profile=builtin", "name=rootless"],
                "FirewallBackend": {"Driver": "nftables"},
                "DefaultAddressPools": [{"Base": "10.200.0.0/16", "Size": 24}],
            },
            (True, True, "nftables", (IPv4Network("10.200.0.0/16"),)),
        ),
        ({"DefaultAddressPools": [{"Base": "fd00::/56", "Size": 64}]}, (False, False, "", ())),
    ],
)
def test_what_an_engine_is(more: dict[str, Any], expected: tuple[object, ...]) -> None:
    said = {"ServerVersion": "29.0.1", "OperatingSystem": "Debian", "DockerRootDir": "/d", **more}
    found = wire.engine(said, "1.51")

    assert (found.version, found.api, found.root) == ("29.0.1", "1.51", "/d")
    assert (found.live_restore, found.rootless, found.firewall, found.pools) == expected


def test_a_running_container() -> None:
    container = wire.container(INSPECTED)

    assert container.name == "dns-1.0.0"
    assert container.running
    assert container.labels == {}
    assert container.ipv4 == {"one_default": IPv4Address("10.213.0.2")}
    assert container.ipv6 == {"one_default": IPv6Address("fd00::2")}
    assert container.started is not None
    assert container.started.isoformat() == "2026-11-23T13:01:03.174280+00:00"
    assert (container.health, container.health_output) == ("unhealthy", "connection refused")


def test_a_container_that_was_killed_for_memory() -> None:
    found = deepcopy(INSPECTED)
    found["State"] |= {"Status": "exited", "OOMKilled": True, "ExitCode": 137, "Pid": 0}

    assert wire.container(found).oom
    assert not wire.container(INSPECTED).oom


def test_a_container_that_never_started() -> None:
    found = deepcopy(INSPECTED)
    found["State"] = {
        "Status": "created",
        "ExitCode": 0,
        "Pid": 0,
        "StartedAt": "0001-01-01T00:00:00Z",
        "FinishedAt": "0001-01-01T00:00:00Z",
        "Health": {"Status": "none", "Log": None},
    }

    container = wire.container(found)

    assert container.started is None
    assert container.health == ""
    assert not container.running


def test_an_untagged_image_has_no_tags() -> None:
    found = {"Id": "sha256:1", "RepoTags": ["<none>:<none>"], "Labels": None, "Size": 7}
    assert wire.listed_image(found).tags == ()
    assert wire.image({"Id": "sha256:1", "RepoTags": None, "Config": None, "Size": 7}).tags == ()


def test_published_ports_by_family_and_none_that_is_only_exposed() -> None:
    listed = {
        "Names": ["/web/db", "/shop-db-1"],
        "Labels": {"com.docker.compose.project": "shop"},
        "Ports": [
            {"PrivatePort": 5432, "Type": "tcp"},
            {"PrivatePort": 5433, "PublicPort": 5433, "Type": "tcp"},
            {"IP": "0.0.0.0", "PrivatePort": 53, "PublicPort": 53, "Type": "udp"},
            {"IP": "::", "PrivatePort": 53, "PublicPort": 53, "Type": "udp"},
            {"IP": "::", "PrivatePort": 9, "PublicPort": 9, "Type": "sctp"},
        ],
    }

    assert list(wire.published(listed)) == [
        Published("shop-db-1", Protocol.TCP, IPv4Address("0.0.0.0"), 5433, "shop"),
        Published("shop-db-1", Protocol.UDP, IPv4Address("0.0.0.0"), 53, "shop"),
        Published("shop-db-1", Protocol.UDP, IPv6Address("::"), 53, "shop"),
    ]


def test_bridges_are_named_by_option_or_by_id() -> None:
    default = {"com.docker.network.bridge.name": "docker0"}
    rows = [
        {"Id": "a" * 64, "Name": "bridge", "Driver": "bridge", "Options": default},
        {"Id": "b" * 64, "Name": "shop", "Driver": "bridge", "Options": None},
        {"Id": "c" * 64, "Name": "host", "Driver": "host", "Options": {}},
    ]

    assert [wire.network(row) for row in rows] == [
        Network("bridge", "bridge", "docker0", "a" * 64),
        Network("shop", "bridge", "br-bbbbbbbbbbbb", "b" * 64),
        Network("host", "host", "", "c" * 64),
    ]


def test_an_event() -> None:
    event = wire.event(
        '{"Type":"container","Action":"health_status: healthy",'
        '"Actor":{"ID":"dfd4","Attributes":{"name":"dns-1.0.0"}},"time":1}'
    )

    assert (event.kind, event.action, event.name) == (
        "container",
        "health_status: healthy",
        "dns-1.0.0",
    )
