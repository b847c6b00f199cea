"""The examples of docs/api.md, run as they stand, by curl itself."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from alongside.daemon.api import create
from support.git import Git
from support.served import COMPOSE, Served
from support.stub import StubDaemon

PAGE = Path(__file__).resolve().parents[4] / "docs" / "api.md"
SOCKET = "/run/alongside/alongside.sock"
FUNCTION, *EXAMPLES = re.findall(
    r"^ {4}((?:api\(\)|api |git archive)(?:.*\\\n)*.*)", PAGE.read_text(), re.MULTILINE
)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """dns@1.0.0 has the ports, dns@1.1.0 is up."""
    with Served(tmp_path_factory.mktemp("api")) as daemon:
        for version in ("1.0.0", "1.1.0"):
            daemon.release("dns", version)
        daemon.change("activate", reference="dns@1.0.0")
        daemon.change("up", reference="dns@1.1.0")
        yield daemon


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dns")
    with StubDaemon(folder / "s") as stub:
        top = folder / "top"
        top.mkdir()
        git = Git(top, stub, folder / "s")
        git("init", "--quiet")
        git.commit({"compose.yaml": COMPOSE.format(service="dns", port=53), "Dockerfile": "FROM x"})
        git("tag", "1.2.0")
    (top / ".env").write_text("SECRET=1\n")
    return top


def asked(example: str) -> tuple[str, str]:
    """The method and the path of an example."""
    (url,) = re.findall(r"http://alongside[^'\"\s]*", example)
    if "--upload-file" in example:
        return "PUT", urlsplit(url).path
    posts = any(one in example for one in ("-d ", "--data", "--request POST"))
    return "POST" if posts else "GET", urlsplit(url).path


# In the order of the page: what one does the next one finds.
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda text: " ".join(asked(text)))
def test_it_works_as_it_stands(example: str, served: Served, repository: Path) -> None:
    function = FUNCTION.replace(SOCKET, str(served.socket))
    done = subprocess.run(
        ["sh", "-c", f"{function}\n{example.replace('api ', 'api --fail-with-body ', 1)}"],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    method, path = asked(example)
    if path.endswith("/abort"):  # there is nothing that could be given up just now
        assert json.loads(done.stdout)["status"] in (404, 409)
        return
    assert done.returncode == 0, done.stdout + done.stderr
    if method == "POST":
        last = json.loads(done.stdout.splitlines()[-1])
        assert last["event"] == "result", last
        assert last["result"]["changed"] != last["result"]["dry_run"]
    elif path == "/v1/state":
        assert (repository / "state.db").read_bytes().startswith(b"SQLite format 3\0")
    elif path != "/v1/logs":
        assert json.loads(done.stdout.splitlines()[-1])


def test_every_request_has_an_example() -> None:
    document = create(None, None).openapi()  # type: ignore[arg-type] # answers no request
    shown = {asked(example) for example in EXAMPLES}
    for path, operations in document["paths"].items():
        form = re.compile(re.sub(r"\{path\}", ".+", re.sub(r"\{(?!path)\w+\}", "[^/]+", path)))
        for method in operations:
            found = [one for one in shown if one[0] == method.upper() and form.fullmatch(one[1])]
            assert found, f"docs/api.md has no example of {method.upper()} {path}"
