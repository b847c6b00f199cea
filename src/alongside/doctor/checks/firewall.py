"""Other owners' packet rules, as packets of ours meet them."""

from __future__ import annotations

from alongside.doctor.facts import Facts, Wanted, seen
from alongside.doctor.finding import Finding, Seen, problem, warning
from alongside.doctor.foreign.remedies import let_in, let_pass, take_out
from alongside.doctor.foreign.rules import STOPS, Fate
from alongside.doctor.foreign.ways import MOST, OURS, Stopped, arrivals, forwarded, inwards, once


def taken(facts: Facts) -> Seen:
    """What has the packets of a public port before alongside's rules do."""
    rules, routed = seen(facts.firewall), seen(facts.wanted).ruleset.ports
    found = arrivals(routed, rules, seen(facts.ports).addresses)
    return Seen.of(
        map(_taken, once(found, by_port=True)),
        f"nothing comes before {_followed(len(routed), 'port')}",
    )


def _taken(one: Stopped) -> Finding:
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
        *take_out(one.fate),
    )


def forwarding(facts: Facts) -> Seen:
    """What stops packets on their way from the wire to an instance."""
    rules, wanted = seen(facts.firewall), seen(facts.wanted)
    return Seen.of(
        (_stopped(one, wanted) for one in once(forwarded(rules, wanted))),
        f"{_followed(len(wanted.ruleset.ports), 'port')}, and nothing drops what goes to them",
    )


def _stopped(one: Stopped, wanted: Wanted) -> Finding:
    family = one.packet.to.version
    find = warning if one.fate.doubt else problem
    what = "rule" if one.fate.rule else "policy"
    return find(
        f"{_capital(one.fate)} stops what is forwarded to instances over IPv{family}.",
        f"No other machine reaches {one.port} over IPv{family}, nor what else that {what} is "
        "about. An accept in alongside's table cannot undo another's drop.",
        "Let what was sent to instances by a public port pass, also in the configuration of "
        "whoever keeps those rules: they come back when it loads them anew.",
        *let_pass(one, wanted),
    )


def local_input(facts: Facts) -> Seen:
    """What stops packets on their way from a container, or to what listens on the host."""
    rules, wanted = seen(facts.firewall), seen(facts.wanted)
    return Seen.of(
        (_unheard(one, wanted) for one in once(inwards(rules, wanted))),
        "nothing drops what comes from containers",
    )


def _unheard(one: Stopped, wanted: Wanted) -> Finding:
    family = one.packet.to.version
    find = warning if one.fate.doubt else problem
    if one.to_host:
        return find(
            f"{_capital(one.fate)} stops what {one.port} is redirected to: {one.packet.number} on "
            "this host.",
            f"No other machine reaches {one.port}.",
            "Let it pass, also in the configuration of whoever keeps those rules.",
            *let_in(one, wanted),
        )
    return find(
        f"{_capital(one.fate)} stops what containers send to public ports over IPv{family}.",
        f"Containers on this host do not reach {one.port} over IPv{family}: they come by the "
        "host's own address, as a program of the host's would be reached. Other machines are "
        "not affected.",
        "Let them pass. Other machines never get there: alongside's guard drops them before.",
        *let_in(one, wanted),
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


def _capital(end: Fate) -> str:
    text = str(end)
    return text[:1].upper() + text[1:]


def _followed(ports: int, what: str) -> str:
    if ports > MOST:
        return f"{MOST} of {ports} {what}s"
    return f"{ports} {what}{'' if ports == 1 else 's'}"


def _count(number: int) -> str:
    return f"{number} {'chain' if number == 1 else 'chains'}"
