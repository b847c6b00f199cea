"""nft itself takes every golden text, and prints each table as it was written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from alongside.router.listing import parse_listing
from support.host import Host

pytestmark = pytest.mark.host

GOLDEN = Path(__file__).parents[1] / "golden" / "router"
FRESH = [file for file in sorted(GOLDEN.glob("*.nft")) if not file.name.startswith("change-")]


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    with Host() as made:
        yield made


@pytest.mark.parametrize("file", FRESH, ids=lambda file: file.stem)
def test_nft_takes_the_text_and_prints_it_again(host: Host, file: Path) -> None:
    host.run(["nft", "-c", "-f", str(file)])
    assert host.run(["nft", "list", "ruleset"]).stdout == ""  # checking changes nothing
    text = file.read_text()
    host.nft(text)
    try:
        listed = host.run(["nft", "-s", "-y", "list", "table", "inet", "alongside"]).stdout
    finally:
        host.nft("delete table inet alongside\n")
    rules = [
        (name, rule) for name, chain in parse_listing(listed).chains.items() for rule in chain.rules
    ]
    lead = "add rule inet alongside "
    written = [line.removeprefix(lead) for line in text.splitlines() if line.startswith(lead)]
    assert sorted(f"{name} {rule}" for name, rule in rules) == sorted(written)
