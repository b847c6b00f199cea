"""The kernel and its settings."""

from __future__ import annotations

from collections.abc import Iterator

from alongside.doctor.facts import Facts, Failed, Kernel, Unseen, seen
from alongside.doctor.finding import Finding, Seen, problem, warning
from alongside.engine.protocol import NFTABLES, EngineInfo

_REJECTS = (5, 9)  # reject in prerouting
_UNLINKS = (6, 2)  # a chain can be deleted in the transaction that unlinks it
_FULL = 0.95  # parts of the connection tracking's table
_NEARLY = 0.8
_FORWARD4 = "net.ipv4.ip_forward"
_FORWARD6 = "net.ipv6.conf.all.forwarding"
_FORWARD6_LATER = "net.ipv6.conf.default.forwarding"
_NO_IPV6 = "net.ipv6.conf.all.disable_ipv6"


def version(facts: Facts) -> Seen:
    kernel = seen(facts.kernel)
    said = f"Linux {'.'.join(map(str, kernel.release))}"
    if kernel.release < _REJECTS:
        return Seen(
            said,
            (
                problem(
                    f"{said} cannot reject in prerouting: that came with 5.9.",
                    "A port whose split is empty cannot be committed.",
                    "Use the distribution's current kernel.",
                    "apt-get install --only-upgrade linux-image-generic || "
                    "apt-get install --only-upgrade linux-image-amd64",
                ),
            ),
        )
    if kernel.release < _UNLINKS:
        said += "; chains of removed ports are deleted a change later"
    return Seen(said)


def ip_forward(facts: Facts) -> Seen:
    kernel = seen(facts.kernel)
    if kernel.settings.get(_FORWARD4) != "0":
        return Seen("IPv4 is forwarded")
    if isinstance(facts.engine, Failed):
        return Seen(
            "IPv4 is not forwarded; the engine turns it on when it starts (with its nftables "
            f"backend it does not: it then starts after `sysctl -w {_FORWARD4}=1`)"
        )
    return Seen(
        f"{_FORWARD4} is 0",
        (
            problem(
                f"{_FORWARD4} is 0.",
                "No other machine reaches any port over IPv4: the kernel does not hand packets on "
                "to containers. "
                + (
                    "The engine's nftables backend does not turn it on, and makes no network."
                    if _leaves_it(facts)
                    else "The engine turns it on when it starts; something turned it off."
                ),
                "Turn it on, now and at every start; see who turns it off with grep.",
                *_lasting(f"{_FORWARD4}=1"),
                "grep -r ip_forward /etc/sysctl.conf /etc/sysctl.d /etc/ufw/sysctl.conf",
            ),
        ),
    )


def ipv6_forward(facts: Facts) -> Seen:
    kernel = seen(facts.kernel)
    if _FORWARD6 not in kernel.settings or kernel.settings.get(_NO_IPV6) == "1":
        return Seen("IPv6 is off on this host")
    leaves = _leaves_it(facts)
    off = [one for one in (_FORWARD6, _FORWARD6_LATER) if kernel.settings.get(one) == "0"]
    if not off or (not leaves and _FORWARD6 not in off):
        return Seen("IPv6 is forwarded")
    wanted = facts.wanted
    if isinstance(wanted, Unseen):
        needed = kernel.bridges
    else:
        needed = any(one.proxy6 for one in wanted.instances)
    if not needed and not leaves:
        return Seen("IPv6 is not forwarded yet; the engine turns it on with the first instance")
    if not leaves:
        off = [_FORWARD6]
    first = [_accept(name) for name in _listening(kernel)]
    trap = (
        " First have the interfaces that take router advertisements go on taking them: a host "
        "that forwards drops them (accept_ra 1), and with them its default route."
        if first
        else ""
    )
    return Seen(
        f"{' and '.join(off)} {'is' if len(off) == 1 else 'are'} 0",
        (
            problem(
                f"{' and '.join(off)} {'is' if len(off) == 1 else 'are'} 0.",
                "No other machine reaches any port over IPv6: the kernel does not hand packets on "
                "to containers."
                + (
                    " The engine's nftables backend does not turn it on, and makes no network: no "
                    "version can be started."
                    if leaves
                    else ""
                ),
                f"Turn it on, now and at every start.{trap}",
                *_lasting(*first, *(f"{one}=1" for one in off)),
            ),
        ),
    )


def _leaves_it(facts: Facts) -> bool:
    """Whether the engine wants forwarding on, and leaves turning it on to others."""
    return isinstance(facts.engine, EngineInfo) and facts.engine.firewall == NFTABLES


def accept_ra(facts: Facts) -> Seen:
    """Forwarding makes an interface with accept_ra 1 drop router advertisements (kernel's
    ip-sysctl.rst)."""
    kernel = seen(facts.kernel)
    names = [one for one in kernel.advertised if one in _listening(kernel)]
    if not names:
        return Seen("no default route hangs on accept_ra")
    return Seen(
        f"{', '.join(names)} would lose its IPv6 default route",
        (
            warning(
                f"{', '.join(names)} has its IPv6 default route from router advertisements, and "
                "its accept_ra is 1.",
                "A host that forwards IPv6, as the engine makes it, drops advertisements there: "
                "when the last one expires the host has no way out, and IPv6 clients get no "
                "answer.",
                "Have it take them all the same.",
                *_lasting(*map(_accept, names)),
            ),
        ),
    )


def _listening(kernel: Kernel) -> list[str]:
    """The interfaces that take router advertisements as long as nothing is forwarded."""
    found = []
    for key, value in kernel.settings.items():
        name = key.removeprefix("net.ipv6.conf.").removesuffix(".accept_ra")
        if key.endswith(".accept_ra") and value == "1" and name not in ("all", "default", "lo"):
            found.append(name)
    return sorted(found)


def _accept(interface: str) -> str:
    # sysctl(8) takes slashes where a name holds dots.
    if "." in interface:
        return f"net/ipv6/conf/{interface}/accept_ra=2"
    return f"net.ipv6.conf.{interface}.accept_ra=2"


def _lasting(*settings: str) -> Iterator[str]:
    """Now, and at every start."""
    for setting in settings:
        yield f"sysctl -w {setting}"
    lines = "".join(f"{setting}\\n" for setting in settings)
    yield f"printf '{lines}' >> /etc/sysctl.d/60-alongside.conf"


def rp_filter(facts: Facts) -> Seen:
    """Strict is harmless: the kernel asks for the client's address alone, which nothing here
    changes before it asks."""
    settings = seen(facts.kernel).settings
    every = int(settings.get("net.ipv4.conf.all.rp_filter", "0"))
    names = [
        key.removeprefix("net.ipv4.conf.").removesuffix(".rp_filter")
        for key, value in settings.items()
        if key.endswith(".rp_filter") and max(every, int(value)) == 1  # the higher one counts
    ]
    strict = sorted(set(names) - {"all", "default", "lo"})
    return Seen(f"strict on {', '.join(strict)}, which does no harm" if strict else "not strict")


def conntrack(facts: Facts) -> Seen:
    kernel = seen(facts.kernel)
    if kernel.conntrack is None:
        return Seen("nothing is tracked yet")
    count, most = kernel.conntrack
    said = f"{count} of {most} connections"
    return Seen(said, tuple(_conntrack(count, most)))


def _conntrack(count: int, most: int) -> Iterator[Finding]:
    part = count / most
    if part < _NEARLY:
        return
    make = problem if part >= _FULL else warning
    yield make(
        f"{count} of at most {most} connections are tracked ({part:.0%}).",
        "When the table is full the kernel drops packets of new connections, to every port.",
        "Let it hold more: an entry takes about 400 bytes.",
        *_lasting(f"net.netfilter.nf_conntrack_max={2 * most}"),
    )
