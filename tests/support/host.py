"""A network namespace that is a whole host, and the clients that reach it."""

from __future__ import annotations

import itertools
import os
import subprocess
from pathlib import Path

from support import images
from support.engine import Engine
from support.namespace import Namespace
from support.remains import RUNS, STORES, Remains, Run

# RFC 5737's three documentation networks, one a link; RFC 3849 has the IPv6 one.
_LINKS = (
    ("198.51.100", "2001:db8:51:100"),
    ("203.0.113", "2001:db8:113"),
    ("192.0.2", "2001:db8:2"),
)
_numbers = itertools.count(1)
_run: Run | None = None


class Client(Namespace):
    """Somebody else's machine on one of a host's links. Its default route is the host, so that
    it can try to reach what is behind it."""

    def __init__(self, name: str, link: int) -> None:
        super().__init__(name)
        ipv4, ipv6 = _LINKS[link]
        self.interface = f"eth{link}"  # the host's end; its own is eth0
        self.address4, self.address6 = f"{ipv4}.2", f"{ipv6}::2"
        self.host4, self.host6 = f"{ipv4}.1", f"{ipv6}::1"


class Host(Namespace):
    """A machine: interfaces, nftables, conntrack and (when first asked for) a Docker engine.

        host.address4, host.address6     what `host.client` reaches it by (eth0)
        host.client                      198.51.100.2, 2001:db8:51:100::2
        host.neighbour()                 a second client on eth1, 203.0.113.2; a third on eth2
        host.image("nginx-bookworm")     a base image's tag, loaded when first asked for
        host.docker(["ps"])              Docker's command line, on its own engine
        host.environment                 DOCKER_HOST, DOCKER_CONFIG and HOME, for other programs
        host.folder                      a folder for the test, removed with the host

    Close it, or use it as a context manager. A crash leaves nothing that the next `sweep()`
    does not find.
    """

    def __init__(self, *engine_options: str) -> None:
        run = _this_run()
        number = next(_numbers)
        name = f"alongside-{run.token}-{number}"
        super().__init__(name)
        state = RUNS / run.token / str(number)
        self.folder = STORES / run.token / str(number)
        self._remains = Remains(
            (name, *(f"{name}-c{link}" for link in range(len(_LINKS)))),
            (str(state), str(self.folder)),
            name,
        )
        run.record(name, self._remains)
        self.engine = Engine(self, state / "engine", self.folder / "engine", name)
        self.docker_socket = self.engine.socket
        self.environment = {
            "DOCKER_HOST": f"unix://{self.docker_socket}",
            "DOCKER_CONFIG": str(self.folder / "home" / ".docker"),
            "HOME": str(self.folder / "home"),
        }
        self._engine_options = engine_options
        self._images: set[str] = set()
        self._clients: list[Client] = []
        try:
            self._make()
        except BaseException:
            self.close()
            raise

    def _make(self) -> None:
        (self.engine.state).mkdir(parents=True)
        (self.folder / "home" / ".docker").mkdir(parents=True)
        _ip(f"netns add {self.name}")
        _settle(self)
        self.client = self.neighbour()
        self.address4, self.address6 = self.client.host4, self.client.host6
        # A host has a default route, though nothing answers behind this one.
        _ip(
            f"-n {self.name} route add default via {self.client.address4}",
            f"-n {self.name} route add default via {self.client.address6}",
        )

    def neighbour(self) -> Client:
        """One more client, on a link of its own. There are three links."""
        link = len(self._clients)
        client = Client(f"{self.name}-c{link}", link)
        self._clients.append(client)
        _ip(f"netns add {client.name}")
        # A client makes more connections than its ports would bear for the usual minute.
        _settle(client, "net.ipv4.ip_local_port_range=2048 65535", "net.ipv4.tcp_tw_reuse=1")
        here, there = self.name, client.name
        _ip(
            f"-n {here} link add eth{link} type veth peer name eth0 netns {there}",
            f"-n {here} address add {client.host4}/24 dev eth{link}",
            f"-n {here} address add {client.host6}/64 dev eth{link} nodad",
            f"-n {there} address add {client.address4}/24 dev eth0",
            f"-n {there} address add {client.address6}/64 dev eth0 nodad",
            f"-n {here} link set eth{link} up",
            f"-n {there} link set eth0 up",
            f"-n {there} route add default via {client.host4}",
            f"-n {there} route add default via {client.host6}",
        )
        return client

    # -- the engine ----------------------------------------------------------------------

    def engine_start(self) -> None:
        """Start the engine if it does not run. Every verb below does it by itself."""
        if not self.engine.pid:
            self.engine.start(*self._engine_options)

    def engine_restart(self) -> None:
        """As `systemctl restart docker`: containers stop, and start by their restart policy."""
        self.engine.restart(*self._engine_options)

    def engine_kill(self) -> None:
        """SIGKILL to dockerd; containers run on. `engine_start` starts it again."""
        self.engine.kill()

    def docker(
        self,
        argv: list[str],
        *,
        check: bool = True,
        input: str | None = None,  # noqa: A002 - as subprocess.run has it
        cwd: str | os.PathLike[str] | None = None,
        timeout: float = 300,
    ) -> subprocess.CompletedProcess[str]:
        """`docker …` on the host's own engine."""
        self.engine_start()
        return self.run(["docker", *argv], check=check, input=input, cwd=cwd, timeout=timeout)

    def load(self, archive: str | os.PathLike[str]) -> None:
        """`docker load` of an image archive."""
        self.docker(["load", "--quiet", "--input", os.fspath(archive)])

    def image(self, name: str) -> str:
        """The tag of one of support.images' base images, once the engine has it: for
        `FROM alongside-test/dnsmasq:bookworm`, or to run as it is."""
        tag = images.RECIPES[name].tag
        if tag not in self._images:
            self.load(images.archive(name))
            self._images.add(tag)
        return tag

    # -- the end -------------------------------------------------------------------------

    def close(self) -> None:
        """Away with all of it, quickly: killed, not stopped. May be called again."""
        for client in self._clients:
            client.close()
        super().close()
        self._remains.remove()
        _this_run().forget(self.name)

    def __enter__(self) -> Host:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _this_run() -> Run:
    global _run  # noqa: PLW0603 - one entry a process, made with the first host
    if _run is None:
        _run = Run()
    return _run


def close_run() -> None:
    """At the end of a process that made hosts: take its entry away."""
    global _run  # noqa: PLW0603
    if _run is not None:
        _run.close()
        _run = None


def _ip(*commands: str) -> None:
    for command in commands:
        subprocess.run(["ip", *command.split()], check=True, stdin=subprocess.DEVNULL)


def _settle(namespace: Namespace, *more: str) -> None:
    """Loopback up, and the sysctls of a Debian or Ubuntu machine, except that an IPv6 address
    is usable at once (duplicate address detection takes a second)."""
    settings = (
        "net.ipv4.ip_forward=0",
        "net.ipv4.conf.default.rp_filter=2",  # systemd's 50-default.conf
        "net.ipv4.ping_group_range=0 2147483647",
        "net.ipv6.conf.all.disable_ipv6=0",
        "net.ipv6.conf.default.disable_ipv6=0",
        "net.ipv6.conf.default.accept_dad=0",
        "net.ipv6.conf.all.accept_ra=0",
        "net.ipv6.conf.default.accept_ra=0",
        *more,
    )
    with namespace.inside():
        for setting in settings:
            name, _, value = setting.partition("=")
            Path("/proc/sys", name.replace(".", "/")).write_text(value)
    _ip(f"-n {namespace.name} link set lo up")
