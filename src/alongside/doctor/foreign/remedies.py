"""What would let a packet pass, or leave it to alongside: commands of whoever keeps the rule."""

from __future__ import annotations

from alongside.doctor.facts import Wanted
from alongside.doctor.foreign.rules import Fate, Packet, fate
from alongside.doctor.foreign.ways import SOME, Stopped
from alongside.domain.port import Protocol


def take_out(end: Fate) -> list[str]:
    base = end.base
    if base.by == "nft":
        where = f"{base.family} {base.table} {end.chain}"
        look = f"nft -a list chain {where}"
        return [look, f"nft delete rule {where} {end.rule.name}"] if end.rule else [look]
    if end.rule is None:
        return [f"{base.command} -t {base.table} -S {end.chain}"]
    line = end.rule.name.strip("`").removeprefix("-A ")
    return [f"{base.command} -t {base.table} -D {line}"]


def let_pass(one: Stopped, wanted: Wanted) -> list[str]:
    network = _network(one, wanted)
    if _is_ufw(one.fate) and one.fate.base.hook == "forward":
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


def let_in(one: Stopped, wanted: Wanted) -> list[str]:
    """Of what is for the host itself: its local ports, or what listens on it."""
    if one.to_host:
        port = f"{one.packet.protocol} dport {one.packet.number}"
        options = f"-p {one.packet.protocol} --dport {one.packet.number}"
        return [_accept(one, f"{port} ct status dnat", options)]
    if not _is_ufw(one.fate):
        return let_pass(one, wanted)
    first, last = wanted.local_ports
    network = _network(one, wanted)
    return [f"ufw allow proto {name} to {network} port {first}:{last}" for name in Protocol]


def _is_ufw(end: Fate) -> bool:
    return any(name.startswith("ufw") for name in end.base.chains)


def _answers_pass(one: Stopped) -> bool:
    """Whether the same chain lets the instance's answer pass."""
    if one.fate.base.hook != "forward":
        return True
    asked = one.packet
    answer = Packet(
        asked.protocol,
        SOME[asked.to.version],
        40000,
        came_in=asked.goes_out,
        goes_out=asked.came_in,
        here=False,
        translated=True,
        state="established",
    )
    return fate(one.fate.base, answer) is None


def _accept(one: Stopped, nft: str, iptables: str, state: str = "") -> str:
    base = one.fate.base
    if base.by == "nft":
        return f"nft insert rule {base.family} {base.table} {base.chain} {nft} accept"
    table = "" if base.table == "filter" else f" -t {base.table}"
    which = f"-m conntrack --ctstate {state or 'DNAT'}"
    return f"{base.command}{table} -I {base.chain} {iptables} {which} -j ACCEPT"


def _network(one: Stopped, wanted: Wanted) -> str:
    return str(wanted.pool4 if one.packet.to.version == 4 else wanted.pool6)
