"""`alongside gc` over 500 releases of one service.

Each has an image of its own, with a layer that no other has, and a tree; they are put into the
engine in one archive and into the state file while the daemon is stopped. Two more are real, and
run: the one that has the ports, and the one that a rollback goes to. They are the oldest, so that
it is not their age that keeps them.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from statistics import median

from alongside.client import Client
from alongside.domain.release import Release
from alongside.domain.version import Version
from alongside.engine.protocol import LABEL_SERVICE, LABEL_VERSION
from alongside.store.database import Database
from alongside.store.releases import Releases
from bench.hosts import SERVICE, VERSIONS, Alongside, command
from bench.processor import seconds_of
from bench.results import Aim
from bench.stage import Stage
from bench.timing import Timing, timed

PART = "gc"
MANY, KEPT = 500, 5
_LAYER = 16 << 10  # bytes of the file in each image
_TREE = {"compose.yaml": "services: {}\n", "Dockerfile": "FROM scratch\n", "src/main": "x" * 4096}


def run(stage: Stage) -> None:
    stage.say(f"gc: a host with {MANY} releases")
    with closing(Alongside()) as host:
        host.set_up()
        host.change("activate", VERSIONS[1])
        host.stop()
        _fill(host)
        host.start()
        stage.say(f"gc: all but {KEPT} of {MANY}")
        environment = {**os.environ, **host.environment}
        words = [command(), "gc", SERVICE, "--keep", str(KEPT)]
        dry = timed([*words, "--dry-run"], environment)
        assert host.process is not None
        used = seconds_of(host.process.pid)
        done = timed([*words, "--json"], environment)
        used = seconds_of(host.process.pid) - used
        again = timed(words, environment)
        left = _left(host)
    _report(stage, dry, done, again, used, left)


def _fill(host: Alongside) -> None:
    with closing(Database(host.state / "state.db")) as database:
        releases = Releases(database)
        (model,) = [one for one in releases.all() if one.version == Version(VERSIONS[1])]
        made = [_release(model, number) for number in range(MANY)]
        archive = host.host.folder / "images.tar"
        images = list(_images(archive, made))
        made = [replace(one, image_id=it) for one, it in zip(made, images, strict=True)]
        host.host.load(archive)
        archive.unlink()
        with database.transaction():
            for release in made:
                releases.add(release)
    for release in made:
        for name, text in _TREE.items():
            path = host.state / "trees" / release.repository / release.tree / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            path.chmod(0o444)


def _release(model: Release, number: int) -> Release:
    version = Version(f"3.{number}.0")
    return replace(
        model,
        version=version,
        commit=f"{number + 1:040x}",
        tree=f"{number + 1:040x}",
        image=f"{model.spec.image}:{version}",
        created=model.created + timedelta(seconds=number + 1),
    )


def _images(path: Path, releases: list[Release]) -> Iterator[str]:
    """An archive for `docker load`; the images' IDs."""
    manifest = []
    with tarfile.open(path, "w") as archive:
        for release in releases:
            layer = _layer(release)
            config = _config(release, hashlib.sha256(layer).hexdigest())
            digest = hashlib.sha256(config).hexdigest()
            name = f"{release.version}/layer.tar"
            _add(archive, name, layer)
            _add(archive, f"{digest}.json", config)
            entry = {"Config": f"{digest}.json", "RepoTags": [release.image], "Layers": [name]}
            manifest.append(entry)
            yield f"sha256:{digest}"
        _add(archive, "manifest.json", json.dumps(manifest).encode())


def _layer(release: Release) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as layer:
        _add(layer, "version", release.version.text.encode().ljust(_LAYER))
    return file.getvalue()


def _config(release: Release, layer: str) -> bytes:
    labels = {LABEL_SERVICE: release.service, LABEL_VERSION: release.version.text}
    config = {
        "architecture": "amd64",
        "os": "linux",
        "created": release.created.isoformat(),
        "config": {"Labels": labels, "Cmd": ["/version"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer}"]},
        "history": [{"created": release.created.isoformat(), "created_by": "the bench"}],
    }
    return json.dumps(config).encode()


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))


def _left(host: Alongside) -> dict[str, int]:
    """What is there afterwards, of each kind."""
    client = Client(str(host.socket))
    (service,) = client.get("/v1/status")["services"]
    names = {one["version"] for one in service["versions"]}
    # What must have stayed: the newest, and whom the ports have reached.
    wanted = {*VERSIONS, *(f"3.{number}.0" for number in range(MANY - KEPT, MANY))}
    listed = host.host.docker(["image", "ls", "--filter", f"label={LABEL_SERVICE}={SERVICE}", "-q"])
    return {
        "releases": len(names),
        "wrongly removed": len(wanted - names),
        "images": len(set(listed.stdout.split())),
        "trees": len(list((host.state / "trees" / "bench").iterdir())),
    }


def _steps(output: str) -> list[float]:
    """How long each release took that was removed."""
    events = [json.loads(line) for line in output.splitlines()]
    return [
        one["seconds"]
        for one in events
        if one["event"] == "step" and one["state"] == "done" and one["name"] == "remove-release"
    ]


def _report(
    stage: Stage, dry: Timing, done: Timing, again: Timing, used: float, left: dict[str, int]
) -> None:
    add, gone, stay = stage.results.add, MANY - KEPT, KEPT + len(VERSIONS)
    add(PART, "--dry-run", dry.seconds, "s", note=f"over {MANY + len(VERSIONS)} releases")
    note = f"{gone} removed: image, tree, release"
    add(PART, f"alongside gc --keep {KEPT}", done.seconds, "s", note=note)
    add(PART, "of it a release", done.seconds / gone * 1e3, "ms", aim=Aim("<", 100))
    steps = _steps(done.output)
    note = "the engine's work, the state and the tree"
    add(PART, "part of it: step remove-release", median(steps) * 1e3, "ms", note=note)
    note = "the daemon's; the engine's is not in it"
    add(PART, "processor time a release", used / gone * 1e3, "ms", note=note)
    add(PART, "once more, with nothing to remove", again.seconds * 1e3, "ms")
    add(PART, "what must stay and is gone", left["wrongly removed"], aim=Aim("=", 0))
    for kind in ("releases", "images", "trees"):
        add(PART, f"{kind} left", left[kind], aim=Aim("=", stay))
    stage.results.raw[PART] = {
        "dry_run_s": dry.seconds,
        "gc_s": done.seconds,
        "again_s": again.seconds,
        "daemon_processor_s": used,
        "step_ms": [round(one * 1e3, 2) for one in steps],
        "left": left,
    }
