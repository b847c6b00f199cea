"""Releases that are deployed by themselves, as `x-alongside.follow` of the version that has the
ports says."""

from __future__ import annotations

import logging

from alongside.daemon.background import in_background
from alongside.daemon.context import Context
from alongside.daemon.retirement import itself
from alongside.domain.follow import next_version, why_not
from alongside.domain.history import Entry, Outcome
from alongside.domain.release import Release
from alongside.domain.version import Dated, Version, newest_first
from alongside.domain.words import clipped

_TRIES = ("activate", "deploy", "rollback")  # what gives a version the ports, or tried to

_log = logging.getLogger(__name__)


class Follower:
    def __init__(self, context: Context) -> None:
        self._context = context

    def look(self, service: str) -> list[str]:
        """Deploy what is next, in the background; returns what is done, for a person. What is
        passed over is in the history once, with the reason.

        A version is tried once: where it failed, or where a person went back from it, the next
        one is waited for.
        """
        context = self._context
        current = context.in_force(service)
        if current is None or not current.spec.follow:
            return []
        text = current.spec.follow
        entries = context.journal.entries(service)
        tried = {
            Version(one.after)
            for one in entries
            if one.verb in _TRIES and one.after and one.outcome is not Outcome.INTERRUPTED
        }
        dated = [
            Dated(one.version, one.created)
            for one in context.releases.all()
            if one.service == service
        ]
        order = newest_first(dated)
        newer = [one for one in order[: order.index(current.version)] if one not in tried]
        reasons = {one: self._why_not(service, text, one) for one in newer}
        said = [
            sentence
            for version, reason in reasons.items()
            if reason and (sentence := self._pass_over(current, version, reason, entries))
        ]
        if context.trials.get(service) is not None:
            return said  # when it has ended
        passed = {*tried, *(one for one, reason in reasons.items() if reason)}
        following = next_version(text, current.version, dated, passed)
        if following is not None:
            self._deploy(service, following, text)
            said.append(
                f"{service}@{following} is deployed by itself, since {service}@{current.version} "
                f"follows {text}: `alongside history {service}` shows how it ends."
            )
        return said

    def _why_not(self, service: str, text: str, version: Version) -> str:
        bad = self._context.bad(service).get(version)
        if bad is not None:
            return f"is marked bad: {bad}"
        reason = why_not(text, version)
        hold = self._context.holds.get(service)
        if reason or hold is None:
            return reason
        return f"is held by {hold.actor}{f': {hold.message}' if hold.message else ''}"

    def _pass_over(
        self, current: Release, version: Version, reason: str, entries: list[Entry]
    ) -> str:
        """Write it down, unless that was the last that was said of it."""
        service, journal = current.service, self._context.journal
        reason = clipped(reason)
        last = [one for one in entries if one.verb == "skip" and one.after == str(version)]
        if last and last[-1].detail == reason:
            return ""
        operation = journal.begin(
            "skip",
            service,
            itself(),
            before=str(current.version),
            after=str(version),
            message=f"follow {current.spec.follow}",
        )
        journal.end(operation, Outcome.UNCHANGED, reason)
        return f"{service}@{version} is not deployed by itself: it {reason}."

    def _deploy(self, service: str, version: Version, text: str) -> None:
        from alongside.daemon.verbs.change import Asked  # noqa: PLC0415 - they look back here
        from alongside.daemon.verbs.deploy import deploy  # noqa: PLC0415

        context = self._context
        asked = Asked(itself(), f"follow {text}")
        operation = context.operations.start(
            lambda emit: deploy(context, f"{service}@{version}", asked, emit)
        )

        async def tell() -> None:
            async for event in operation.follow():
                if event["event"] == "error":
                    said = event["problem"]["detail"]
                    _log.warning("%s@%s: %s", service, version, said)
                    current = context.in_force(service)
                    if not operation.begun and current is not None:  # refused before its first step
                        reason = f"could not be deployed: {said}"
                        self._pass_over(current, version, reason, context.journal.entries(service))

        in_background(context, f"following {service} to {version}", tell)
