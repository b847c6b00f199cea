"""Policies of a service: how it is deployed, and how what was deployed is kept."""

from __future__ import annotations

from dataclasses import dataclass

from alongside.compose.schema import KEY, ServiceSettings
from alongside.domain.errors import InvalidInput
from alongside.domain.follow import check_follow
from alongside.domain.policy import Retention, Standby, StandbyAs, Watch
from alongside.domain.service import Workload

_SWITCHED_ALONE = ("drain", "standby")  # of a singleton the old one is gone before the new one is


@dataclass(frozen=True, slots=True)
class Policies:
    watch: Watch
    drain: float | None
    standby: Standby
    retention: Retention
    follow: str


def policies(place: str, settings: ServiceSettings) -> Policies:
    """Raises InvalidInput."""
    if Workload(settings.workload) is Workload.SINGLETON:
        for name in _SWITCHED_ALONE:
            if name in settings.model_fields_set:
                raise InvalidInput(
                    f"{KEY}.{name} of {place} is about versions that had the ports, and of a "
                    "singleton the old one is gone before the new one starts.",
                    hint=f"Leave `{name}` out, or `workload: singleton`.",
                )
    if settings.follow:
        check_follow(settings.follow)
    watch, standby = settings.watch, settings.standby
    return Policies(
        watch=Watch(watch.length, watch.every, watch.failures, watch.within),
        drain=settings.drain,
        standby=Standby(
            standby.keep, StandbyAs(standby.kept_as), "standby" in settings.model_fields_set
        ),
        retention=Retention(settings.keep, settings.keep_for),
        follow=settings.follow or "",
    )
