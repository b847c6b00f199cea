"""The same questions on every host: who reaches a service's public port, and seen as whom.

site = Site(host)                  web@1 and web@2 are up, web@1 has 7/udp and 7/tcp and 80
site.answers()                     {"client tcp4": "its own address", "loopback udp6": "ok", …}
site.reached_by_outsiders()        local ports and addresses that answered: should be none
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from support import ask
from support.host import Client, Host
from support.installation import Installation, load_images, web_files
from support.load import Load
from support.namespace import Namespace

EVERY = tuple(f"{protocol}{family}" for protocol in ("tcp", "udp") for family in (4, 6))
# Who asks, and where: the host's own address, or loopback.
ASKERS = ("client", "host", "loopback", "container", "itself")

OWN = "its own address"  # the container saw who asked
OTHER = "another address"  # it saw somebody on the way
NOTHING = "no answer"


def expected(**changed: str) -> dict[str, str]:
    """What `Site.answers` has on a host where all works; `loopback="no answer"` or
    `container_tcp6=…` where it does not."""
    found = {
        f"{asker} {which}": OWN if asker in ("client", "host") else OTHER
        for asker in ASKERS
        for which in EVERY
    }
    for name, answer in changed.items():
        who, _, which = name.partition("_")
        for one in found:
            if one.startswith(f"{who} {which}"):
                found[one] = answer
    return found


class Inside(Namespace):
    """A running container's network."""

    def __init__(self, host: Host, container: str) -> None:
        super().__init__(container)
        found = host.docker(["inspect", "--format", "{{.State.Pid}}", container]).stdout
        self.path = Path(f"/proc/{int(found)}/ns/net")


class Site:
    """web@1 and web@2 on a host, web@1 with the ports."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.neighbour: Client | None = None  # on a second link, where a test has one
        load_images(host, "responder")
        self.alongside = Installation(host)
        self.alongside.start()
        self.repository = self.alongside.repository("site", web_files())
        for version in ("1", "2"):
            self.repository.release(version, {})
            self.alongside("up", f"web@{version}")
        self.said = self.alongside("activate", "web@1").stdout  # what it said to it

    def running(self) -> None:
        """After the engine's restart: until both run again. The daemon sees to it; this waits."""
        for version in ("1", "2"):
            self.alongside("up", f"web@{version}")

    def instance(self, version: str) -> dict[str, Any]:
        name = f"web-{version}"
        found = self.alongside.json("ps")["instances"]
        return next(one for one in found if one["name"] == name)

    def wait_for_problem(self, words: str, *, there: bool = True, timeout: float = 20) -> str:
        """The problem with these words in it, once `status` shows it (or, if not `there`, "" once
        it does not)."""
        deadline = time.monotonic() + timeout
        while True:
            found = next((one for one in self.problems() if words in one), "")
            if bool(found) == there:
                return found
            assert time.monotonic() < deadline, self.alongside.words()
            time.sleep(0.1)

    def switches_lose_nothing(self) -> None:
        """From outside, over both families, while the ports go there and back."""
        host = self.host
        with (
            Load(host.client, "tcp", host.address4, 7, workers=2) as four,
            Load(host.client, "tcp", host.address6, 7, workers=1) as six,
        ):
            for version in ("2", "1"):
                self.alongside("activate", f"web@{version}")
                done = time.monotonic_ns()
                four.wait_for(100)
                six.wait_for(50)
            for report in (four.stop(), six.stop()):
                assert not report.failures
                assert set(report.versions) == {"1", "2"}
                assert {answer.version for answer in report.asked_after(done)} == {"1"}

    def problems(self) -> list[str]:
        return self.alongside.json("status")["problems"]

    def answers(
        self, askers: Iterable[str] = ASKERS, to: tuple[str, str] | None = None, port: int = 7
    ) -> dict[str, str]:
        """`to`: the IPv4 and the IPv6 address that is asked, where it is not the first."""
        host = self.host
        own = to or (host.address4, host.address6)
        instance = self.instance("1")
        places: dict[str, tuple[Namespace, tuple[str, str], tuple[str, str]]] = {
            "client": (host.client, own, (host.client.address4, host.client.address6)),
            "host": (host, own, own),
            "loopback": (host, ("127.0.0.1", "::1"), ("127.0.0.1", "::1")),
            "container": (Inside(host, "web-2"), own, _addresses(self.instance("2"))),
            "itself": (Inside(host, "web-1"), own, _addresses(instance)),
        }
        questions: dict[str, Callable[[], str]] = {}
        for asker in askers:
            source, there, mine = places[asker]
            for which in EVERY:
                number = 0 if which.endswith("4") else 1
                questions[f"{asker} {which}"] = _question(
                    source, which[:3], there[number], mine[number], port
                )
        with ThreadPoolExecutor(len(questions)) as pool:  # those that wait, wait together
            return dict(
                zip(questions, pool.map(lambda one: one(), questions.values()), strict=True)
            )

    def reached_by_outsiders(self) -> list[str]:
        """What a neighbour that routes everything over the host gets an answer from, of all that
        is the host's own."""
        host, place = self.host, self.instance("1")
        (local,) = {one["number"] for one in place["local_ports"] if one["target"] == 7}
        gateway = ".".join(
            [*place["address4"].split(".")[:3], str(int(place["address4"].split(".")[3]) - 1)]
        )
        doors = [
            (place["address4"], 7),
            (place["address6"], 7),
            (gateway, local),
            (host.address4, local),
            (host.address6, local),
        ]
        with ThreadPoolExecutor(len(doors)) as pool:
            found = pool.map(lambda door: _answers(host.client, *door), doors)
        return [
            f"{door[0]} {door[1]}" for door, reached in zip(doors, found, strict=True) if reached
        ]


def _addresses(instance: dict[str, Any]) -> tuple[str, str]:
    return instance["address4"], instance["address6"]


def _question(
    source: Namespace, protocol: str, there: str, mine: str, port: int
) -> Callable[[], str]:
    def question() -> str:
        asking = ask.line if protocol == "tcp" else ask.datagram
        try:
            version, saw, _ = asking(source, there, port, "x", timeout=3).split()
        except OSError:
            return NOTHING
        assert version == "1"
        return OWN if saw == mine else OTHER

    return question


def _answers(source: Namespace, address: str, port: int) -> bool:
    for asking in (ask.line, ask.datagram):
        try:
            asking(source, address, port, timeout=0.5)
        except OSError:
            continue
        return True
    return False
