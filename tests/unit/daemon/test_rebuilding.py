"""A state is made again from what a daemon has left: every kind of it, and what cannot be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from alongside.compose.read_override import read_override
from alongside.domain.errors import Conflict, StateUnwritable
from alongside.domain.version import Version
from support.served import Served, archive

JOB = """\
services:
  job:
    image: repo/job:${tag:-latest}
    build: .
    x-alongside: {ready: running, workload: singleton}
"""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """dns@1.0.0 has the ports, dns@1.1.0 is up, 1.2.0 is released, job@1 is a singleton."""
    with Served(tmp_path) as daemon:
        for version in ("1.0.0", "1.1.0", "1.2.0"):
            daemon.release("dns", version)
        daemon.change("up", reference="dns@1.1.0")
        daemon.change("activate", reference="dns@1.0.0")
        tree = archive({"compose.yaml": JOB, "Dockerfile": "FROM scratch\n"})
        source = {"commit": "a" * 40, "tree": "b" * 40, "repository": "jobs", "source": "/jobs"}
        list(daemon.client.build([tree], tag="1", **source))
        daemon.change("activate", reference="job@1")
        daemon.change("assign", assignments=["8080:50080/tcp"])
        yield daemon


def rebuilt(served: Served) -> dict[str, object]:
    result: dict[str, object] = served.change("state/rebuild", dry_run=True)[-1]["result"]
    return result


def test_everything_is_found_and_the_table_stays_as_it_is(served: Served) -> None:
    result = rebuilt(served)
    assert result["nft"] == ""
    found = [line.partition(" ")[2] for line in result["plan"]]  # type: ignore[attr-defined]
    assert found[:-1] == [
        "release dns@1.0.0",
        "release dns@1.1.0",
        "release dns@1.2.0",
        "release job@1",
        "instance dns-1.0.0",
        "instance dns-1.1.0",
        "instance job-current",
        "route 53/tcp to dns@1.0.0",
        "route 53/udp to dns@1.0.0",
        "route 8080/tcp -> 50080",
    ]
    assert not result["changed"]


def test_a_release_without_its_tree_is_said_and_what_it_has_is_not_taken(served: Served) -> None:
    (tree,) = [
        one
        for one in served.paths.all_trees()
        if one.name == served.source("dns", "1.0.0")[1]["tree"]
    ]
    tree.rename(served.paths.root / "elsewhere")
    result = rebuilt(served)
    said = " ".join(result["summary"])  # type: ignore[arg-type]
    assert f"dns@1.0.0 cannot be made again: its release tree {tree} is gone" in said
    assert "53/udp leads to dns@1.0.0 now, which is not known" in said
    assert "flush chain inet alongside port-53-udp" in str(result["nft"])


def test_a_state_that_is_whole_is_not_rebuilt(served: Served) -> None:
    with pytest.raises(Conflict, match="is there and whole"):
        served.change("state/rebuild")
    served.change("state/backup")
    with pytest.raises(Conflict, match="is there and whole"):
        served.change("state/restore")
    assert served.client.get_bytes("/v1/state").startswith(b"SQLite format 3\0")


def test_while_nothing_may_be_changed_only_the_state_can_be_mended(served: Served) -> None:
    served.context.operations.refusal = lambda: StateUnwritable("It is lost.", hint="Mend it.")
    with pytest.raises(StateUnwritable.__base__, match=r"It is lost\."):  # type: ignore[arg-type]
        served.change("activate", reference="dns@1.1.0")
    with pytest.raises(StateUnwritable.__base__, match=r"It is lost\."):  # type: ignore[arg-type]
        served.client.put("/v1/shared/dns/.env", b"A=1")
    tree, query = served.source("dns", "1.3.0")
    with pytest.raises(StateUnwritable.__base__, match=r"It is lost\."):  # type: ignore[arg-type]
        list(served.client.build([tree], **query))
    assert list(served.paths.incoming.iterdir()) == []
    assert rebuilt(served)["nft"] == ""


def test_an_override_file_is_read_back(served: Served) -> None:
    found = {}
    for path in served.paths.root.glob("instances/*/override.yaml"):
        described = read_override(path.read_text())
        if described is not None:
            found[described.service, described.version] = described
    for instance in served.context.instances.all():
        described = found[instance.service, instance.version]
        assert described.local_ports == instance.local_ports
        assert described.ipv4 == instance.subnet.ipv4
    assert ("dns", Version("1.0.0")) in found
    assert read_override("services: {x: {image: y, ports: !reset null}}\n") is None
