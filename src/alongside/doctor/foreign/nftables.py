"""`nft -j list table`, as rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast, get_args

from alongside.doctor.foreign.rules import Base, Hook, Key, Match, Rule

Json = Mapping[str, Any]

_HOOKS = get_args(Hook)
_META: dict[str, Key] = {"iifname": "in", "iif": "in", "oifname": "out", "oif": "out"}
_ADDRESSES: dict[str, Key] = {"saddr": "from", "daddr": "to"}
_CT: dict[str, Key] = {"state": "state", "status": "status"}
_ENDS = ("accept", "drop", "reject", "dnat", "redirect", "tproxy", "notrack", "return")
_PASSING = ("counter", "log", "comment", "mangle", "set", "map", "meter", "ct helper", "flow")


def bases(listing: Json) -> list[Base]:
    """The base chains of one table that packets of ours come through."""
    objects = [next(iter(one.items())) for one in listing["nftables"]]
    sets = {one["name"]: one.get("elem", []) for kind, one in objects if kind == "set"}
    chains: dict[str, list[Rule]] = {one["name"]: [] for kind, one in objects if kind == "chain"}
    for kind, one in objects:
        if kind == "rule":
            chains[one["chain"]].append(rule(one, sets))
    frozen = {name: tuple(rules) for name, rules in chains.items()}
    return [
        Base(
            one["family"],
            one["table"],
            one["name"],
            one["hook"],
            one["type"],
            one["prio"],
            one.get("policy", "accept"),
            frozen,
        )
        for kind, one in objects
        if kind == "chain" and one.get("hook") in _HOOKS
    ]


def rule(one: Json, sets: Mapping[str, list[Any]]) -> Rule:
    matches: list[Match] = []
    verdict, target = "", ""
    for statement in one["expr"]:
        kind, body = next(iter(statement.items()))
        if kind == "match":
            matches += _matches(body, sets)
        elif kind in ("jump", "goto"):
            verdict, target = kind, body["target"]
        elif kind in _ENDS:
            verdict = kind
        elif kind == "limit":
            matches.append(Match(None))
        elif kind == "vmap":
            verdict = "?"
        elif kind == "xt":
            verdict, matches = _xt(body, verdict, matches)
        elif kind not in _PASSING:
            matches.append(Match(None))
    return Rule(tuple(matches), verdict, target, f"handle {one['handle']}")


def _xt(body: Json, verdict: str, matches: list[Match]) -> tuple[str, list[Match]]:
    """An iptables extension: nft says no more than its name."""
    if body.get("type") == "match":
        return verdict, [*matches, Match(None)]
    known = {"REDIRECT": "redirect", "DNAT": "dnat", "TPROXY": "tproxy", "REJECT": "reject"}
    return known.get(body.get("name", ""), "" if body.get("name") == "LOG" else "?"), matches


def _matches(body: Json, sets: Mapping[str, list[Any]]) -> Iterator[Match]:
    left, negated = body["left"], body["op"] == "!="
    values = _values(body["right"], sets)
    if values is None or body["op"] not in ("==", "!=", "in"):
        yield Match(None)
        return
    kind, what = next(iter(left.items())) if isinstance(left, dict) else ("", {})
    key: Key | None = None
    if kind == "meta" and what["key"] in _META:
        key = _META[what["key"]]
    elif kind == "meta" and what["key"] == "l4proto":
        key, values = "protocol", _named(values, {"6": "tcp", "17": "udp"})
    elif kind == "meta" and what["key"] == "nfproto":
        key, values = "family", _named(values, {"ipv4": "4", "ipv6": "6"})
    elif kind == "ct":
        key = _CT.get(what["key"])
    elif kind == "fib" and what.get("result") == "type" and what.get("flags") == ["daddr"]:
        key = "type"
    elif kind == "payload":
        protocol, of = what.get("protocol"), what.get("field")
        # What nft prints implies the rest: `tcp dport` is of TCP, `ip saddr` of IPv4.
        if protocol in ("ip", "ip6"):
            yield Match("family", ("4" if protocol == "ip" else "6",))
        elif protocol in ("tcp", "udp"):
            yield Match("protocol", (cast("str", protocol),))
        if protocol in ("ip", "ip6"):
            key = "protocol" if of in ("protocol", "nexthdr") else _ADDRESSES.get(str(of))
        elif protocol in ("tcp", "udp", "th") and of == "dport":
            key = "number"
    yield Match(key, values, negated)


def _named(values: tuple[str, ...], names: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(names.get(one, one) for one in values)


def _values(right: Any, sets: Mapping[str, list[Any]]) -> tuple[str, ...] | None:
    """None: they are not understood."""
    if isinstance(right, str) and right.startswith("@"):
        right = sets.get(right[1:])
    match right:
        case str() | int():
            return (str(right),)
        case {"set": several} | list(several):
            each = [_values(one, sets) for one in (several if isinstance(several, list) else [])]
            return None if None in each else tuple(one for some in each if some for one in some)
        case {"elem": {"val": one}}:
            return _values(one, sets)
        case {"prefix": {"addr": address, "len": length}}:
            return (f"{address}/{length}",)
        case {"range": [first, last]}:
            return (f"{first}-{last}",)
    return None
