"""Through the gates: what is done in which order."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from alongside.domain.deployment import Trial
from alongside.domain.errors import Conflict
from alongside.domain.policy import Watch
from alongside.domain.version import Version
from alongside.plan.activate import plan_activate
from alongside.plan.deploy import plan_deploy
from alongside.plan.observed import Observed
from alongside.plan.steps import OpenTrial
from support.examples import container, release, service, world

NEW = Version("1.1.0")
RUNNING = world("dns@1.0.0", "dns@1.1.0", running=("dns@1.0.0", "dns@1.1.0"), routed="dns@1.0.0")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def names(observed: Observed, **more: object) -> list[str]:
    plan = plan_deploy("dns", NEW, observed, **more)  # type: ignore[arg-type]
    return [step.name for step in plan.steps]


def test_ready_then_the_ports_then_the_trial() -> None:
    assert names(RUNNING) == ["await-ready", "record-routes", "switch", "clean-udp", "open-trial"]


def test_the_window_is_the_release_s_own_unless_said_otherwise() -> None:
    short = release("dns@1.1.0", spec=replace(service(), watch=Watch(length=5)))
    observed = replace(RUNNING, releases=[RUNNING.releases[0], short])
    (trial,) = [
        one for one in plan_deploy("dns", NEW, observed).steps if isinstance(one, OpenTrial)
    ]
    assert trial.seconds == 5
    (trial,) = [
        one
        for one in plan_deploy("dns", NEW, observed, watch=90).steps
        if isinstance(one, OpenTrial)
    ]
    assert trial.seconds == 90
    assert "open-trial" not in names(observed, watch=0)


def test_none_while_another_version_is_on_trial() -> None:
    trial = Trial("dns", Version("1.0.0"), 1, NOW, NOW + timedelta(seconds=30))
    with pytest.raises(Conflict, match=r"dns@1\.0\.0 .* is still watched") as caught:
        names(replace(RUNNING, trial=trial))
    assert "mark good dns@1.0.0" in caught.value.hint
    assert "rollback dns" in caught.value.hint


def test_a_bad_version_is_refused_with_the_reason_and_force_goes_past_it() -> None:
    observed = replace(RUNNING, bad={NEW: "answers SERVFAIL"})
    for plan in (plan_deploy, plan_activate):
        with pytest.raises(Conflict, match=r"dns@1\.1\.0 is marked bad: answers SERVFAIL"):
            plan("dns", NEW, observed)
        assert plan("dns", NEW, observed, force=True).steps


def test_what_runs_once_runs_before_the_version_is_started_and_only_for_the_ports() -> None:
    observed = replace(
        world("dns@1.0.0", "dns@1.1.0", running=("dns@1.0.0",), routed="dns@1.0.0"),
        unprepared=frozenset({NEW}),
    )
    assert names(observed)[:4] == ["allocate", "run-before", "start", "await-ready"]
    again = replace(RUNNING, unprepared=frozenset({NEW}))
    assert names(again)[:2] == ["run-before", "await-ready"]


def test_a_paused_standby_is_woken_and_asked_before_it_has_the_ports() -> None:
    instance = RUNNING.instance("dns", NEW)
    assert instance is not None
    paused = {**RUNNING.containers, instance.name: container(instance, "paused")}
    observed = replace(RUNNING, containers=paused, image_ids={})  # no image is asked for
    assert names(observed)[:3] == ["wake", "await-ready", "record-routes"]


def test_an_image_that_is_gone_is_loaded_from_its_archive_or_refused() -> None:
    observed = replace(world("dns@1.0.0", "dns@1.1.0"), image_ids={})
    with pytest.raises(Conflict, match="is gone from the engine"):
        names(observed)
    assert names(replace(observed, archived=frozenset({NEW})))[:3] == [
        "allocate",
        "load-image",
        "start",
    ]
