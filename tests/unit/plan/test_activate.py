from __future__ import annotations

from dataclasses import replace

import pytest

from alongside.domain.errors import Conflict, InvalidInput, NotFound, PortTaken
from alongside.domain.port import parse_port
from alongside.domain.version import Version
from alongside.plan.activate import plan_activate, plan_deactivate
from alongside.plan.observed import Holder
from alongside.plan.steps import RecordRoutes
from support.examples import release, routes, service, world


def names(plan: object) -> list[str]:
    return [step.name for step in plan.steps]  # type: ignore[attr-defined]


def test_a_version_that_runs_is_probed_and_switched_to() -> None:
    observed = world(
        "dns@1.0.0", "dns@1.1.0", running=("dns@1.0.0", "dns@1.1.0"), routed="dns@1.0.0"
    )
    plan = plan_activate("dns", Version("1.1.0"), observed)
    assert names(plan) == ["await-ready", "record-routes", "switch", "clean-udp"]
    assert (plan.before, plan.after) == ("1.0.0", "1.1.0")


def test_a_version_that_does_not_run_is_started_first() -> None:
    plan = plan_activate("dns", Version("1.0.0"), world("dns@1.0.0"))
    assert names(plan) == [
        "allocate",
        "start",
        "await-ready",
        "record-routes",
        "switch",
        "clean-udp",
    ]


def test_a_service_without_udp_has_no_flows_to_move() -> None:
    web = release("web@1", spec=service("web", ("80/tcp",)))
    observed = replace(world(), releases=[web], image_ids={web.image: web.image_id})
    assert names(plan_activate("web", Version("1"), observed))[-2:] == ["record-routes", "switch"]


def test_one_that_has_the_ports_already_is_left_alone() -> None:
    observed = world("dns@1.0.0", running=("dns@1.0.0",), routed="dns@1.0.0")
    plan = plan_activate("dns", Version("1.0.0"), observed)
    assert not plan.steps
    assert plan.reason == "dns@1.0.0 has 53/udp and 53/tcp already."


def test_one_that_has_the_ports_but_does_not_run_is_started() -> None:
    observed = world("dns@1.0.0", running=("dns@1.0.0",), routed="dns@1.0.0")
    plan = plan_activate("dns", Version("1.0.0"), replace(observed, containers={}))
    assert "start" in names(plan)


def test_two_services_that_want_one_port_are_both_named() -> None:
    observed = world("dns@1.0.0", "resolver@2.0.0", running=("dns@1.0.0",), routed="dns@1.0.0")
    with pytest.raises(Conflict, match="resolver wants 53/udp, which dns has"):
        plan_activate("resolver", Version("2.0.0"), observed)


def test_an_address_of_its_own_still_overlaps_any_address() -> None:
    observed = world("dns@1.0.0", running=("dns@1.0.0",), routed="dns@1.0.0")
    bound = release("other@1", spec=service("other", ("192.0.2.7:53/udp",)))
    observed = replace(observed, releases=[*observed.releases, bound])
    with pytest.raises(Conflict, match=r"other wants 192\.0\.2\.7:53/udp, which dns has as 53/udp"):
        plan_activate("other", Version("1"), observed)


def test_a_foreign_program_is_named_and_take_goes_past_it() -> None:
    port = parse_port("53/udp")
    holder = Holder(port, "dnsmasq (pid 812)", port)
    observed = replace(world("dns@1.0.0", running=("dns@1.0.0",)), holders=[holder])
    with pytest.raises(PortTaken, match=r"53/udp is held by dnsmasq \(pid 812\)") as caught:
        plan_activate("dns", Version("1.0.0"), observed)
    assert "--take" in caught.value.hint
    assert "switch" in names(plan_activate("dns", Version("1.0.0"), observed, take=True))


def test_a_holder_of_a_port_that_is_ours_already_does_not_stop_a_switch() -> None:
    port = parse_port("53/udp")
    observed = world("dns@1.0.0", "dns@1.1.0", running=("dns@1.1.0",), routed="dns@1.0.0")
    observed = replace(observed, holders=[Holder(port, "dnsmasq (pid 812)", port)])
    assert "switch" in names(plan_activate("dns", Version("1.1.0"), observed))


def test_a_port_that_the_new_version_lacks_is_said_and_dropped() -> None:
    narrow = release("dns@2.0.0", spec=service("dns", ("53/udp",)))
    observed = world("dns@1.0.0", running=("dns@1.0.0",), routed="dns@1.0.0")
    observed = replace(
        observed,
        releases=[*observed.releases, narrow],
        image_ids={**observed.image_ids, narrow.image: narrow.image_id},
    )
    plan = plan_activate("dns", Version("2.0.0"), observed)
    assert plan.notes == ["dns@2.0.0 does not publish 53/tcp, so nothing answers there any more."]
    assert [str(route.port) for route in plan.routes or ()] == ["53/udp"]


def test_a_service_without_ports_is_refused() -> None:
    silent = release("job@1", spec=service("job", ()))
    with pytest.raises(InvalidInput, match="publishes no port"):
        plan_activate("job", Version("1"), replace(world(), releases=[silent]))


@pytest.mark.parametrize(
    ("image_ids", "words"),
    [({}, "is gone from the engine"), ({"repo/dns:1.0.0": "sha256:other"}, "is not the image")],
)
def test_an_image_that_is_not_the_released_one_is_refused(
    image_ids: dict[str, str], words: str
) -> None:
    observed = replace(world("dns@1.0.0"), image_ids=image_ids)
    with pytest.raises(Conflict, match=words):
        plan_activate("dns", Version("1.0.0"), observed)


def test_an_unknown_version_is_not_found() -> None:
    with pytest.raises(NotFound):
        plan_activate("dns", Version("9"), world("dns@1.0.0"))


def test_deactivate_takes_all_ports() -> None:
    observed = world("dns@1.0.0", running=("dns@1.0.0",), routed="dns@1.0.0")
    plan = plan_deactivate("dns", None, observed)
    assert names(plan) == ["record-routes", "switch", "clean-udp"]
    assert plan.routes == ()


def test_deactivating_a_version_that_has_no_port_changes_nothing_and_says_so() -> None:
    observed = world("dns@1.0.0", "dns@1.1.0", running=("dns@1.1.0",), routed="dns@1.1.0")
    plan = plan_deactivate("dns", Version("1.0.0"), observed)
    assert not plan.steps
    assert "dns@1.0.0 does not have the ports, dns@1.1.0 has" in plan.reason


def test_the_plan_remembers_what_it_saw() -> None:
    observed = world("dns@1.0.0", "dns@1.1.0", running=("dns@1.1.0",), routed="dns@1.0.0")
    plan = plan_activate("dns", Version("1.1.0"), observed)
    (record,) = [step for step in plan.steps if isinstance(step, RecordRoutes)]
    assert list(record.seen) == routes("dns", "1.0.0")
