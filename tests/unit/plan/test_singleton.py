"""Of a singleton one version runs, and nothing of its service beside it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from alongside.domain.errors import Conflict
from alongside.domain.port import parse_port
from alongside.domain.release import Release
from alongside.domain.service import Also, Service, Workload
from alongside.domain.version import Version
from alongside.engine.protocol import LABEL_VERSION
from alongside.plan.activate import plan_activate
from alongside.plan.addresses import allocate
from alongside.plan.follow import also_routes
from alongside.plan.observed import Observed
from alongside.plan.singleton import plan_end_singleton, plan_singleton
from alongside.plan.steps import Plan
from alongside.plan.stop import plan_rm, plan_stop
from alongside.plan.up import plan_up
from support.examples import container, release, service, world

ONE = replace(service("cron", ("9000/tcp",)), workload=Workload.SINGLETON)


def host(*versions: str, runs: str = "", spec: Service = ONE) -> Observed:
    """Releases of cron, of which one runs."""
    releases = [release(f"cron@{one}", day=day, spec=spec) for day, one in enumerate(versions)]
    images = {one.image: one.image_id for one in releases}
    observed = replace(world(), releases=releases, image_ids=images)
    return with_running(observed, runs) if runs else observed


def with_running(observed: Observed, version: str) -> Observed:
    instance = allocate(observed.release("cron", Version(version)), observed)
    there = replace(container(instance), labels={LABEL_VERSION: version})
    return replace(
        observed,
        instances=[instance],
        containers={instance.name: there},
        singletons={"cron": Version(version)},
    )


def names(plan: Plan) -> list[str]:
    return [step.name for step in plan.steps]


def test_the_new_one_is_made_before_the_gap_and_the_ports_lead_to_it_before_it_starts() -> None:
    plan = plan_singleton("cron", Version("2"), host("1", "2", runs="1"))
    assert names(plan) == [
        "allocate",
        "prepare-singleton",
        "record-singleton",
        "switch",
        "replace-singleton",
        "await-ready",
        "tidy-singleton",
    ]
    assert (plan.before, plan.after) == ("1", "2")


def test_the_one_that_runs_is_left_alone() -> None:
    plan = plan_singleton("cron", Version("1"), host("1", runs="1"))
    assert not plan.steps
    assert "runs already" in plan.reason


def test_one_that_is_to_run_and_does_not_is_started() -> None:
    observed = host("1", runs="1")
    assert "replace-singleton" in names(
        plan_singleton("cron", Version("1"), replace(observed, containers={}))
    )


def test_none_is_up_stopped_or_removed_beside_it() -> None:
    observed = host("1", "2", runs="1")
    with pytest.raises(Conflict, match="is a singleton"):
        plan_up("cron", Version("2"), observed)
    for refuses in (plan_stop, plan_rm):
        with pytest.raises(Conflict, match="the one version of a singleton"):
            refuses("cron", Version("1"), observed)


def switched(version: str, also: str = "") -> Release:
    """From when cron was, or will be, no singleton."""
    spec = replace(ONE, workload=Workload.SWITCHED)
    if also:
        spec = replace(spec, also=(Also(parse_port("9001/tcp"), 9000, also),))
    return release(f"cron@{version}", spec=spec)


def with_release(observed: Observed, one: Release) -> Observed:
    images = {**observed.image_ids, one.image: one.image_id}
    return replace(observed, releases=[*observed.releases, one], image_ids=images)


def test_a_version_that_is_none_does_not_run_beside_it() -> None:
    observed = with_release(host("1", runs="1"), switched("2"))
    for verb in (plan_up, plan_activate):
        with pytest.raises(Conflict, match="runs as a singleton"):
            verb("cron", Version("2"), observed)


def test_it_does_not_run_beside_a_version_that_is_none() -> None:
    observed = with_release(host("1"), switched("2"))
    beside = allocate(observed.release("cron", Version("2")), observed)
    observed = replace(
        observed, instances=[beside], containers={beside.name: container(beside, "exited")}
    )
    with pytest.raises(Conflict, match="from when cron was no singleton"):
        plan_singleton("cron", Version("1"), observed)


def test_no_range_leads_to_one() -> None:
    observed = with_release(host("1.0.0"), switched("2.0.0", also="^1"))
    ((route,), releases) = also_routes(observed.release("cron", Version("2.0.0")), observed)
    assert not route.split.shares
    assert not releases


def test_a_copy_by_hand_stands_in_the_way() -> None:
    observed = replace(host("1", "2", runs="1"), copies=["by-hand"])
    with pytest.raises(Conflict, match="started by hand: by-hand") as refused:
        plan_singleton("cron", Version("2"), observed)
    assert refused.value.hint == "End them first: docker rm --force by-hand"


def test_deactivated_none_is_to_run() -> None:
    plan = plan_end_singleton("cron", host("1", runs="1"))
    assert names(plan)[:1] == ["record-singleton"]
    assert "replace-singleton" in names(plan)
    assert not plan_end_singleton("cron", host("1")).steps
