"""Looking at a host from the terminal: by the daemon where it answers, and without it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from alongside.client import Client
from alongside.doctor.catalogue import HOST, PERSONAL
from alongside.doctor.facts import Facts, Unseen, Wanted
from alongside.doctor.finding import Checked, Finding, Json, Outcome
from alongside.doctor.gather import access, repository

STATE = Path("/var/lib/alongside")


def examine(client: Client) -> list[Checked]:
    """Every check, those of the person's first."""
    answer = access.answer(client)
    released: set[str] = set()
    if not answer.error:
        released = {one["repository"] for one in client.get("/v1/releases")["releases"]}
    own = Facts(
        answer=answer,
        socket=access.socket(client.path),
        hooks=repository.hooks(client.path, released),
    )
    checked = [check(own) for check in PERSONAL]
    if answer.error:
        return [*checked, *_alone()]
    return [*checked, *map(_checked, client.get("/v1/doctor")["checks"])]


def _alone() -> list[Checked]:
    """What can be seen without the daemon. What is wanted of the host is not known then, but for
    the ports that the kernel goes on routing."""
    facts = asyncio.run(_facts())
    return [check(facts) for check in HOST]


async def _facts() -> Facts:
    from alongside.doctor.gather.host import engine_host, host_facts  # noqa: PLC0415 - 300 ms
    from alongside.doctor.gather.routed import routed_ports  # noqa: PLC0415
    from alongside.engine.compose import DockerCompose  # noqa: PLC0415
    from alongside.engine.docker import DockerEngine  # noqa: PLC0415

    host = engine_host()
    why = Unseen("the daemon knows, and does not answer")
    engine = DockerEngine(host)
    try:
        ruleset = await routed_ports()
        state = STATE if STATE.exists() else None
        wanted: Wanted | Unseen = why if isinstance(ruleset, Unseen) else Wanted(ruleset)
        return await host_facts(engine, DockerCompose(host), host, state, wanted, why, why)
    finally:
        await engine.close()


def _checked(answer: Any) -> Checked:
    found: Json = answer
    findings = tuple(
        Finding(
            Outcome(one["severity"]),
            one["what"],
            one["means"],
            one["remedy"],
            tuple(one["commands"]),
        )
        for one in found["findings"]
    )
    return Checked(found["id"], Outcome(found["outcome"]), found["said"], findings)
