"""What the daemon wants of this host, and what there is."""

from __future__ import annotations

from collections.abc import Iterator

from alongside.doctor.facts import Facts, seen
from alongside.doctor.finding import Finding, Seen, problem, warning
from alongside.router.table import TABLE

_LOG = "journalctl --unit alongside --since -10min"


def instances(facts: Facts) -> Seen:
    seen(facts.engine)  # without it, no state is known
    wanted = [one for one in seen(facts.wanted).instances if one.wanted]
    found = []
    for one in wanted:
        if one.state in ("running", "paused"):
            continue
        state = "has no container" if one.state == "none" else f"is {one.state}"
        means = "It has ports, and nobody answers on them." if one.routed else "It has no ports."
        find = problem if one.routed else warning
        found.append(
            find(
                f"{one.name} is to run, and {state}.",
                means,
                "The daemon brings it back; see what ended it.",
                f"alongside logs {one.reference} --tail 20",
                f"alongside up {one.reference}",
            )
        )
    found += [
        problem(
            sentence,
            "Versions that need it may fail although they are running.",
            "The daemon brings it back; see what ended it.",
            "alongside ps",
        )
        for sentence in seen(facts.wanted).lacking
    ]
    running = f"{len(wanted)} to run, and all do" if wanted else "none is to run"
    return Seen.of(found, running)


def images(facts: Facts) -> Seen:
    found = []
    for one in seen(facts.images):
        find = problem if one.needed else warning
        means = (
            "It runs on while its container is there, and cannot be started anew."
            if one.needed
            else "It cannot be started, nor rolled back to."
        )
        found.append(find(one.message, means, one.hint))
    return Seen.of(found, "every release has its image")


def table(facts: Facts) -> Seen:
    ports = len(seen(facts.wanted).ruleset.ports)
    if seen(facts.table):
        return Seen(f"as wanted, with {ports} public ports")
    return Seen(
        f"table {TABLE} is not as wanted",
        (
            problem(
                f"The table {TABLE} is not what the daemon has written.",
                "Public ports may lead elsewhere, or nowhere, and instances may be reached by "
                "other machines.",
                "The daemon puts it back within a second. Where it stays so, something takes it "
                "away again and again: its log says so, and nft shows who.",
                f"nft list table {TABLE}",
                "timeout 60 nft monitor",
            ),
        ),
    )


def proxy_address(facts: Facts) -> Seen:
    """The address on lo that packets from containers take over IPv6 (decision 2)."""
    addresses = seen(facts.ports).addresses
    wanted = {
        one.proxy6
        for one in seen(facts.wanted).instances
        if one.proxy6 is not None and not one.on_host and one.state == "running"
    }
    missing = sorted(wanted - addresses)
    found = (
        problem(
            f"{address} is not on lo.",
            "Containers do not reach public ports over IPv6, and instances do not start.",
            "Put it back; the daemon does so too when it starts.",
            f"ip -6 address replace {address}/128 dev lo",
        )
        for address in missing
    )
    return Seen.of(found, "on lo" if wanted else "not needed yet")


def parts(facts: Facts) -> Seen:
    """One that is tried again is a warning: the daemon sees to it."""
    found = []
    for one in seen(facts.wanted).parts:
        if one.hangs:
            means = "What it does is not done. systemd restarts the daemon because of it."
            remedy = "Without systemd, restart the daemon yourself. Its log says more."
            found.append(problem(one.message, means, remedy, _LOG))
        else:
            means = "What it does waits until then; everything else goes on."
            found.append(warning(one.message, means, "Its log has the whole error.", _LOG))
    return Seen.of(found, "all of them run")


def daemon_problems(facts: Facts) -> Seen:
    return Seen.of(_problems(facts), "the daemon has nothing to report")


def _problems(facts: Facts) -> Iterator[Finding]:
    for one in seen(facts.wanted).problems:
        yield problem(
            one,
            "What the daemon was to do about it is not done.",
            "Its log says more.",
            _LOG,
        )
