"""(e) `alongside build` against plain `docker compose build` of the same tree, on the same engine.

Warm: every layer is cached, so that nothing is built at all, and what is left is what each of them
does around it; cold: BuildKit's cache is emptied before each. The two take turns, and who goes
first alternates. Both commands get a new tag each time, so both name a new image; nobody is spared
a no-op.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from statistics import median

from bench.hosts import command, tree
from bench.results import Aim, ratio
from bench.stage import Stage
from bench.timing import timed
from support.installation import Repository

PART = "build"
SERVICE = "site"

# An application of some size: 400 files of 8 KiB, and a step that works on them for some seconds,
# as a compiler or a package manager does.
_FILES = {f"src/{number // 20:02}/{number:03}.txt": f"{number:08}\n" * 910 for number in range(400)}
_WORK = (
    "RUN for n in $(seq 60); do find /src -type f -exec gzip -c -9 {} + | sha256sum; done >/sums\n"
)


def run(stage: Stage) -> None:
    repository = stage.alongside.repository("site", _site(), init=False)
    for name, times in (
        ("warm cache", max(3, stage.size.repeats // 3)),
        ("cold cache", max(3, stage.size.repeats // 10)),
    ):
        stage.say(f"build: {name}, {times} times each")
        _measure(stage, repository, name, times)


def _measure(stage: Stage, repository: Repository, name: str, times: int) -> None:
    environment = {**os.environ, **repository.alongside.environment}
    path = repository.path

    def ours(tag: str) -> float:
        repository.tag(tag)
        return timed([command(), "build", tag], environment, path).seconds

    def plain(tag: str) -> float:
        argv = ["docker", "compose", "--progress", "plain", "build", SERVICE]
        return timed(argv, {**environment, "tag": tag}, path).seconds

    ways: list[tuple[str, Callable[[str], float]]] = [("alongside", ours), ("compose", plain)]
    measured: dict[str, list[float]] = {"alongside": [], "compose": []}
    for number in range(times + 1):
        for way, measure in ways if number % 2 else reversed(ways):
            if name == "cold cache":
                stage.alongside.host.docker(["builder", "prune", "--all", "--force"])
            seconds = measure(f"{name.partition(' ')[0]}-{way}-{number}")
            if number:  # the first fills the cache
                measured[way].append(seconds)
    add, part = stage.results.add, f"{PART}, {name}"
    add(part, "alongside build", median(measured["alongside"]), "s")
    add(part, "docker compose build", median(measured["compose"]), "s")
    added = median(a - b for a, b in zip(measured["alongside"], measured["compose"], strict=True))
    add(part, "what alongside adds", added, "s", note="for 400 files, however long the build is")
    # Where every layer is cached there is no build to be slow beside: what is added says it all.
    aim = Aim("≤", 1.1) if name == "cold cache" else None
    add(part, "times", ratio(measured["alongside"], measured["compose"]), aim=aim)
    stage.results.raw[part] = measured


def _site() -> dict[str, str]:
    files = tree("1")
    files["compose.yaml"] = (
        files["compose.yaml"].replace("web", SERVICE).replace("80/tcp", "81/tcp")
    )
    files["Dockerfile"] += "COPY src /src\n" + _WORK
    return {**files, **_FILES}
