"""Clearing one service's stale UDP flows among 100,000 live ones of another.

Real datagrams from one client, each from a port of its own, through the service's public port.
The time is that of the step `clean-udp`; the second look, a second later, is not in it.
"""

from __future__ import annotations

import socket
from statistics import median

from alongside.client import Client
from bench.results import Aim
from bench.stage import Stage
from support.host import Host
from support.installation import Installation, load_images

PART = "UDP flows"
LIVE, STALE = 100_000, 1_000
_ADDRESSES = 4  # of the client: one has not ports enough
_TIMES = 5
_LIVE_PORT, _MOVED_PORT = 7, 9

_COMPOSE = "services:\n" + "".join(
    f"  {name}:\n    image: repo/{name}:${{tag:-latest}}\n    build: .\n    ports: ['{port}/udp']\n"
    for name, port in (("busy", _LIVE_PORT), ("moved", _MOVED_PORT))
)
_DOCKERFILE = "FROM alongside-test/responder:latest\nENV PORTS='7 9'\n"


def run(stage: Stage) -> None:
    stage.say(f"flows: {LIVE:,} live, {STALE:,} stale, {_TIMES} times")
    with Host() as host:
        load_images(host, "responder")
        installation = Installation(host)
        installation.start()
        files = {"compose.yaml": _COMPOSE, "Dockerfile": _DOCKERFILE}
        repository = installation.repository("flows", files)
        for version in ("1", "2"):
            repository.release(version, {})
            installation("up", f"moved@{version}")
        for service in ("busy", "moved"):
            installation("activate", f"{service}@1")
        # A flow that was answered once lives two minutes, whatever else there is.
        host.sysctl("net.netfilter.nf_conntrack_udp_timeout", 300)
        _open(host, _LIVE_PORT, LIVE)
        client = Client(str(installation.socket))
        found, seconds, left = 0, [], []
        for number in range(_TIMES):
            _open(host, _MOVED_PORT, STALE)
            found = _count(host)
            reference = f"moved@{2 - number % 2}"
            for event in client.change("activate", {"reference": reference}):
                if event.get("name") == "clean-udp" and event["state"] == "done":
                    seconds.append(event["seconds"])
            left.append(_count(host, port=_MOVED_PORT))
    note = f"{found:,} entries in conntrack"
    stage.results.add(PART, "clean-up", median(seconds), "s", aim=Aim("<", 1), note=note)
    stage.results.add(PART, "stale ones left", max(left), aim=Aim("=", 0))
    stage.results.raw[PART] = {"seconds": seconds, "left": left}


def _open(host: Host, port: int, count: int) -> None:
    """`count` flows to a public port, each from an address and port of its own."""
    each = count // _ADDRESSES
    for number in range(_ADDRESSES):
        address = f"198.51.100.{10 + number}"
        host.client.run(["ip", "address", "replace", f"{address}/24", "dev", "eth0"])
        host.client.call(_send, address, host.address4, port, each)


def _send(source: str, destination: str, port: int, count: int) -> None:
    for number in range(count):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            one.bind((source, 10_000 + number))
            one.sendto(b"x", (destination, port))


def _count(host: Host, port: int | None = None) -> int:
    words = ["conntrack", "-L", "-p", "udp", "--orig-dst", host.address4]
    words += ["--orig-port-dst", str(port)] if port else []
    return host.run(words).stdout.count("udp ")
