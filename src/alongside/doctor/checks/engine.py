"""The engine, and what it was told."""

from __future__ import annotations

import re
from collections.abc import Iterator

from alongside.doctor.facts import EngineOptions, Facts, Failed, NotSeen, Unseen, seen
from alongside.doctor.finding import Finding, Seen, problem, warning
from alongside.engine.protocol import NFTABLES

OLDEST = (20, 10)  # Debian 12's; older ones are untried
_IP6TABLES_BY_DEFAULT = 27  # https://docs.docker.com/engine/release-notes/27/
_RESTART = "systemctl restart docker"


def engine(facts: Facts) -> Seen:
    if isinstance(facts.engine, Failed):
        said = facts.engine.why
        return Seen(
            "the engine does not answer",
            (
                problem(
                    said,
                    "Nothing can be built, started or stopped. What runs goes on, and so do the "
                    "ports, as long as its containers do.",
                    "Start it, and see why it ended. DOCKER_HOST names another engine.",
                    "systemctl start docker",
                    "journalctl --unit docker --since -10min",
                ),
            ),
        )
    info = seen(facts.engine)
    restore = "instances run on while it restarts" if info.live_restore else "no live-restore"
    said = f"Docker {info.version}, API {info.api}, {restore}"
    return Seen(said, tuple(_engine(facts)))


def _engine(facts: Facts) -> Iterator[Finding]:
    info = seen(facts.engine)
    if info.rootless:
        yield problem(
            "The engine is a rootless one.",
            "Its containers are in a network of their own, which this host's ports do not reach.",
            "Use an engine that runs as root: start the daemon with its DOCKER_HOST.",
            "DOCKER_HOST=unix:///var/run/docker.sock alongside daemon",
        )
    if not facts.engine_host.startswith("unix://"):
        yield warning(
            f"The engine is reached by {facts.engine_host}.",
            "alongside can only route to containers of the very host that it runs on.",
            "Name this host's own engine by its socket.",
            "DOCKER_HOST=unix:///var/run/docker.sock alongside daemon",
        )
    if _version(info.version) < OLDEST:
        yield warning(
            f"Docker {info.version} is older than any that was tried.",
            "Nothing is known about how it filters and publishes.",
            "Upgrade the engine to 20.10 or later.",
        )


def firewall_backend(facts: Facts) -> Seen:
    info = seen(facts.engine)
    return Seen.of(_backend(facts), f"{info.firewall or 'iptables'}, by the engine")


def _backend(facts: Facts) -> Iterator[Finding]:
    info, options = seen(facts.engine), facts.options
    if info.firewall == NFTABLES:
        yield warning(
            f"Docker {info.version} uses its nftables backend, which its makers call experimental.",
            "It has no chain DOCKER-USER; its accepts do not undo what another table drops (ufw, "
            "for one); and it does not turn forwarding on. Checks of this doctor look for each.",
            f"Go back to iptables in {_file(options)}, then restart the engine.",
            f'{{"firewall-backend": "iptables"}}  # in {_file(options)}',
            _RESTART,
        )
    if isinstance(options, EngineOptions) and not options.iptables:
        yield warning(
            "The engine was told to leave iptables alone (`iptables: false`).",
            "Ports are served as always. But nobody masquerades: instances get no answer from "
            "networks that do not know their addresses, the internet first. Nor is a container "
            "kept from those of other networks.",
            f"Let it, or masquerade by rules of your own. Without the line in {options.file} and "
            "with the engine restarted it does.",
            _RESTART,
        )
    if isinstance(options, EngineOptions) and options.ip6tables is False and _by_default(facts):
        yield warning(
            "The engine was told to leave ip6tables alone (`ip6tables: false`).",
            "It does not masquerade IPv6: instances reach nothing outside by it.",
            f"Take the line out of {options.file}, then restart the engine.",
            _RESTART,
        )


def _by_default(facts: Facts) -> bool:
    return _version(seen(facts.engine).version) >= (_IP6TABLES_BY_DEFAULT,)


def userland_proxy(facts: Facts) -> Seen:
    """By the engine's own words, and by who listens where an instance's local port is to be."""
    options = facts.options
    if isinstance(options, Unseen) and not _nobody_listens(facts):
        raise NotSeen(options.why)
    if isinstance(options, EngineOptions) and options.userland_proxy:
        return Seen("docker-proxy serves local ports")
    means = (
        "Ports do not answer on 127.0.0.1 and [::1], and not to containers; nor do local ports "
        "answer to people and probes over IPv6. Other machines and the host's own addresses "
        "are served as always."
    )
    found = problem(
        "The engine's userland proxy is off (`userland-proxy: false`).",
        means,
        f"Turn it on: take the line out of {_file(options)} (or off dockerd's command line), "
        "restart the engine, and instances are served again when they have started anew.",
        _RESTART,
    )
    return Seen("the userland proxy is off", (found,))


def _nobody_listens(facts: Facts) -> bool:
    """Instances run, and nothing listens on any of their local ports."""
    if isinstance(facts.wanted, Unseen) or isinstance(facts.ports, Unseen):
        return False
    wanted, ports = facts.wanted, facts.ports
    numbers = {
        local
        for one in wanted.instances
        if one.state == "running" and not one.on_host
        for local in one.local_ports
    }
    heard = {(one.protocol.value, one.number) for one in ports.listeners}
    return bool(numbers) and not numbers & heard


def _file(options: EngineOptions | Unseen) -> str:
    return options.file if isinstance(options, EngineOptions) else "/etc/docker/daemon.json"


def _version(text: str) -> tuple[int, ...]:
    found = re.match(r"(\d+)\.(\d+)", text)
    return tuple(int(part) for part in found.groups()) if found else OLDEST


def requirements(facts: Facts) -> Seen:
    tools = seen(facts.tools)
    return Seen.of(
        (
            problem(
                f"This host lacks {one.what}.",
                "The daemon does not start without it.",
                one.remedy,
            )
            for one in tools.missing
        ),
        f"nft {', '.join(sorted(set(tools.nft.values())))}, Compose {tools.compose}",
    )


def buildx(facts: Facts) -> Seen:
    tools = seen(facts.tools)
    if tools.buildx:
        return Seen(f"buildx {tools.buildx}")
    return Seen(
        "there is no buildx",
        (
            warning(
                "`docker buildx` is not there.",
                "Images are built by the engine's old builder, or not at all: newer Composes "
                "refuse. What is released already is not touched by it.",
                "Install the package docker-buildx (Debian 13, Ubuntu) or docker-buildx-plugin "
                "(Docker's own).",
                "apt-get install docker-buildx",
            ),
        ),
    )


def nft_versions(facts: Facts) -> Seen:
    tools = seen(facts.tools)
    said = ", ".join(f"{path} {version}" for path, version in tools.nft.items())
    if len(set(tools.nft.values())) < 2:
        return Seen(said or "no nft")
    return Seen(
        said,
        (
            warning(
                f"There are {len(tools.nft)} nfts of different versions: {said}.",
                "nft 1.0.6 crashes when it lists a table that 1.1.3 has written, and then the "
                "daemon cannot put its own right.",
                "Keep one, the distribution's. Containers that manage the host's firewall bring "
                "their own: use a matching one there.",
                *(f"ls -l {path}" for path in tools.nft),
            ),
        ),
    )
