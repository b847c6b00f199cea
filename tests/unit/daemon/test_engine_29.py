"""Docker 29 with its nftables backend, by fakes that say what it says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from ipaddress import IPv6Network, ip_address
from pathlib import Path

import pytest

from alongside.daemon import executor, outsiders, starting, ways
from alongside.daemon.reconciler import Reconciler
from alongside.doctor.facts import Firewall, Unseen
from alongside.doctor.foreign import iptables
from alongside.domain.errors import StepFailed
from alongside.domain.port import Protocol
from alongside.engine.protocol import Container, EngineInfo, Published
from alongside.host import forwarding
from support.served import Served

from .conftest import Daemon

ABOUT = EngineInfo("29.7.0", "1.53", "Debian", "/var/lib/docker", firewall="nftables")

# What ufw has in forward: all but answers is dropped, but for what its user lets through.
UFW = """\
*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:ufw-before-forward - [0:0]
:ufw-user-forward - [0:0]
-A FORWARD -j ufw-before-forward
-A ufw-before-forward -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A ufw-before-forward -j ufw-user-forward
{}COMMIT
"""


def ufw(*allowed: str) -> Firewall:
    rules = "".join(f"-A ufw-user-forward -d {network} -j ACCEPT\n" for network in allowed)
    text = UFW.format(rules)
    bases = [base for family in ("ip", "ip6") for base in iptables.bases(text, family, "iptables")]
    return Firewall(tuple(bases), uplinks=("eth0",), ufw=True)


@pytest.fixture
def container(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> Container:
    """The new version's, on an engine whose containers get to the host."""
    daemon.engine.about = ABOUT
    daemon.context.ipv6 = True
    daemon.context.pool = replace(daemon.context.pool, ipv6=IPv6Network("fd00:1:2::/48"))

    async def proxied(_: object) -> bool:
        return True

    async def all_get_in(*_: object) -> set[object]:
        return set()

    monkeypatch.setattr(ways, "is_proxied", proxied)
    monkeypatch.setattr(ways, "kept_out", all_get_in)
    return Container("1", daemon.new.name, "sha256:1", "running", "", 0, 0, 1, None, {})


def rules(monkeypatch: pytest.MonkeyPatch, found: Firewall | Unseen) -> None:
    async def firewall() -> Firewall | Unseen:
        return found

    monkeypatch.setattr(outsiders, "firewall", firewall)


async def test_a_drop_that_its_accept_does_not_undo_is_a_problem_until_it_is_let_through(
    daemon: Daemon, container: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over both, and also where containers are let in, so that nothing else tells."""
    context, pool = daemon.context, daemon.context.pool
    rules(monkeypatch, ufw())
    await ways.look(context, daemon.new, container)
    (said,) = ways.notes(context)
    assert said == context.problems[ways.OUTSIDERS]
    assert said.startswith("Other machines do not reach versions over IPv4 and IPv6: ")
    remedies = [f"ufw route allow to {network}" for network in (pool.ipv4, pool.ipv6)]
    assert "; ".join(remedies) in said

    rules(monkeypatch, ufw(str(pool.ipv4)))
    await ways.look(context, daemon.new, container)
    (said,) = ways.notes(context)
    assert "over IPv6: " in said
    assert remedies[0] not in said
    assert remedies[1] in said

    rules(monkeypatch, ufw(str(pool.ipv4), str(pool.ipv6)))
    await ways.look(context, daemon.new, container)
    assert ways.notes(context) == []


async def test_an_engine_with_iptables_is_not_asked_about_others_rules(
    daemon: Daemon, container: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its accepts come before them."""
    rules(monkeypatch, ufw())
    daemon.engine.about = replace(ABOUT, firewall="iptables")
    await ways.look(daemon.context, daemon.new, container)
    assert ways.notes(daemon.context) == []


@pytest.mark.parametrize(
    ("about", "named"),
    [
        (ABOUT, {"10.", "fd00:"}),
        (replace(ABOUT, firewall="iptables"), set()),
        (EngineInfo("20.10.24", "1.41", "Debian", "/"), {"fd00:"}),
    ],
    ids=["29 nftables", "29 iptables", "20.10"],
)
async def test_the_remedy_for_ufw_is_named_whole(
    daemon: Daemon,
    container: Container,
    monkeypatch: pytest.MonkeyPatch,
    about: EngineInfo,
    named: set[str],
) -> None:
    """Where containers are kept out as well, so that the first rules are needed in any case."""

    async def none_get_in(_: int, addresses: list[object], *__: object) -> set[object]:
        return set(addresses)

    rules(monkeypatch, Unseen("nft is too old"))
    monkeypatch.setattr(ways, "kept_out", none_get_in)
    daemon.engine.about = about
    await ways.look(daemon.context, daemon.new, container)
    said = daemon.context.problems[ways.CONTAINERS]
    routed = {one.split(";")[0] for one in said.split("ufw route allow to ")[1:]}
    assert {prefix for prefix in ("10.", "fd00:") if any(r.startswith(prefix) for r in routed)} == (
        named
    )


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """With IPv6, and no address of it on the machine's loopback."""

    async def put(_: object) -> None:
        pass

    monkeypatch.setattr(executor, "ensure_proxy_address", put)
    with Served(tmp_path) as served:
        engine = served.context.engine
        engine.about, engine.proxy = ABOUT, False  # type: ignore[attr-defined]
        served.context.ipv6 = True
        yield served


def published(served: Served, version: str) -> set[tuple[str, int]]:
    """The addresses, and how often."""
    engine = served.context.engine
    found = [
        str(one.address)
        for entry in engine._containers.values()  # type: ignore[attr-defined]
        for one in entry.publishes
        if one.container == f"dns-{version}"
    ]
    return {(one, found.count(one)) for one in found}


def test_without_its_proxy_one_address_a_family_is_published(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first version shows that it must be so; the second is made so at once."""
    made: list[str] = []
    create = served.context.engine.create  # type: ignore[attr-defined]

    def counted(name: str, *arguments: object, **named: object) -> object:
        made.append(name)
        return create(name, *arguments, **named)

    async def without(_: object) -> bool:
        return False

    monkeypatch.setattr(served.context.engine, "create", counted)
    monkeypatch.setattr(ways, "is_proxied", without)
    for version in ("1.0.0", "1.1.0"):
        served.release("dns", version)
        served.change("up", reference=f"dns@{version}")
        subnet = next(
            one.subnet for one in served.context.instances.all() if str(one.version) == version
        )
        assert published(served, version) == {("127.0.0.1", 2), (str(subnet.proxy6), 2)}, (
            "one a family, of a port over TCP and one over UDP"
        )
    assert made == ["dns-1.0.0", "dns-1.0.0", "dns-1.1.0"]
    assert not served.context.proxied
    assert "without its userland proxy" in served.context.problems[ways.PROXY]


def test_with_its_proxy_all_addresses_are_published(served: Served) -> None:
    served.context.engine.proxy = True  # type: ignore[attr-defined]
    served.release("dns", "1.0.0")
    served.change("up", reference="dns@1.0.0")
    assert len(published(served, "1.0.0")) == 4


def test_another_failure_is_not_tried_again(served: Served) -> None:
    served.context.engine.forwarded = (4,)  # type: ignore[attr-defined]
    served.release("dns", "1.0.0")
    with pytest.raises(StepFailed, match="IPv6 global forwarding is disabled"):
        served.change("up", reference="dns@1.0.0")
    assert served.context.proxied


async def test_forwarding_that_it_does_not_turn_on_is_a_problem_before_the_first_version(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    context = daemon.context
    context.ipv6 = True
    monkeypatch.setattr(forwarding, "_PROC", tmp_path)
    settings = {
        name: tmp_path / name.replace(".", "/") for name in (forwarding.IPV4, *forwarding.IPV6)
    }
    for path in settings.values():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("0\n")

    async def changes() -> Iterator[None]:  # type: ignore[misc]
        yield

    reconciler = Reconciler(context, changes())  # type: ignore[arg-type]
    await reconciler._look()
    assert ways.FORWARDING not in context.problems, "this engine turns it on itself"

    daemon.engine.about = ABOUT
    await reconciler._look()
    said = context.problems[ways.FORWARDING]
    for name in settings:
        assert f"sysctl -w {name}=1" in said
    assert "alongside doctor" in said

    settings[forwarding.IPV4].write_text("1\n")
    settings[forwarding.IPV6[0]].write_text("1\n")
    await reconciler._look()
    assert "net.ipv6.conf.default.forwarding is 0" in context.problems[ways.FORWARDING]
    settings[forwarding.IPV6[1]].write_text("1\n")
    await reconciler._look()
    assert ways.FORWARDING not in context.problems


async def test_a_container_that_was_made_before_is_made_anew(daemon: Daemon) -> None:
    """A singleton's, which is made first and started later; or one from before the engine was
    told to use nftables."""
    context, engine, name = daemon.context, daemon.engine, "singleton-current"
    engine.about, engine.proxy = ABOUT, False
    image = engine.tag("repo/x:1", "x", {})

    def make(*addresses: str) -> None:
        ports = [Published(name, Protocol.TCP, ip_address(one), 20000, "") for one in addresses]
        engine.create(name, image.id, labels={}, publishes=ports)

    async def anew() -> None:
        await engine.remove(name)
        make("127.0.0.1", "fd00::1")
        await engine.start(name)

    make("127.0.0.1", "10.213.0.1", "::1", "fd00::1")
    instance = replace(daemon.new, service="singleton", singleton=True)
    assert instance.name == name
    await starting.start(context, instance, partial(engine.start, name), anew)
    found = await engine.container(name)
    assert found is not None
    assert found.running
    assert not context.proxied
