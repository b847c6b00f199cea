"""One daemon a network namespace: whose the claim is. The names are the test's own."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket

import pytest

from alongside.host import claim as claim_module
from alongside.host.claim import Claimed, claim


@pytest.fixture
def names() -> str:
    return f"alongside-test-{secrets.token_hex(4)}/"


async def test_the_second_is_told_who_has_it(names: str) -> None:
    with await claim(names):
        for _ in range(3):
            with pytest.raises(Claimed) as refused:
                await claim(names)
            assert refused.value.pid == os.getpid()
    with await claim(names):
        pass


async def test_of_many_at_once_one_has_it(names: str) -> None:
    for _ in range(2):
        found = await asyncio.gather(*(claim(names) for _ in range(5)), return_exceptions=True)
        (won,) = [one for one in found if isinstance(one, socket.socket)]
        assert all(isinstance(one, Claimed) for one in found if one is not won)
        won.close()


async def test_one_that_claimed_though_it_began_later_is_not_overtaken(
    names: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was scheduled between another's taking its turn and binding its name."""
    monkeypatch.setattr(claim_module, "PATIENCE", 0.2)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as later:
        later.bind(f"\0{names}{10**20 - 1}-late")
        with pytest.raises(Claimed):
            await claim(names)


async def test_one_that_begins_later_gives_way(names: str) -> None:
    later = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    later.bind(f"\0{names}{10**20 - 1}-late")
    asyncio.get_running_loop().call_later(0.2, later.close)
    with await claim(names):
        pass


async def test_another_users_socket_claims_nothing(
    names: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with await claim(names):
        monkeypatch.setattr(claim_module, "_trusted", lambda pid: pid != os.getpid())
        with await claim(names):
            pass


async def test_one_whose_process_is_not_seen_has_it(
    names: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with await claim(names):
        monkeypatch.setattr(claim_module, "socket_owners", lambda inodes: {})
        with pytest.raises(Claimed) as refused:
            await claim(names)
        assert refused.value.pid == 0
