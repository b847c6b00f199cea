"""npm's own semver package, which ranges are held to: its fixture tables, and its answers.

Fetched once, by the address that npm fetches it from, checked by npm's own hash, and kept in
.cache. `npm_config_registry` names another registry, as it does for npm.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
import tarfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "npm"
REGISTRY = os.environ.get("npm_config_registry", "https://registry.npmjs.org")  # noqa: SIM112
CURRENT = "7.8.5"
WITH_TABLES = "5.1.0"  # the last one that was published with its tests
INTEGRITY = {  # npm view semver@VERSION dist.integrity
    CURRENT: "Y7/KDsb8LjooZpwaqGyulO6DQlksgCncchHGk+sZIY4SBvUocM"
    "BEFH5Ur1fI4dV+Jvl0w6cjvucaIi40puRioA==",
    WITH_TABLES: "sfKXKhcz5XVyfUZa2V4RbjK0xjOJCMLNF9H4p4v0UCo9wNHM/l"
    "H9RDuyDbGEtxWLMDlPBc8xI7AbbVLKXty+rQ==",
}

_ROW = re.compile(r"\['((?:[^'\\]|\\.)*)',\s*(?:'((?:[^'\\]|\\.)*)'|null)(,\s*true)?\]")
_ANSWERS = """
const {Range} = require(process.argv[1]);
const lines = require('readline').createInterface({input: process.stdin});
lines.on('line', line => {
  const [text, versions] = JSON.parse(line);
  let range = null;
  try { range = new Range(text); } catch (error) { if (!(error instanceof TypeError)) throw error; }
  console.log(JSON.stringify(range && versions.map(one => range.test(one))));
});
"""


def package(version: str) -> Path:
    """The folder of that version of the package."""
    folder = CACHE / f"semver-{version}"
    if not folder.exists():
        address = f"{REGISTRY.rstrip('/')}/semver/-/semver-{version}.tgz"
        with urllib.request.urlopen(address, timeout=60) as response:
            archive = response.read()
        found = base64.b64encode(hashlib.sha512(archive).digest()).decode()
        if found != INTEGRITY[version]:
            raise AssertionError(f"{address} is not what npm published: {found}")
        making = folder.with_name(f"{folder.name}.{os.getpid()}")
        with tarfile.open(fileobj=BytesIO(archive)) as tar:
            tar.extractall(making, filter="data")
        try:
            (making / "package").rename(folder)
        except OSError:
            if not folder.exists():  # else another run has made it meanwhile
                raise
        shutil.rmtree(making)
    return folder


def table(name: str) -> list[tuple[str, str | None]]:
    """The rows of one of npm's fixture tables, those of its loose mode left out."""
    text = (package(WITH_TABLES) / "test" / "index.js").read_text()
    (section,) = re.findall(rf"^test\('\\n{name}'.*?^}}\);$", text, re.DOTALL | re.MULTILINE)
    rows = [
        (first.replace("\\t", "\t"), second or None)
        for first, second, loose in _ROW.findall(section)
        if not loose
    ]
    assert len(rows) > 40, f"{name}: the table is written otherwise than it is read"
    return rows


class Npm:
    """npm's answers, from a node that waits for questions."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, text: str, versions: list[str]) -> list[bool] | None:
        """Which versions the range lets in; None where it is no range."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([text, versions]) + "\n")
        self._process.stdin.flush()
        answer: list[bool] | None = json.loads(self._process.stdout.readline())
        return answer


@contextmanager
def npm(node: str) -> Iterator[Npm]:
    command = [node, "-e", _ANSWERS, str(package(CURRENT))]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Npm(process)
        finally:
            process.kill()
