"""Other owners' packet rules, as packets of ours meet them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address

from alongside.doctor.facts import Facts, Firewall, Wanted, seen
from alongside.doctor.finding import Finding, Seen, problem, warning
from alongside.doctor.foreign.rules import STOPS, Base, Fate, Packet, fate
from alongside.domain.port import Port, Protocol
from alongside.router.protocol import HostTarget, InstanceTarget, RoutedPort

# Our chains' priority in prerouting (router.compile). Among equals the later comes first.
OURS = -110
MOST = 64  # ports that are followed: each goes through thousands of rules on a big host


@dataclass(frozen=True, slots=True)
class _Stopped:
    """A packet of ours, and what somebody else's rules did to it."""

    port: Port
    fate: Fate
    packet: Packet


def taken(facts: Facts) -> Seen:
    """What has the packets of a public port before alongside's rules do."""
    rules, routed = seen(facts.firewall), seen(facts.wanted).ruleset.ports
    found = [
        _Stopped(one.port, end, packet)
        for one in routed[:MOST]
        for packet in _arriving(one.port, seen(facts.ports).addresses, _uplinks(rules))
        for end in _through(rules.bases, packet, "prerouting")
        if end.base.priority <= OURS
    ]
    return Seen.of(
        map(_taken, _once(found, by_port=True)),
        f"nothing comes before {_followed(len(routed), 'port')}",
    )


def _taken(one: _Stopped) -> Finding:
    find = warning if one.fate.doubt else problem
    if one.fate.verdict in STOPS:
        means = f"What comes for {one.port} is dropped before alongside sees it."
    elif one.fate.verdict == "notrack":
        means = (
            f"What comes for {one.port} is not tracked, and what is not tracked cannot be sent to "
            "an instance: it reaches whatever listens on the host itself, or nothing."
        )
    else:
        means = f"What comes for {one.port} goes where that rule says, and to no version."
    return find(
        f"{one.port} is taken by {one.fate} (priority {one.fate.base.priority}, before alongside's "
        f"{OURS}).",
        means,
        "Take the rule out, in the configuration of whoever wrote it, or give the service another "
        "port.",
        *_take_out(one.fate),
    )


def forwarding(facts: Facts) -> Seen:
    """What stops packets on their way from the wire to an instance."""
    rules, wanted = seen(facts.firewall), seen(facts.wanted)
    found = list(_forwarded(rules, wanted))
    return Seen.of(
        (_stopped(one, wanted) for one in _once(found)),
        f"{_followed(len(wanted.ruleset.ports), 'port')}, and nothing drops what goes to them",
    )


def _forwarded(rules: Firewall, wanted: Wanted) -> Iterator[_Stopped]:
    running = {one.reference for one in wanted.instances if one.state in ("running", "paused")}
    for routed in wanted.ruleset.ports[:MOST]:
        for choice in routed.choices:
            target = choice.target
            # An engine's own rules are there while the container runs.
            if not isinstance(target, InstanceTarget) or target.name not in running:
                continue
            for address in _targets(routed, target, wanted):
                for uplink in _uplinks(rules):
                    packet = Packet(
                        routed.port.protocol,
                        address,
                        target.port,
                        came_in=uplink,
                        goes_out=target.subnet.bridge,
                        here=False,
                        translated=True,
                    )
                    for end in _through(rules.bases, packet, "forward"):
                        yield _Stopped(routed.port, end, packet)
                    # The same packet, before it was known where it leaves.
                    for end in _through(rules.bases, replace(packet, goes_out=""), "prerouting"):
                        if end.base.priority > OURS and end.verdict in STOPS:
                            yield _Stopped(routed.port, end, packet)


def _stopped(one: _Stopped, wanted: Wanted) -> Finding:
    family = one.packet.to.version
    find = warning if one.fate.doubt else problem
    return find(
        f"{_capital(one.fate)} stops what is forwarded to instances over IPv{family}.",
        f"No other machine reaches {one.port} over IPv{family}, nor any other port of an "
        "instance's. An accept in alongside's table cannot undo another's drop.",
        "Let what was sent to instances by a public port pass, also in the configuration of "
        "whoever keeps those rules: they come back when it loads them anew.",
        *_let_pass(one, wanted),
    )


def local_input(facts: Facts) -> Seen:
    """What stops packets on their way from a container, or to what listens on the host."""
    rules, wanted = seen(facts.firewall), seen(facts.wanted)
    found = list(_inwards(rules, wanted))
    return Seen.of(
        (_unheard(one, wanted) for one in _once(found)),
        "nothing drops what comes from containers",
    )


def _inwards(rules: Firewall, wanted: Wanted) -> Iterator[_Stopped]:
    running = {one.reference for one in wanted.instances if one.state in ("running", "paused")}
    for routed in wanted.ruleset.ports[:MOST]:
        port = routed.port
        for choice in routed.choices:
            target = choice.target
            packets: list[Packet] = []
            if isinstance(target, InstanceTarget) and target.name in running:
                for address in (target.subnet.gateway4, target.subnet.proxy6):
                    if _of_family(port, address.version) and _has(wanted, address.version):
                        packets.append(
                            Packet(
                                port.protocol,
                                address,
                                target.local_port,
                                came_in=target.subnet.bridge,
                                translated=True,
                            )
                        )
            elif isinstance(target, HostTarget):
                packets += [
                    Packet(port.protocol, _SOME[4], target.port, came_in=uplink, translated=True)
                    for uplink in _uplinks(rules)
                ]
            for packet in packets:
                for end in _through(rules.bases, packet, "input"):
                    yield _Stopped(port, end, packet)


def _unheard(one: _Stopped, wanted: Wanted) -> Finding:
    family = one.packet.to.version
    find = warning if one.fate.doubt else problem
    if one.packet.to == _SOME[4]:
        return find(
            f"{_capital(one.fate)} stops what {one.port} is redirected to: {one.packet.number} on "
            "this host.",
            f"No other machine reaches {one.port}.",
            "Let it pass, also in the configuration of whoever keeps those rules.",
            _accept(one, f"{_number(one)} ct status dnat", _ctstate_dnat(one)),
        )
    first, last = wanted.local_ports
    ufw = [
        f"ufw allow proto {protocol} to {_network(one, wanted)} port {first}:{last}"
        for protocol in Protocol
        if _is_ufw(one.fate)
    ]
    return find(
        f"{_capital(one.fate)} stops what containers send to public ports over IPv{family}.",
        f"Containers on this host do not reach {one.port} over IPv{family}: they come by the "
        "host's own address, as a program of the host's would be reached. Other machines are "
        "not affected.",
        "Let them pass. Other machines never get there: alongside's guard drops them before.",
        *(ufw or _let_pass(one, wanted)),
    )


def readable(facts: Facts) -> Seen:
    rules = seen(facts.firewall)
    managers = [
        name for name, there in (("ufw", rules.ufw), ("firewalld", rules.firewalld)) if there
    ]
    findings = [
        warning(
            f"A table could not be read: {one}.",
            "Whether it drops or takes what comes for public ports is not known.",
            "Read it with the nft that wrote it; keep one version of nft on a host.",
        )
        for one in rules.unreadable
    ]
    findings += [
        warning(
            f"{name} is active, and public ports pass it by.",
            "They are open to everybody whatever its rules say, as every port is that Docker "
            "publishes: what goes to a container is forwarded, and its rules are about what comes "
            "to the host itself.",
            "Limit a port by binding it to one address in the compose file "
            '("192.0.2.7:80:80"), or by a rule where the engine leaves room for it, such as this '
            "one, which lets only 192.0.2.0/24 have port 80.",
            "iptables -I DOCKER-USER -m conntrack --ctorigdstport 80 --ctdir ORIGINAL "
            "! -s 192.0.2.0/24 -j DROP",
        )
        for name in managers
    ]
    return Seen.of(findings, f"{_count(len(rules.bases))} of others read")


_SOME: dict[int, IPv4Address | IPv6Address] = {
    4: IPv4Address("192.0.2.1"),  # stands for the host's own, where rules do not name it
    6: IPv6Address("2001:db8::1"),
}


def _arriving(
    port: Port, addresses: Iterable[IPv4Address | IPv6Address], uplinks: Iterable[str]
) -> Iterator[Packet]:
    """What a stranger sends, to the port's address or to one of the host's of each family."""
    where: dict[int, IPv4Address | IPv6Address] = {}
    for address in sorted(addresses, key=str):
        if not (address.is_loopback or address.is_link_local):
            where.setdefault(address.version, address)
    own = (
        [port.address] if port.address else [where.get(family, _SOME[family]) for family in (4, 6)]
    )
    for address in own:
        for uplink in uplinks:
            yield Packet(port.protocol, address, port.number, came_in=uplink)


def _through(bases: Iterable[Base], packet: Packet, hook: str) -> Iterator[Fate]:
    for base in bases:
        end = fate(base, packet) if base.hook == hook else None
        if end is not None and (end.verdict in STOPS or hook == "prerouting"):
            yield end


def _once(found: Iterable[_Stopped], *, by_port: bool = False) -> list[_Stopped]:
    """One finding a rule and port, or a rule and family."""
    kept: dict[tuple[object, ...], _Stopped] = {}
    for one in found:
        rule = one.fate.rule.name if one.fate.rule else ""
        of = str(one.port) if by_port else one.packet.to.version
        kept.setdefault((str(one.fate.base), one.fate.chain, rule, of), one)
    return list(kept.values())


def _targets(
    routed: RoutedPort, target: InstanceTarget, wanted: Wanted
) -> list[IPv4Address | IPv6Address]:
    return [
        one
        for one in (target.ipv4, target.ipv6)
        if _of_family(routed.port, one.version) and _has(wanted, one.version)
    ]


def _of_family(port: Port, version: int) -> bool:
    return port.address is None or port.address.version == version


def _has(wanted: Wanted, version: int) -> bool:
    return version == 4 or wanted.pool6 is not None


def _uplinks(rules: Firewall) -> tuple[str, ...]:
    return rules.uplinks or ("",)


# Remedies.


def _take_out(end: Fate) -> list[str]:
    base = end.base
    if base.by == "nft":
        where = f"{base.family} {base.table} {end.chain}"
        look = f"nft -a list chain {where}"
        return [look, f"nft delete rule {where} {end.rule.name}"] if end.rule else [look]
    if end.rule is None:
        return [f"{base.command} -t {base.table} -S {end.chain}"]
    line = end.rule.name.strip("`").removeprefix("-A ")
    return [f"{base.command} -t {base.table} -D {line}"]


def _let_pass(one: _Stopped, wanted: Wanted) -> list[str]:
    network = _network(one, wanted)
    if _is_ufw(one.fate):
        return [f"ufw route allow to {network}"]  # which it keeps; it lets answers pass itself
    ip = "ip6" if one.packet.to.version == 6 else "ip"
    commands = [_accept(one, f"{ip} daddr {network} ct status dnat", f"-d {network}")]
    if not _answers_pass(one):
        commands.append(
            _accept(
                one,
                f"{ip} saddr {network} ct state established,related",
                f"-s {network}",
                "ESTABLISHED,RELATED",
            )
        )
    return commands


def _is_ufw(end: Fate) -> bool:
    return any(name.startswith("ufw") for name in end.base.chains)


def _answers_pass(one: _Stopped) -> bool:
    """Whether the same chain lets the instance's answer pass."""
    if one.fate.base.hook != "forward":
        return True
    asked = one.packet
    answer = Packet(
        asked.protocol,
        _SOME[asked.to.version],
        40000,
        came_in=asked.goes_out,
        goes_out=asked.came_in,
        here=False,
        translated=True,
        state="established",
    )
    return fate(one.fate.base, answer) is None


def _accept(one: _Stopped, nft: str, iptables: str, state: str = "") -> str:
    base = one.fate.base
    if base.by == "nft":
        return f"nft insert rule {base.family} {base.table} {base.chain} {nft} accept"
    which = f"--ctstate {state or 'DNAT'}"
    return f"{base.command} -I {base.chain} {iptables} -m conntrack {which} -j ACCEPT"


def _number(one: _Stopped) -> str:
    return f"{one.packet.protocol} dport {one.packet.number}"


def _ctstate_dnat(one: _Stopped) -> str:
    return f"-p {one.packet.protocol} --dport {one.packet.number}"


def _network(one: _Stopped, wanted: Wanted) -> str:
    return str(wanted.pool4 if one.packet.to.version == 4 else wanted.pool6)


def _capital(end: Fate) -> str:
    text = str(end)
    return text[:1].upper() + text[1:]


def _followed(ports: int, what: str) -> str:
    if ports > MOST:
        return f"{MOST} of {ports} {what}s"
    return f"{ports} {what}{'' if ports == 1 else 's'}"


def _count(number: int) -> str:
    return f"{number} {'chain' if number == 1 else 'chains'}"
