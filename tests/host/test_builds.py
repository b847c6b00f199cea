"""What builds read, and which names they take, on a real engine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from support import ask
from support.host import Host
from support.installation import Installation, load_images

pytestmark = pytest.mark.host

BASE = "alongside-test/responder:latest"


@pytest.fixture(scope="module")
def alongside() -> Iterator[Installation]:
    with Host() as host:
        load_images(host, "responder")
        alongside = Installation(host)
        alongside.start()
        yield alongside


def image_id(alongside: Installation, name: str) -> str:
    shown = ["image", "inspect", "--format", "{{.Id}}", name]
    return alongside.host.docker(shown, check=False).stdout.strip()


def released(alongside: Installation, service: str) -> dict[str, str]:
    """The image ID of each version."""
    rows = alongside.json("releases", service)["releases"]
    return {one["version"]: one["image_id"] for one in rows}


def inside(alongside: Installation, container: str, command: str) -> str:
    return alongside.host.docker(["exec", container, "sh", "-c", command]).stdout


def test_a_release_has_nothing_of_what_its_candidate_wrote(alongside: Installation) -> None:
    """Both are tags of one commit, and the candidate runs on."""
    repository = alongside.repository(
        "notes",
        {
            "compose.yaml": "services:\n  notes:\n    build: .\n    image: repo/notes\n"
            "    volumes: ['./data:/data', './conf:/conf']\n"
            "    x-alongside: {ready: running}\n",
            "Dockerfile": f"FROM {BASE}\nENV PORTS=80\nCOPY . /tree\n",
            "data/first": "of the tag",
            "conf": "one\n",
        },
    )
    repository.tag("1.0.0-rc.1")
    alongside("up", "notes@1.0.0-rc.1")
    inside(
        alongside,
        "notes-1.0.0-rc.1",
        "echo secret >/data/customers; echo two >/conf; chmod 777 /data/first",
    )
    repository.tag("1.0.0")
    alongside("up", "notes@1.0.0")
    look = "ls /tree/data /data; cat /tree/conf /conf"
    assert inside(alongside, "notes-1.0.0", look).split() == [
        *("/data:", "first", "/tree/data:", "first", "one", "one")
    ]
    assert inside(alongside, "notes-1.0.0-rc.1", "cat /data/customers /conf") == "secret\ntwo\n"
    alongside.stop()  # what was written there outlives the daemon's own tidying up
    alongside.start()
    assert inside(alongside, "notes-1.0.0-rc.1", "cat /data/customers /conf") == "secret\ntwo\n"
    trees = {one["tree"] for one in alongside.json("releases", "notes")["releases"]}
    assert len(trees) == 1, "git's name of the tree, for both"


TWO = """\
services:
  web:
    image: shop/app:${tag:-latest}
    build: {context: ., args: {VERSION: "web-${tag:-latest}"}}
    ports: ["80:80"]
  worker:
    image: shop/app:${tag:-latest}
    build: {context: ., args: {VERSION: "worker-${tag:-latest}"}}
    ports: ["81:80"]
"""
DOCKERFILE = f"FROM {BASE}\nARG VERSION\nENV VERSION=$VERSION PORTS=80\n"


def test_two_services_under_one_image_name(alongside: Installation) -> None:
    host = alongside.host
    repository = alongside.repository("shop", {"compose.yaml": TWO, "Dockerfile": DOCKERFILE})
    said = ""
    for version in ("1", "2", "3"):
        repository.commit({"what": version})
        said = repository.tag(version).stderr
        alongside("activate", f"web@{version}")
        if version != "2":
            alongside("activate", f"worker@{version}")
    assert "shop/app:3 was left alone, as it is an image of web@3" in said
    assert ask.http_get(host.client, host.address4, 80).body.startswith("web-3 ")
    assert ask.http_get(host.client, host.address4, 81).body.startswith("worker-3 ")
    before = released(alongside, "worker")
    alongside("rm", "web@1")
    alongside("gc", "web", "--keep", "1")
    assert set(released(alongside, "web")) == {"2", "3"}
    assert image_id(alongside, "shop/app:1") == ""
    for version, image in before.items():
        assert image_id(alongside, f"alongside.invalid/worker:{version}") == image
    alongside("rollback", "worker")
    assert ask.http_get(host.client, host.address4, 81).body.startswith("worker-1 ")


def test_names_of_others_are_left_to_them(alongside: Installation) -> None:
    """What everybody builds FROM, another repository's release, and what `build.tags` names."""
    host = alongside.host
    host.docker(["tag", BASE, "site-base:12"])
    base = image_id(alongside, BASE)
    files = {
        "compose.yaml": "services:\n  site:\n    image: site-base\n"
        "    build: {context: ., tags: ['site-base:12', 'repo/extra:${tag:-x}']}\n",
        "Dockerfile": "FROM site-base:12\nENV PORTS=80 VERSION=site\n",
    }
    said = alongside.repository("site", files).tag("12").stderr
    assert "site-base:12 was left alone, as it is an image that alongside did not build" in said
    assert image_id(alongside, "site-base:12") == base
    assert image_id(alongside, "repo/extra:12") == released(alongside, "site")["12"]
    alongside("up", "site@12")

    files["compose.yaml"] = "services:\n  other:\n    build: .\n    image: repo/extra:${tag:-x}\n"
    said = alongside.repository("other", files).tag("12").stderr
    assert "repo/extra:12 was left alone, as it is an image of site@12" in said
    alongside("rm", "site@12")
    for reference in ("site@12", "other@12"):
        alongside("up", reference)
    assert alongside.json("status")["problems"] == []


def test_releases_of_an_older_alongside_are_held_when_the_engine_is_met(
    alongside: Installation,
) -> None:
    """It gave them the person's name alone, of which nothing was left by a second build."""
    host = alongside.host
    files = {
        "compose.yaml": "services: {old: {build: ., image: repo/old, ports: ['84:80']}}\n",
        "Dockerfile": f"FROM {BASE}\nENV PORTS=80 VERSION=old\n",
    }
    alongside.repository("old", files).tag("1")
    (image,) = released(alongside, "old").values()
    alongside.stop()
    host.docker(["rmi", "alongside.invalid/old:1"])
    alongside.start()
    eventually(lambda: image_id(alongside, "alongside.invalid/old:1") == image)
    host.docker(["rmi", "repo/old:1"])
    alongside("activate", "old@1")
    assert ask.http_get(host.client, host.address4, 84).body.startswith("old ")


def test_a_build_that_fails_leaves_no_names_and_no_tree(alongside: Installation) -> None:
    """The copy of what it depends on is built by then."""
    files = {
        "compose.yaml": "services:\n"
        "  broken:\n    build: .\n    depends_on: [copied]\n    x-alongside: {tags: 'b/*'}\n"
        "  copied:\n    build: copied\n    x-alongside: {shared: false, tags: 'c/*'}\n",
        "Dockerfile": f"FROM {BASE}\nRUN sleep 1; false\n",
        "copied/Dockerfile": f"FROM {BASE}\nENV PORTS=80\n",
    }
    before = alongside.host.docker(["images", "--format", "{{.Repository}}:{{.Tag}}"]).stdout
    assert "failed" in alongside.repository("broken", files).tag("b/1").stderr
    after = alongside.host.docker(["images", "--format", "{{.Repository}}:{{.Tag}}"]).stdout
    assert sorted(after.split()) == sorted(before.split())
    assert list((alongside.state / "incoming").iterdir()) == []
    assert not (alongside.state / "trees" / "broken").exists()


def eventually(holds: Callable[[], bool], timeout: float = 60) -> None:
    deadline = time.monotonic() + timeout
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)
