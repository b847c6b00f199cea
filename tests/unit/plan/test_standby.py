"""How versions that had the ports are kept."""

from __future__ import annotations

from dataclasses import replace

import pytest

from alongside.domain.policy import Standby, StandbyAs
from alongside.domain.version import Version
from alongside.plan.standby import kept_as, plan_keep
from support.examples import container, world

ONE, TWO, THREE, FOUR = (Version(str(number)) for number in range(1, 5))
OBSERVED = world("dns@1", "dns@2", running=("dns@1", "dns@2"), routed="dns@2")


def test_those_that_a_rollback_comes_to_first_are_kept_and_the_others_stopped() -> None:
    standby = Standby(2, StandbyAs.PAUSED)
    kept = kept_as([ONE, TWO, THREE], [ONE, TWO, THREE, FOUR], FOUR, {}, standby)
    assert kept == {ONE: None, TWO: StandbyAs.PAUSED, THREE: StandbyAs.PAUSED}


def test_a_bad_one_is_no_standby_and_takes_nobody_s_place() -> None:
    kept = kept_as([TWO, THREE], [ONE, TWO, THREE, FOUR], FOUR, {THREE}, Standby(1))
    assert kept == {THREE: None, TWO: StandbyAs.RUNNING}


def test_one_that_was_gone_back_from_is_stopped() -> None:
    # It failed its trial, so it is not on the trail.
    assert kept_as([TWO], [ONE], ONE, {}, Standby(1)) == {TWO: None}


@pytest.mark.parametrize(
    ("state", "kept", "steps"),
    [
        ("running", StandbyAs.RUNNING, []),
        ("running", StandbyAs.PAUSED, ["await-ready", "pause"]),
        ("running", StandbyAs.STOPPED, ["stop"]),
        ("running", None, ["stop"]),
        ("paused", None, ["stop"]),
        ("paused", StandbyAs.PAUSED, []),
        ("paused", StandbyAs.STOPPED, ["stop"]),
        ("paused", StandbyAs.RUNNING, ["wake", "await-ready"]),
        ("exited", StandbyAs.PAUSED, []),
    ],
)
def test_it_is_probed_before_it_is_paused_and_after_it_is_woken(
    state: str, kept: StandbyAs | None, steps: list[str]
) -> None:
    instance = OBSERVED.instance("dns", ONE)
    assert instance is not None
    there = {**OBSERVED.containers, instance.name: container(instance, state)}
    plan = plan_keep(OBSERVED.release("dns", ONE), kept, replace(OBSERVED, containers=there))
    assert [step.name for step in plan.steps] == steps


def test_one_that_has_ports_is_left_alone() -> None:
    assert not plan_keep(OBSERVED.release("dns", TWO), StandbyAs.STOPPED, OBSERVED).steps
