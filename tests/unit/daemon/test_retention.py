"""Which releases gc removes, after what the marks and the history say of them."""

from __future__ import annotations

from dataclasses import replace

from alongside.daemon.retirement import itself
from alongside.daemon.verbs.change import Asked
from alongside.daemon.verbs.gc import gc
from alongside.domain.deployment import Mark
from alongside.domain.history import Outcome
from alongside.domain.version import Version
from support.examples import release

from .conftest import Daemon


def made(daemon: Daemon, version: str, day: int, mark: Mark | None = None) -> None:
    one = release(f"dns@{version}", day=day, spec=daemon.release.spec)
    daemon.context.releases.add(replace(one, image_id=f"sha256:{version}"))
    if mark is not None:
        daemon.context.releases.mark("dns", Version(version), mark, "a reason")


def deployed(daemon: Daemon, version: str, outcome: Outcome) -> None:
    journal = daemon.context.journal
    number = journal.begin("deploy", "dns", itself(), before="", after=version, message="")
    journal.end(number, outcome)


async def collected(daemon: Daemon, keep: int) -> set[str]:
    """The versions that are left."""
    asked = Asked(itself())
    await gc(daemon.context, "dns", asked, lambda _: None, keep=keep)
    return {str(one.version) for one in daemon.context.releases.all()}


async def test_three_that_failed_do_not_push_a_good_one_out(daemon: Daemon) -> None:
    made(daemon, "0.4.0", -3, Mark.GOOD)
    made(daemon, "0.5.0", -2, Mark.GOOD)
    made(daemon, "1.2.0", 2, Mark.BAD)
    made(daemon, "1.3.0", 3, Mark.BAD)
    made(daemon, "1.4.0", 4)
    deployed(daemon, "1.4.0", Outcome.FAILED)  # it never became ready, so nobody marked it
    made(daemon, "1.5.0", 5)
    deployed(daemon, "1.5.0", Outcome.INTERRUPTED)
    made(daemon, "1.6.0", 6)
    # 1.0.0 has the ports and 1.1.0 runs; 1.5.0 and 1.6.0 have still to be tried.
    assert await collected(daemon, 2) == {"0.5.0", "1.0.0", "1.1.0", "1.5.0", "1.6.0"}


async def test_one_that_failed_can_be_looked_at_until_there_is_a_newer_one(daemon: Daemon) -> None:
    made(daemon, "1.2.0", 2, Mark.BAD)
    assert await collected(daemon, 1) == {"1.0.0", "1.1.0", "1.2.0"}
    made(daemon, "1.3.0", 3)
    assert await collected(daemon, 1) == {"1.0.0", "1.1.0", "1.3.0"}
