import pytest

from alongside.domain.errors import MissingRequirement
from alongside.engine.fake import FakeCompose, FakeEngine
from alongside.host import requirements
from alongside.host.requirements import Missing, check, sample


class OldCompose(FakeCompose):
    async def version(self) -> str:
        return "2.20.2-1"


class NoCompose(FakeCompose):
    async def version(self) -> str:
        raise MissingRequirement("`docker compose`, version 2, is not there.", hint="Install it.")


@pytest.fixture
def compose() -> FakeCompose:
    return FakeCompose(FakeEngine())


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[int, str]]:
    """What commands answer, by their second word; the rights are there."""
    answers = {"--version": (0, "nftables v1.0.6 (Lester Gooch #5)\n"), "--check": (0, "")}

    async def run(*command: str, given: str = "") -> tuple[int, str]:
        return answers[command[1]]

    monkeypatch.setattr(requirements, "_run", run)
    monkeypatch.setattr(requirements, "_rights", list)
    monkeypatch.setattr(requirements, "_conntrack", list)
    return answers


async def test_nothing_is_missing(compose: FakeCompose) -> None:
    assert await check(compose) == []


async def test_all_that_is_missing_is_said_at_once(
    machine: dict[str, tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine["--version"] = (0, "nftables v0.9.8 (E.D.S.)\n")
    monkeypatch.setattr(requirements, "_rights", lambda: [Missing("root", "Be it.")])

    found = await check(OldCompose(FakeEngine()))

    assert [one.what.split(" (")[0] for one in found] == [
        "root",
        "nft 1.0.2 or later",
        "Compose 2.24.4 or later",
    ]
    assert all(one.remedy for one in found)


async def test_a_compose_that_is_not_there_keeps_its_own_remedy() -> None:
    assert await check(NoCompose(FakeEngine())) == [
        Missing("`docker compose`, version 2, is not there", "Install it.")
    ]


async def test_a_kernel_that_lacks_an_expression(
    machine: dict[str, tuple[int, str]], compose: FakeCompose
) -> None:
    machine["--check"] = (1, "Error: Could not process rule: No such file or directory\nadd rule")

    (missing,) = await check(compose)

    assert "Could not process rule" in missing.what
    assert "add rule" not in missing.what


async def test_no_nft(compose: FakeCompose, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run(*command: str, given: str = "") -> tuple[int, str]:
        raise FileNotFoundError(command[0])

    monkeypatch.setattr(requirements, "_run", run)

    assert await check(compose) == [Missing("the command nft", "Install the package nftables.")]


async def test_no_ip(compose: FakeCompose, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requirements.shutil, "which", lambda _: None)

    assert await check(compose) == [Missing("the command ip", "Install the package iproute2.")]


def test_the_sample_names_another_table_throughout() -> None:
    text = sample()
    assert text.startswith("add table inet alongside_check\n")
    assert all(line.split()[2:4] == ["inet", "alongside_check"] for line in text.splitlines())
    for word in ("numgen", "jhash", "fib daddr", "redirect", "dnat ip6", "reject", "vmap"):
        assert word in text
