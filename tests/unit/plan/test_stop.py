from __future__ import annotations

from dataclasses import replace

import pytest

from alongside.domain.errors import Conflict
from alongside.domain.version import Version
from alongside.plan.stop import plan_rm, plan_stop
from support.examples import world

OBSERVED = world("dns@1.0.0", "dns@1.1.0", running=("dns@1.0.0", "dns@1.1.0"), routed="dns@1.1.0")


def test_a_version_that_has_ports_is_never_stopped_or_removed() -> None:
    for plan in (plan_stop, plan_rm):
        with pytest.raises(Conflict, match=r"dns@1\.1\.0 has 53/udp and 53/tcp"):
            plan("dns", Version("1.1.0"), OBSERVED)


def test_another_is_stopped() -> None:
    assert [step.name for step in plan_stop("dns", Version("1.0.0"), OBSERVED).steps] == ["stop"]


def test_stopping_what_does_not_run_says_so() -> None:
    plan = plan_stop("dns", Version("1.0.0"), replace(OBSERVED, containers={}))
    assert plan.reason == "dns@1.0.0 does not run."


def test_the_rollback_target_is_removed_only_by_force() -> None:
    observed = replace(OBSERVED, trail=[Version("1.0.0"), Version("1.1.0")])
    with pytest.raises(Conflict, match="that a rollback of dns would go to"):
        plan_rm("dns", Version("1.0.0"), observed)
    plan = plan_rm("dns", Version("1.0.0"), observed, force=True)
    assert [step.name for step in plan.steps] == ["remove", "forget", "switch"]
