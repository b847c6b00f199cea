"""The whole way of the README, with dnsmasq from Debian 12 and 13 as the two versions."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from support import ask
from support.host import Host
from support.installation import Installation, dns_files, load_images

pytestmark = pytest.mark.host


def answers(host: Host) -> set[str]:
    """Who answers: from another machine and from the host, by every family and protocol."""
    found = set()
    for source, addresses in (
        (host.client, (host.address4, host.address6)),
        (host, (host.address4, host.address6, "127.0.0.1", "::1")),
    ):
        for address in addresses:
            for tcp in (False, True):
                found.update(ask.dns_query(source, address, "version.test", tcp=tcp))
    return found


def test_from_a_tag_to_a_switched_port_and_back(make_host: Callable[..., Host]) -> None:
    host = make_host()
    load_images(host, "dnsmasq-bookworm", "dnsmasq-trixie")
    alongside = Installation(host)
    alongside.start()
    repository = alongside.repository("resolver", dns_files("bookworm"))

    tagged = repository.tag("1.0.0")
    assert "dns@1.0.0 is released: repo/dns:1.0.0" in tagged.stderr
    assert "FROM docker.io/alongside-test/dnsmasq:bookworm" in tagged.stderr, "the progress is seen"

    assert "dns-1.0.0 runs and is ready" in alongside("up", "dns@1.0.0").stdout
    with pytest.raises(OSError):
        ask.dns_query(host.client, host.address4, "version.test", timeout=0.3)
    (local,) = {port["number"] for port in alongside.json("ps")["instances"][0]["local_ports"]}
    assert ask.dns_query(host, "127.0.0.1", "version.test", port=local) == ["bookworm"]
    assert ask.dns_query(host, "::1", "version.test", port=local, tcp=True) == ["bookworm"]

    switched = alongside("activate", "dns@1.0.0").stdout
    assert switched == "53/udp and 53/tcp now reach dns@1.0.0.\n"
    assert answers(host) == {"bookworm"}

    repository.release("1.1.0", dns_files("trixie"))
    alongside("up", "dns@1.1.0")
    assert answers(host) == {"bookworm"}, "up moves no port"
    alongside("activate", "dns@1.1.0", "-m", "Debian 13")
    assert answers(host) == {"trixie"}

    (service,) = alongside.json("status")["services"]
    assert (service["current"], service["rollback_to"]) == ("1.1.0", "1.0.0")
    assert [(one["version"], one["state"], one["routed"]) for one in service["versions"]] == [
        ("1.1.0", "running", True),
        ("1.0.0", "running", False),
    ]

    assert "now reach dns@1.0.0 (before: 1.1.0)" in alongside("rollback", "dns").stdout
    assert answers(host) == {"bookworm"}
    assert "is the first that had its ports" in alongside.refused("rollback", "dns")

    history = alongside.json("history", "dns")["history"]
    assert [(one["verb"], one["from"], one["to"], one["outcome"]) for one in history] == [
        ("rollback", "1.1.0", "1.0.0", "done"),
        ("activate", "1.0.0", "1.1.0", "done"),
        ("up", "", "1.1.0", "done"),
        ("build", "", "1.1.0", "done"),
        ("activate", "", "1.0.0", "done"),
        ("up", "", "1.0.0", "done"),
        ("build", "", "1.0.0", "done"),
    ]
    assert history[1]["message"] == "Debian 13"
    assert history[0]["actor"] == "root"
