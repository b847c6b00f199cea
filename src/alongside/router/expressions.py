"""A rule of a port's chain as the expressions that nft would send of it, for `batch`.

nft compiles a rule's text to expressions on registers; these are the same, in the same order, so
that the kernel cannot tell who wrote a rule. A kind of rule that is not here is none of a switch:
`encode` says so, and nft writes it. Numbers are from linux/netfilter/nf_tables.h.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address

from alongside.domain.port import Protocol
from alongside.router.netlink import NESTED, attribute
from alongside.router.rules import (
    ClientHash,
    Dnat,
    Draw,
    Family,
    FromSet,
    Match,
    OfFamily,
    OfProtocol,
    Redirect,
    Reject,
    Rule,
    To,
    Verdict,
)

_IIFNAME, _NFPROTO, _L4PROTO = 6, 15, 16  # NFT_META_*
_EQUAL, _BELOW = 0, 2  # NFT_CMP_EQ, NFT_CMP_LT
_NETWORK_HEADER = 1  # NFT_PAYLOAD_NETWORK_HEADER
_RANDOM = 1  # NFT_NG_RANDOM
_HTON = 1  # NFT_BYTEORDER_HTON
_DNAT = 1  # NFT_NAT_DNAT
_WITH_PORT = 2  # NF_NAT_RANGE_PROTO_SPECIFIED
_ICMP, _RESET, _ANY_ICMP = 0, 1, 2  # NFT_REJECT_ICMP_UNREACH, _TCP_RST, _ICMPX_UNREACH
_NFPROTO_OF = {4: 2, 6: 10}
_L4PROTO_OF = {Protocol.TCP: 6, Protocol.UDP: 17}
# Of an address in its header: how long, and where source and destination begin.
_ADDRESS = {4: (4, 12, 16), 6: (16, 8, 24)}
_PORT_UNREACHABLE = {4: 3, 6: 4, None: 1}  # the code of ICMP, of ICMPv6, and nft's own for both


def encode(rule: Rule) -> bytes | None:
    """The rule's NFTA_RULE_EXPRESSIONS and NFTA_RULE_USERDATA; None where it is of another kind."""
    found: list[bytes | None] = []
    family: Family | None = None
    for match in rule.matches:
        if isinstance(match, To | ClientHash):
            # A packet of the other family has no such header: it is asked for once a rule.
            of_family = _family_of(match)
            if OfFamily in rule.shape or family not in (None, of_family):
                return None
            if family is None:
                found.append(_is_family(of_family))
            family = of_family
        found.append(_match(match))
    found.append(_verdict(rule.verdict))
    if None in found:
        return None
    expressions = attribute(4 | NESTED, b"".join(one for one in found if one))
    if not rule.comment:
        return expressions
    comment = rule.comment.encode() + b"\0"
    return expressions + attribute(7, bytes((0, len(comment))) + comment)


@lru_cache(maxsize=1024)
def _match(match: Match) -> bytes | None:  # noqa: PLR0911 -- one a kind
    match match:
        case FromSet(name):
            lookup = attribute(2, _number(1)) + attribute(1, name.encode() + b"\0")
            return _meta(_IIFNAME) + _expression("lookup", lookup)
        case OfFamily(family):
            return _is_family(family)
        case OfProtocol(protocol):
            return _meta(_L4PROTO) + _compare(_EQUAL, bytes((_L4PROTO_OF[protocol],)))
        case To(IPv4Address() | IPv6Address() as address, negated=False):
            length, _, start = _ADDRESS[address.version]
            return _header(1, start, length) + _compare(_EQUAL, address.packed)
        case Draw(of, below):
            numbers = {1: 1, 2: of, 3: _RANDOM, 4: 0}
            return _expression("numgen", _numbers(numbers)) + _is_below(below)
        case ClientHash(family, of, below, seed):
            length, source, _ = _ADDRESS[family]
            numbers = {1: 2, 2: 1, 3: length, 4: of, 5: seed, 6: 0, 7: 0}
            hashed = _expression("hash", _numbers(numbers))
            return _header(2, source, length) + hashed + _is_below(below)
        case _:
            return None


def _verdict(verdict: Verdict) -> bytes | None:
    match verdict:
        case Dnat(address, port):
            family = _NFPROTO_OF[address.version]
            nat = _numbers({1: _DNAT, 2: family, 3: 1, 5: 2, 7: _WITH_PORT})
            loads = _immediate(1, address.packed) + _immediate(2, port.to_bytes(2, "big"))
            return loads + _expression("nat", nat)
        case Redirect(port):
            redirect = _numbers({1: 1, 3: _WITH_PORT})
            return _immediate(1, port.to_bytes(2, "big")) + _expression("redir", redirect)
        case Reject(reset, family):
            kind = _RESET if reset else _ANY_ICMP if family is None else _ICMP
            code = 0 if reset else _PORT_UNREACHABLE[family]
            return _expression("reject", _numbers({1: kind}) + attribute(2, bytes((code,))))
        case _:
            return None


def _expression(name: str, data: bytes) -> bytes:
    inner = attribute(1, name.encode() + b"\0") + attribute(2 | NESTED, data)
    return attribute(1 | NESTED, inner)


def _meta(key: int) -> bytes:
    return _expression("meta", _numbers({2: key, 1: 1}))


def _compare(how: int, value: bytes) -> bytes:
    data = attribute(3 | NESTED, attribute(1, value))
    return _expression("cmp", _numbers({1: 1, 2: how}) + data)


def _is_below(number: int) -> bytes:
    """Numbers are the processor's own way round until they are compared, byte by byte."""
    turned = _expression("byteorder", _numbers({1: 1, 2: 1, 3: _HTON, 4: 4, 5: 4}))
    return turned + _compare(_BELOW, number.to_bytes(4, "big"))


def _family_of(match: To | ClientHash) -> Family:
    if isinstance(match, ClientHash):
        return match.family
    return 4 if match.destination.version == 4 else 6


def _is_family(family: Family) -> bytes:
    return _meta(_NFPROTO) + _compare(_EQUAL, bytes((_NFPROTO_OF[family],)))


def _header(register: int, start: int, length: int) -> bytes:
    numbers = {1: register, 2: _NETWORK_HEADER, 3: start, 4: length}
    return _expression("payload", _numbers(numbers))


def _immediate(register: int, value: bytes) -> bytes:
    data = attribute(2 | NESTED, attribute(1, value))
    return _expression("immediate", _numbers({1: register}) + data)


def _numbers(values: dict[int, int]) -> bytes:
    return b"".join(attribute(kind, _number(value)) for kind, value in values.items())


def _number(value: int) -> bytes:
    return value.to_bytes(4, "big")
