"""The functions of `shell-init`, held to the article's own in what those do right."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import ask
from support.host import Host
from support.installation import Installation, load_images, web_files

pytestmark = pytest.mark.host

BENCH = Path(__file__).parents[2] / "bench"
ARTICLE = f'PATH="{BENCH}/bin:$PATH"; . {BENCH}/article.sh'
OURS = 'eval "$(alongside shell-init)"'


@pytest.fixture(scope="module")
def alongside() -> Iterator[Installation]:
    """shop-1.0 and shop-1.0.1, as readers of the article have them: started by hand, on ports
    that the engine chose. And web@1, released."""
    with Host() as host:
        load_images(host, "responder")
        installation = Installation(host)
        installation.start()
        repository = installation.repository("site", web_files())
        repository.release("1", {})
        installation("up", "web@1")
        for version in ("1.0", "1.0.1"):
            options = ["--name", f"shop-{version}", "--env", f"VERSION={version}"]
            ports = ["--env", "PORTS=8088 9", "--publish", "8088/tcp", "--publish", "9/udp"]
            image = "alongside-test/responder:latest"
            host.docker(["run", "--detach", *options, *ports, image])
        yield installation


def shell(
    alongside: Installation, functions: str, words: str, *, program: str = "bash"
) -> subprocess.CompletedProcess[str]:
    text = f"{functions}; {words}"
    return alongside.host.run([program, "-c", text], env=alongside.environment, check=False)


def reached(alongside: Installation) -> str:
    """The version that answers on 8088/tcp and 9/udp."""
    host = alongside.host
    version = ask.line(host.client, host.address4, 8088).split()[0]
    assert ask.datagram(host.client, host.address4, 9).split()[0] == version
    assert ask.line(host, "127.0.0.1", 8088).split()[0] == version
    return version


@pytest.mark.parametrize("functions", [ARTICLE, OURS], ids=["article", "alongside"])
def test_what_the_article_does(alongside: Installation, functions: str) -> None:
    """The same words, the same outcome."""
    host = alongside.host

    def run(words: str) -> str:
        done = shell(alongside, functions, words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("container-activate shop-1.0.1")
    assert reached(alongside) == "1.0.1"
    assert "8088" in run("iptables-list-assigned-ports")
    run("container-deactivate shop-1.0.1")
    with pytest.raises(ConnectionRefusedError):
        ask.line(host.client, host.address4, 8088)
    published = host.docker(["port", "shop-1.0.1", "8088/tcp"]).stdout.split()[0].split(":")[-1]
    run(f"iptables-assign-port 81 {published} tcp")
    assert ask.line(host.client, host.address4, 81).startswith("1.0.1 ")
    run("iptables-unassign-port 81 tcp")
    with pytest.raises(ConnectionRefusedError):
        ask.line(host.client, host.address4, 81)
    for name in ("container-activate", "container-deactivate", "iptables-assign-port"):
        done = shell(alongside, functions, name)
        assert done.returncode == 1
        assert f"Usage: {name} <s" in done.stdout
    assert "shop-1.0.1" in shell(alongside, functions, "container-activate").stdout


def test_what_the_article_does_wrong(alongside: Installation) -> None:
    """`docker ps -f name=shop-1.0` names shop-1.0.1 as well, and deactivating a version that is
    not active tears down the one that is."""

    def run(words: str) -> str:
        done = shell(alongside, OURS, words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("container-activate shop-1.0")
    assert reached(alongside) == "1.0"
    assert "nothing was changed" in run("container-deactivate shop-1.0.1")
    assert reached(alongside) == "1.0"
    run("container-activate shop-1.0.1")
    assert reached(alongside) == "1.0.1"
    run("container-deactivate shop-1.0.1")


@pytest.mark.parametrize("program", ["bash", "zsh"])
def test_versions_are_switched(alongside: Installation, program: str) -> None:
    assert shutil.which(program), f"scripts/setup --for test installs {program}"
    host = alongside.host
    done = shell(alongside, OURS, "container-activate web-1", program=program)
    assert "now reach web@1" in done.stdout, done.stderr
    assert ask.http_get(host.client, host.address4).body.startswith("1 ")
    done = shell(alongside, OURS, "container-activate shop-1.0", program=program)
    assert done.returncode == 0, done.stderr
    assert reached(alongside) == "1.0"
    for name in ("web-1", "shop-1.0"):
        done = shell(alongside, OURS, f"container-deactivate {name}", program=program)
        assert done.returncode == 0, done.stderr
    with pytest.raises(ConnectionRefusedError):
        ask.http_get(host.client, host.address4)
    done = shell(alongside, OURS, "container-activate nothing-1", program=program)
    assert done.returncode == 1
    assert "There is no service 'nothing-1'" in done.stderr
