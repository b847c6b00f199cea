"""Mistakes in x-alongside are named by key, with what was found and what to write."""

from __future__ import annotations

from typing import Any

import pytest

from alongside.compose.schema import ReadySettings, ServiceSettings, SharingSettings, read
from alongside.domain.errors import InvalidInput


def mistake(raw: object, kind: Any = ServiceSettings) -> InvalidInput:
    with pytest.raises(InvalidInput) as refused:
        read(kind, "service dns", raw)
    return refused.value


@pytest.mark.parametrize(
    ("raw", "where", "hint"),
    [
        ({"tag": "v*"}, "x-alongside.tag of service dns is not a key", "Did you mean tags?"),
        ({"worklaod": "x"}, "x-alongside.worklaod", "Did you mean workload?"),
        (
            {"zzz": 1},
            "x-alongside.zzz",
            "Known keys are: also, before, drain, follow, ",
        ),
        ({"watch": {"four": 3}}, "x-alongside.watch.four", "Did you mean for or"),
        ({"standby": {"ass": "paused"}}, "x-alongside.standby.ass", "Did you mean as?"),
        ({"ready": {"htpp": "/"}}, "x-alongside.ready.htpp", "Did you mean http"),
    ],
)
def test_an_unknown_key_is_answered_with_the_nearest(raw: Any, where: str, hint: str) -> None:
    error = mistake(raw)
    assert where in error.message
    assert hint in error.hint


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ("tags", "x-alongside of service dns is 'tags'; it should be keys with values."),
        ({"workload": "switch"}, "x-alongside.workload of service dns is 'switch'; it should be "
         "'singleton', 'switched' or 'replicated'."),
        ({"tags": []}, "x-alongside.tags of service dns is []"),
        ({"tags": {"a": 1}}, "x-alongside.tags of service dns is {'a': 1}; it should be a valid "
         "list."),
        ({"shared": "maybe"}, "x-alongside.shared of service dns is 'maybe'; it should be a valid "
         "boolean"),
        ({"ready": "tcp"}, "x-alongside.ready of service dns is 'tcp'; it should be `health`, "
         "`running`, or a key"),
        ({"ready": {"tcp": 70000}}, "x-alongside.ready.tcp of service dns is 70000; it should be "
         "less than or equal to 65535."),
        ({"ready": {"tcp": True}}, "x-alongside.ready.tcp of service dns is True; it should be a "
         "number."),
        ({"ready": {"http": "up"}}, "x-alongside.ready.http of service dns is 'up'; it should be a "
         "path that starts with a slash"),
        ({"ready": {"exec": []}}, "x-alongside.ready.exec of service dns is []"),
        ({"ready": {"exec": " "}}, "x-alongside.ready.exec of service dns is ' '"),
        ({"ready": {"command": 7}}, "x-alongside.ready.command of service dns is 7"),
        ({"ready": {"command": ["a", 1]}}, "x-alongside.ready.command.1 of service dns is 1"),
        ({"ready": {"http": "/", "body": ""}}, "x-alongside.ready.body of service dns is ''"),
        ({"ready": {"health": False}}, "x-alongside.ready.health of service dns is False"),
        ({"ready": {"timeout": "soon"}}, "x-alongside.ready.timeout of service dns is 'soon'"),
        ({"ready": {"timeout": 0}}, "it should be greater than 0."),
        ({"ready": {"timeout": "2h"}}, "x-alongside.ready.timeout of service dns is '2h'"),
        ({"ready": {"protocol": "quic"}}, "it should be 'udp' or 'tcp'."),
        ({"watch": "soon"}, "x-alongside.watch.for of service dns is 'soon'"),
        ({"watch": {"for": "1m", "failures": 0}}, "x-alongside.watch.failures of service dns is 0"),
        ({"drain": "never"}, "x-alongside.drain of service dns is 'never'; it should be a duration "
         "(30s), none or forever."),
        ({"drain": -1}, "x-alongside.drain of service dns is -1"),
        ({"standby": {"as": "asleep"}}, "x-alongside.standby.as of service dns is 'asleep'; it "
         "should be 'running', 'paused' or 'stopped'."),
        ({"standby": "paused"}, "x-alongside.standby of service dns is 'paused'"),
        ({"keep": 0}, "x-alongside.keep of service dns is 0"),
        ({"keep_for": "long"}, "x-alongside.keep_for of service dns is 'long'"),
        ({"before": []}, "x-alongside.before of service dns is []"),
        ({"linked": ["../.env"]}, "it should be files below the compose file's folder"),
        ({"linked": "/etc/passwd"}, "it should be files below the compose file's folder"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named(raw: object, message: str) -> None:
    error = mistake(raw)
    assert message in error.message
    assert error.hint


def test_a_key_of_released_services_is_told_from_an_unknown_one() -> None:
    error = mistake({"tags": "*"}, SharingSettings)
    assert "x-alongside.tags of service dns is for services that have `build:`" in error.message
    assert "shared" in error.hint


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90.0), (90, 90.0), ("1m30s", 90.0), ("1.5s", 1.5), ("500ms", 0.5), ("1h", 3600.0)],
)
def test_durations(text: object, seconds: float) -> None:
    assert read(ReadySettings, "service dns", {"timeout": text}).timeout == seconds


def test_one_or_a_list() -> None:
    settings = read(ServiceSettings, "service dns", {"tags": "v*", "linked": ".env"})
    assert (settings.tags, settings.linked) == (["v*"], [".env"])
    assert read(ServiceSettings, "service dns", None) == ServiceSettings()
