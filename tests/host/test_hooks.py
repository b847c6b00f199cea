"""git's hooks and a real engine: what a person types, and what is released of it."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from alongside.install.carry_out import carry_out
from alongside.install.steps import Plan, TakeHooksOut
from support.host import Host
from support.installation import (
    RESPONDER_DOCKERFILE,
    Installation,
    Repository,
    load_images,
    web_files,
)

pytestmark = pytest.mark.host


@pytest.fixture(scope="module")
def repository() -> Iterator[Repository]:
    """The socket is where people of its group may reach it."""
    with Host() as host, tempfile.TemporaryDirectory() as folder:
        load_images(host, "responder")
        Path(folder).chmod(0o711)
        alongside = Installation(host)
        alongside.socket = Path(folder, "a.sock")
        alongside.environment["ALONGSIDE_SOCKET"] = str(alongside.socket)
        alongside.start()
        yield alongside.repository("site", web_files())
        alongside.stop()


def released(repository: Repository) -> dict[str, str]:
    """Version -> commit."""
    found = repository.alongside.json("releases")["releases"]
    return {one["version"]: one["commit"] for one in found}


def commit_of(repository: Repository, tag: str) -> str:
    return repository.git("rev-parse", f"{tag}^{{commit}}").stdout.strip()


def test_a_linked_work_tree_a_gc_and_a_tag_that_would_move(repository: Repository) -> None:
    folder = repository.alongside.host.folder / "linked"
    repository.git("worktree", "add", "--quiet", str(folder))
    linked = Repository(repository.alongside, folder)
    linked.commit({"only": "here"})
    assert "web@1.0.0 is released" in linked.tag("1.0.0").stderr
    assert released(repository)["1.0.0"] == commit_of(linked, "1.0.0")

    for command in (["pack-refs", "--all"], ["gc", "--quiet"]):
        assert repository.git(*command).stderr == "", "nothing is built, refused or said"
    first = commit_of(repository, "1.0.0")
    second = linked.commit({"more": "x"})
    refused = linked.git("tag", "--force", "1.0.0", check=False)
    assert refused.returncode != 0
    assert first[:12] in refused.stderr
    assert second[:12] in refused.stderr
    assert commit_of(repository, "1.0.0") == first

    repository.tag("--delete", "1.0.0")
    assert "1.0.0" in released(repository), "a release outlives its tag"
    assert "is released already" in repository.tag("1.0.0", first).stderr
    repository.tag("1.0.1", second)
    assert released(repository)["1.0.1"] == second


@pytest.mark.parametrize("tag", ["$(touch${IFS}pwned)", "a;touch${IFS}pwned", "`id`", "-rf"])
def test_a_tag_that_is_no_version_is_made_and_said(repository: Repository, tag: str) -> None:
    before = released(repository)
    said = repository.git("update-ref", f"refs/tags/{tag}", "HEAD").stderr
    assert "cannot be a version" in said
    assert released(repository) == before
    assert tag in repository.git("tag", "--list").stdout.splitlines()
    for place in (repository.path, repository.alongside.state):
        assert not list(place.rglob("pwned"))


def test_the_daemon_is_down(repository: Repository) -> None:
    alongside = repository.alongside
    alongside.stop()
    repository.commit({"what": "while it was down"})
    said = repository.tag("2.0.0").stderr
    assert "alongside build 2.0.0" in said
    alongside.start()
    assert "2.0.0" not in released(repository)
    assert "web@2.0.0 is released" in alongside("build", "2.0.0", cwd=repository.path).stdout
    assert "is released already" in alongside("build", cwd=repository.path).stdout, "HEAD's tag"


def test_modules_in_the_work_tree_are_not_run_by_hooks_nor_by_a_purge(
    repository: Repository,
) -> None:
    """Whoever may write to a repository is not root where root takes its hooks out."""
    alongside = repository.alongside
    mark = alongside.host.folder / "ran"
    names = ("select.py", "json.py", "alongside/__init__.py", "sitecustomize.py", "click.py")
    other = alongside.repository("other", web_files())
    for one in (repository, other):
        one.commit({name: f"open({str(mark)!r}, 'w')\n" for name in names})
    hostile = {"PYTHONPATH": ".", "PYTHONSTARTUP": "select.py"}
    said = repository.git("tag", "1.5.0", env=hostile).stderr
    assert "web@1.5.0 is released" in said
    assert released(repository)["1.5.0"] == commit_of(repository, "1.5.0")

    here = Path.cwd()
    try:
        os.chdir(other.path)  # where somebody would say it
        assert carry_out(Plan([TakeHooksOut(other.path)]), {}, lambda _: None) == 0
    finally:
        os.chdir(here)
    assert not list((other.path / ".git").rglob("reference-transaction"))
    assert not mark.exists()
    repository.git("rm", "--quiet", "-r", *names)


def test_an_interrupt_detaches_and_the_build_goes_on(repository: Repository) -> None:
    alongside = repository.alongside
    repository.commit({"Dockerfile": f"{RESPONDER_DOCKERFILE}RUN sleep 2 && echo slept\n"})
    # Whoever runs the tests in the background has interrupts ignored, and so would git.
    tagging = alongside.host.popen(
        ["env", "--default-signal=INT", "setsid", "git", "tag", "3.0.0"],
        cwd=repository.path,
        env={**os.environ, **alongside.environment, "GIT_CONFIG_GLOBAL": "/dev/null"},
    )
    assert tagging.stdout is not None
    assert any("RUN sleep" in line for line in tagging.stdout)
    os.killpg(tagging.pid, signal.SIGINT)
    said, _ = tagging.communicate(timeout=30)
    assert "detached; the build goes on" in said
    assert "3.0.0" in repository.git("tag", "--list").stdout.split()
    deadline = time.monotonic() + 60
    while "3.0.0" not in released(repository):
        assert time.monotonic() < deadline
        time.sleep(0.1)


# Whoever may not read this project's files has loaded what is needed before.
AS = """\
import os, sys
from alongside.client import Client
os.setgroups([])
os.setgid(int(sys.argv[3]))
os.setuid(int(sys.argv[2]))
*_, last = Client(sys.argv[1]).change("up", {"reference": "web@1.0.0", "message": "for a look"})
print(last["event"])
"""


@pytest.mark.parametrize(("uid", "name"), [(65534, "nobody"), (54321, "uid 54321")])
def test_the_history_says_who_by_the_sockets_word(
    repository: Repository, uid: int, name: str
) -> None:
    alongside, group = repository.alongside, 4321

    def ask(gid: int) -> Any:
        words = [sys.executable, "-c", AS, str(alongside.socket), str(uid), str(gid)]
        return alongside.host.run(words, check=False)

    os.chown(alongside.socket, 0, group)
    assert "You may not speak to the daemon" in ask(group + 1).stderr
    assert ask(group).stdout == "result\n"
    entry = alongside.json("history", "-n", "1")["history"][0]
    assert (entry["actor"], entry["uid"]) == (name, uid)
    assert (entry["verb"], entry["to"], entry["message"]) == ("up", "1.0.0", "for a look")
    assert entry["outcome"] == "done"
