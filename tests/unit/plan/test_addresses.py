from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network

import pytest

from alongside.domain.errors import Conflict
from alongside.domain.port import Protocol
from alongside.plan.addresses import allocate
from alongside.plan.observed import Pool
from support.examples import POOL, release, service, world


def test_each_instance_has_a_subnet_and_local_ports_of_its_own() -> None:
    names = tuple(f"dns@1.{minor}" for minor in range(20))
    observed = world(*names, running=names)
    subnets = [instance.subnet for instance in observed.instances]
    assert len({subnet.ipv4 for subnet in subnets}) == len(names)
    assert len({subnet.ipv6 for subnet in subnets}) == len(names)
    assert len({subnet.bridge for subnet in subnets}) == len(names)
    numbers = [{local.number for local in instance.local_ports} for instance in observed.instances]
    assert len(set().union(*numbers)) == len(names)


def test_both_protocols_of_a_container_port_share_one_local_number() -> None:
    (instance,) = world("dns@1", running=("dns@1",)).instances
    assert {local.number for local in instance.local_ports} == {20000}
    assert instance.local_port(Protocol.UDP, 53) == instance.local_port(Protocol.TCP, 53) == 20000


def test_local_ports_that_somebody_listens_on_are_passed_over() -> None:
    observed = replace(world(), busy_ports=frozenset({(Protocol.TCP, 20000)}))
    assert allocate(release("dns@1"), observed).local_ports[0].number == 20001


def test_a_full_pool_says_what_to_do() -> None:
    small = Pool(IPv4Network("10.9.0.0/27"), POOL.ipv6)
    observed = replace(world("dns@1", "dns@2", running=("dns@1", "dns@2")), pool=small)
    taken = [
        replace(one, subnet=replace(one.subnet, ipv4=net))
        for one, net in zip(observed.instances, small.ipv4.subnets(new_prefix=28), strict=True)
    ]
    with pytest.raises(Conflict, match="All 2 subnets"):
        allocate(release("dns@3"), replace(observed, instances=taken))


def test_a_service_without_ports_has_no_local_ports() -> None:
    assert allocate(release("job@1", spec=service("job", ())), world()).local_ports == ()


def test_versions_that_differ_only_in_punctuation_are_two_projects() -> None:
    observed = world("dns@1.2.0", "dns@1-2-0", running=("dns@1.2.0", "dns@1-2-0"))
    one, other = observed.instances
    assert one.project != other.project
    assert one.subnet.bridge != other.subnet.bridge
