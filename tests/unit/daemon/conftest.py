"""A daemon's insides on fakes: two versions of a service that run, and the first has the ports."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from alongside.daemon.context import Context
from alongside.daemon.parts import attach
from alongside.daemon.paths import StatePaths
from alongside.daemon.retirement import itself
from alongside.domain.history import Entry, Outcome
from alongside.domain.instance import Instance
from alongside.domain.policy import Watch
from alongside.domain.release import Release
from alongside.domain.service import Dependency, Ready, ReadyKind
from alongside.domain.version import Version
from alongside.engine.fake import FakeCompose, FakeEngine
from alongside.engine.protocol import LABEL_ORDINAL, LABEL_SERVICE, LABEL_VERSION
from alongside.plan.addresses import allocate
from alongside.router.fake import FakeRouter
from alongside.store.database import Database
from support.examples import POOL, release, routes, service


@dataclass
class Daemon:
    """dns@1.0.0 and dns@1.1.0 run; their probe is `exec`, so that `engine.execs` answers it."""

    context: Context
    engine: FakeEngine
    router: FakeRouter
    old: Instance
    new: Instance
    release: Release  # of the new one

    def has_ports(self) -> str:
        """As it was written down; the kernel says the same."""
        current = self.context.in_force("dns")
        assert current is not None
        assert self.router.kernel.table is not None
        text = str(self.router.kernel.table.listing())
        for one in (self.old, self.new):
            led = f"dnat ip to {one.subnet.address4}" in text
            assert led is (one.version == current.version)
        return str(current.version)

    def last(self, verb: str) -> Entry:
        return [one for one in self.context.journal.entries("dns") if one.verb == verb][-1]

    def sick(self, words: str = "no") -> None:
        self.engine.execs[self.new.name] = (1, words)

    async def switch(self) -> int:
        """The new one has the ports, by a deploy whose trial has not begun."""
        journal = self.context.journal
        number = journal.begin("deploy", "dns", itself(), before="1.0.0", after="1.1.0", message="")
        with self.context.database.transaction():
            self.context.routes.replace("dns", routes("dns", "1.1.0"))
            journal.mark_routed(number, True)
        await self.context.commit()
        return number


@pytest.fixture
def depends() -> tuple[Dependency, ...]:
    """What the service depends on; for a module to say otherwise."""
    return ()


@pytest.fixture
async def daemon(tmp_path: Path, depends: tuple[Dependency, ...]) -> AsyncIterator[Daemon]:
    paths = StatePaths(tmp_path)
    paths.make()
    engine, router = FakeEngine(), FakeRouter()
    context = attach(
        Context(
            paths=paths,
            pool=POOL,
            database=Database(paths.database),
            engine=engine,
            compose=FakeCompose(engine),
            router=router,
            ipv6=False,
        )
    )
    spec = replace(
        service(),
        ready=Ready(ReadyKind.EXEC, command=("ask",), timeout=1.0, interval=0.02),
        depends=depends,
        watch=Watch(length=30, every=0.02, failures=2, within=0.5),
    )
    made: list[Instance] = []
    for day, version in enumerate(("1.0.0", "1.1.0")):
        labels = {LABEL_SERVICE: "dns", LABEL_VERSION: version, LABEL_ORDINAL: "1"}
        image = engine.tag(f"repo/dns:{version}", version, labels)
        one = replace(release(f"dns@{version}", day=day, spec=spec), image_id=image.id)
        context.releases.add(one)
        instance = allocate(one, await context.observe("dns", [one]))
        context.instances.add(instance)
        context.instances.want(instance, "running")
        network = instance.network
        engine.add_network(network, instance.subnet.bridge)
        addresses = {network: instance.subnet.address4}
        engine.create(instance.name, image.id, labels=labels, network=network, ipv4=addresses)
        await engine.start(instance.name)
        made.append(instance)
    number = context.journal.begin(
        "activate", "dns", itself(), before="", after="1.0.0", message=""
    )
    context.routes.replace("dns", routes("dns", "1.0.0"))
    context.journal.mark_routed(number, True)
    context.journal.end(number, Outcome.DONE)
    await context.commit()
    new = context.releases.get("dns", Version("1.1.0"))
    assert new is not None
    yield Daemon(context, engine, router, made[0], made[1], new)
    await context.operations.cancel()
    await context.watcher.close()
    for task in list(context.background):
        task.cancel()
    context.database.close()
