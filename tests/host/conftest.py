"""Hosts for tests: network namespaces, each with its own Docker engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from support.host import Host, close_run
from support.remains import sweep


@pytest.fixture(scope="session", autouse=True)
def _nothing_left() -> Iterator[None]:
    """Remove what an earlier run left that was killed."""
    sweep()
    yield
    close_run()


@pytest.fixture(scope="session")
def engine_host() -> Iterator[Host]:
    """One host with a running engine, shared by all tests that leave it as they found it:
    own names for containers and networks, nothing that restarts the engine."""
    with Host() as host:
        host.engine_start()
        yield host


@pytest.fixture
def make_host() -> Iterator[Callable[..., Host]]:
    """Hosts of a test's own: `make_host()`, or with dockerd options, `make_host("--ipv6")`.
    The engine starts when first asked for."""
    with ExitStack() as hosts:
        yield lambda *options: hosts.enter_context(Host(*options))
