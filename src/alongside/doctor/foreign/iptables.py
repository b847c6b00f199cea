"""`iptables-save -t TABLE`, as rules: of both iptables, by nftables and the old one."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Literal

from alongside.doctor.foreign.rules import Base, Hook, Key, Match, Rule

_HOOKS: dict[str, Hook] = {"PREROUTING": "prerouting", "INPUT": "input", "FORWARD": "forward"}
# linux/netfilter_ipv4.h; nat's is that of its prerouting chain.
_PRIORITIES = {"raw": -300, "mangle": -150, "nat": -100, "filter": 0, "security": 50}

_KEYS: dict[str, Key] = {
    "-i": "in",
    "-o": "out",
    "-s": "from",
    "-d": "to",
    "-p": "protocol",
    "--dport": "number",
    "--dports": "number",
    "--ctstate": "state",
    "--state": "state",
    "--dst-type": "type",
    "--dst-range": "to",
}
# Matches whose options above say all; one of another kind is not understood.
_PLAIN = {"tcp", "udp", "multiport", "conntrack", "state", "addrtype", "comment", "iprange", "set"}
# Of the subnets of its bridges: engine 28 asks for them before it goes into its own chains.
_ENGINES_SETS = ("docker-ext-bridges-v4", "docker-ext-bridges-v6")
_ENDS = {
    "ACCEPT": "accept",
    "DROP": "drop",
    "REJECT": "reject",
    "DNAT": "dnat",
    "REDIRECT": "redirect",
    "TPROXY": "tproxy",
    "NOTRACK": "notrack",
    "RETURN": "return",
}
_PASSING = {"LOG", "NFLOG", "MARK", "CONNMARK", "TCPMSS", "CLASSIFY", "AUDIT", "SET", "DSCP"}

By = Literal["iptables", "iptables-legacy"]


def bases(saved: str, family: str, by: By) -> list[Base]:
    """The base chains of one table that packets of ours come through."""
    table, policies = "", dict[str, str]()
    chains: dict[str, list[Rule]] = {}
    for line in saved.splitlines():
        if line.startswith("*"):
            table = line[1:]
        elif line.startswith(":"):
            name, policy, _ = line[1:].split(" ", 2)
            chains[name] = []
            policies[name] = policy.lower()
        elif line.startswith("-A "):
            chain, one = rule(line)
            chains.setdefault(chain, []).append(one)
    frozen = {name: tuple(rules) for name, rules in chains.items()}
    kind = "nat" if table == "nat" else "filter"
    return [
        Base(family, table, name, hook, kind, _PRIORITIES[table], policies[name], frozen, by)
        for name, hook in _HOOKS.items()
        if name in policies and table in _PRIORITIES
    ]


def rule(line: str) -> tuple[str, Rule]:
    """Of a line `-A CHAIN …`: the chain, and the rule."""
    _, chain, *words = shlex.split(line)
    matches: list[Match] = []
    verdict, target = "", ""
    negated = False
    while words:
        word = words.pop(0)
        if word == "!":
            negated = True
            continue
        if word in ("-j", "-g"):
            verdict, target = _verdict(word, words)
            break
        if word == "-m":
            if words.pop(0) not in _PLAIN:
                matches.append(Match(None))
        elif word in _KEYS:
            matches.append(Match(_KEYS[word], _values(word, words.pop(0)), negated))
        elif word == "--match-set":
            name, of = words.pop(0), words.pop(0)
            known = name in _ENGINES_SETS and of == "dst"
            matches.append(Match("bridged" if known else None, (), negated))
        elif word == "--comment":
            words.pop(0)
        elif word.startswith("-"):
            matches.append(Match(None))
        negated = False
    return chain, Rule(tuple(matches), verdict, target, f"`{line}`")


def _verdict(word: str, words: list[str]) -> tuple[str, str]:
    name = words.pop(0)
    if name == "CT":
        return ("notrack" if "--notrack" in words else ""), ""
    if name in _ENDS:
        return _ENDS[name], ""
    if name in _PASSING:
        return "", ""
    return ("goto" if word == "-g" else "jump"), name


_SPELLED: Mapping[str, Mapping[str, str]] = {"-p": {"6": "tcp", "17": "udp"}}


def _values(option: str, text: str) -> tuple[str, ...]:
    values = text.lower().split(",") if option not in ("-i", "-o") else [text]
    if option in ("--dport", "--dports"):
        return tuple(one.replace(":", "-") for one in values)
    return tuple(_SPELLED.get(option, {}).get(one, one) for one in values)
