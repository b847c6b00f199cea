"""Bad input gets one sentence and a remedy, and changes nothing."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from support import ask
from support.host import Host
from support.installation import Installation, Repository, load_images, web_files

pytestmark = pytest.mark.host


@pytest.fixture(scope="module")
def repository() -> Iterator[Repository]:
    """web@1 has the ports."""
    with Host() as host:
        load_images(host, "responder")
        alongside = Installation(host)
        alongside.start()
        repository = alongside.repository("site", web_files())
        repository.release("1", {})
        alongside("activate", "web@1")
        yield repository


@pytest.fixture
def alongside(repository: Repository) -> Iterator[Installation]:
    """Whatever is refused changes nothing: looked at after each test."""
    before = picture(repository.alongside)
    yield repository.alongside
    assert picture(repository.alongside) == before


def picture(alongside: Installation) -> Any:
    host = alongside.host
    services = alongside.api("/v1/status")["services"]
    for service in services:
        for one in service["versions"]:  # connections come and go, and drain by themselves
            del one["connections"], one["former"]
    return (
        services,
        alongside.api("/v1/ports"),
        host.docker(["ps", "-a", "--format", "{{.Names}} {{.Image}}"]).stdout,
        host.docker(["network", "ls", "--format", "{{.Name}}"]).stdout,
        ask.http_get(host.client, host.address4).body,
    )


@pytest.mark.parametrize("verb", ["up", "activate", "stop", "rm", "deactivate", "logs"])
@pytest.mark.parametrize(
    ("reference", "sentence", "remedy"),
    [
        ("wep@1", "no service 'wep'", "web"),
        ("web@9.9", "web", "1"),
        ("web@", "does not name", "dns@1.3.0"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(
    alongside: Installation, verb: str, reference: str, sentence: str, remedy: str
) -> None:
    said = alongside.refused(verb, reference)
    assert sentence in said
    assert remedy in said


def test_rollback_with_nothing_to_go_back_to(alongside: Installation) -> None:
    assert "web@1 is the first that had its ports" in alongside.refused("rollback", "web")


def test_a_version_that_has_ports_is_not_stopped(alongside: Installation) -> None:
    assert "is not stopped" in alongside.refused("stop", "web@1")
    assert "is not stopped" in alongside.refused("rm", "web@1", "--force")


def broken(repository: Repository, tag: str, files: dict[str, str]) -> str:
    """What tagging `files` says; the files are put back afterwards."""
    repository.commit(files)
    try:
        done = repository.tag(tag)
        assert tag in repository.git("tag", "--list").stdout.split(), "the tag is made all the same"
        return done.stderr
    finally:
        repository.git("rm", "-q", "-r", ".")
        repository.commit(web_files())


def test_a_compose_file_that_does_not_parse(
    alongside: Installation, repository: Repository
) -> None:
    said = broken(repository, "2-parse", {"compose.yaml": "services: [\n"})
    assert "is not a valid compose file" in said


def test_a_service_without_a_build(alongside: Installation, repository: Repository) -> None:
    said = broken(repository, "2-nobuild", {"compose.yaml": "services: {web: {image: x}}\n"})
    assert "build:" in said


def test_an_unknown_key_is_answered_with_the_nearest(
    alongside: Installation, repository: Repository
) -> None:
    compose = web_files()["compose.yaml"] + "    x-alongside: {redy: health}\n"
    said = broken(repository, "2-key", {"compose.yaml": compose})
    assert "redy" in said
    assert "ready" in said


def test_an_image_that_fails_to_build_shows_the_failing_step(
    alongside: Installation, repository: Repository
) -> None:
    dockerfile = web_files()["Dockerfile"] + "RUN echo about to fail && exit 7\n"
    said = broken(repository, "2-build", {"Dockerfile": dockerfile})
    assert "did not build" in said
    assert "about to fail" in said


def test_a_moved_tag_and_the_same_version_from_another_commit(
    alongside: Installation, repository: Repository
) -> None:
    first = repository.git("rev-parse", "1^{commit}").stdout.strip()
    second = repository.commit({"more": "x"})
    done = repository.git("tag", "--force", "1", check=False)
    assert done.returncode != 0
    assert first[:12] in done.stderr
    assert second[:12] in done.stderr
    repository.git("-c", "core.hooksPath=/nonexistent", "tag", "--force", "1")
    said = alongside.refused("build", "1", cwd=repository.path)
    assert first[:12] in said
    assert second[:12] in said
    repository.git("-c", "core.hooksPath=/nonexistent", "tag", "--force", "1", first)
    assert "is released already" in alongside("build", "1", cwd=repository.path).stdout


def test_a_second_repository_that_claims_the_service(alongside: Installation) -> None:
    other = alongside.repository("impostor", web_files())
    said = other.tag("5").stderr
    assert "belongs to the repository site" in said
    assert "impostor" in said


def test_a_version_that_does_not_become_ready(repository: Repository) -> None:
    alongside = repository.alongside
    compose = web_files()["compose.yaml"]
    compose += "    x-alongside: {ready: {tcp: 81, timeout: 1}}\n"
    repository.release("2-deaf", {"compose.yaml": compose})
    said = alongside.refused("activate", "web@2-deaf")
    assert "did not become ready" in said
    assert "81" in said
    repository.release(
        "2-dead",
        {**web_files(), "Dockerfile": web_files()["Dockerfile"] + "CMD echo good bye; exit 3\n"},
    )
    said = alongside.refused("up", "web@2-dead")
    assert "exit code 3" in said
    assert "good bye" in said
    for name in ("web@2-deaf", "web@2-dead"):
        alongside("rm", name)
    (service,) = alongside.api("/v1/status")["services"]
    assert service["current"] == "1"
    states = {one["version"]: one["state"] for one in service["versions"]}
    assert states == {"1": "running", "2-deaf": "none", "2-dead": "none"}
    assert ask.http_get(alongside.host.client, alongside.host.address4).body.startswith("1 ")


def listening(host: Host, address: str) -> subprocess.Popen[str]:
    """A program of the host's own that listens on port 80."""
    text = f"import socket; s = socket.create_server(({address!r}, 80)); print(1, flush=True)"
    program = host.popen(["python3", "-c", f"{text}; s.accept()"])
    assert program.stdout is not None
    assert program.stdout.readline() == "1\n"
    return program


def test_a_held_port_is_refused_with_its_holder_unless_taken(repository: Repository) -> None:
    alongside, host = repository.alongside, repository.alongside.host
    alongside("deactivate", "web")
    run = "run -d --name foreign -e VERSION=foreign -e PORTS=80 -p 80:80"
    host.docker([*run.split(), "alongside-test/responder:latest"])
    ask.patiently(lambda: ask.http_get(host.client, host.address4))
    said = alongside.refused("activate", "web@1")
    assert "80/tcp is held by the container foreign" in said
    assert "--take" in said
    assert ask.http_get(host.client, host.address4).body.startswith("foreign ")
    alongside("activate", "web@1", "--take")
    assert ask.http_get(host.client, host.address4).body.startswith("1 ")
    assert ask.http_get(host, "127.0.0.1").body.startswith("1 ")
    alongside("deactivate", "web")
    assert ask.http_get(host.client, host.address4).body.startswith("foreign ")
    host.docker(["rm", "-f", "foreign"])

    program = listening(host, "")
    said = alongside.refused("activate", "web@1")
    assert f"80/tcp is held by python3 (pid {program.pid})" in said
    program.kill()
    program.wait()
    alongside("activate", "web@1")


def test_a_resolver_on_another_loopback_address_is_no_holder(repository: Repository) -> None:
    alongside, host = repository.alongside, repository.alongside.host
    alongside("deactivate", "web")
    program = listening(host, "127.0.0.53")
    alongside("activate", "web@1")
    program.kill()
    program.wait()


def test_two_services_that_want_one_port_are_both_named(repository: Repository) -> None:
    alongside = repository.alongside
    compose = web_files()["compose.yaml"].replace("  web:", "  shop:")
    rival = alongside.repository("rival", {**web_files(), "compose.yaml": compose})
    rival.tag("1")
    said = alongside.refused("activate", "shop@1")
    assert "shop wants 80/tcp, which web has" in said


def test_unix_things(alongside: Installation, repository: Repository) -> None:
    """The socket is for root and its group; the daemon down; a bare port name; a wrong verb."""
    assert oct(alongside.socket.stat().st_mode & 0o777) == "0o660"
    assert "There is no verb" in alongside.refused("activat", "web@1")
    done = alongside("status", check=False, env={"ALONGSIDE_SOCKET": "/nonexistent/a.sock"})
    assert done.returncode == 1
    assert "The daemon does not answer on /nonexistent/a.sock" in done.stderr
    assert "alongside daemon" in done.stderr
    assert "not in a git repository" in alongside.refused("build", "1", cwd=alongside.host.folder)
    assert "There is no tag" in alongside.refused("build", "nope", cwd=repository.path)


NO_NFT = "# nft: the table stays as it is"


@pytest.mark.parametrize(
    ("words", "plan", "nft"),
    [
        ("up web@1", "1. wait until web-1 is ready (tcp)", NO_NFT),
        ("up web@0-none", "2. start web-0-none", "goto guard-"),
        ("activate web@1", "web@1 has 80/tcp and 7/udp and 7/tcp already.", NO_NFT),
        (
            "activate web@0-none",
            "4. route 80/tcp to web@0-none",
            "flush chain inet alongside port-",
        ),
        ("deactivate web", "1. take its ports from web", "delete element inet alongside ports"),
        ("stop web@0-none", "web@0-none does not run.", NO_NFT),
        ("rm web@0-none", "web@0-none has no instance.", NO_NFT),
        ("port assign 81:50080", "1. assign 81/tcp to 50080", "redirect to :50080"),
        ("port unassign 81/tcp", "81/tcp is not assigned", NO_NFT),
        ("build 0-unbuilt", "1. build repo/web:0-unbuilt and release web@0-unbuilt", NO_NFT),
        ("init", "1. bring the hooks in", NO_NFT),
        ("init --remove", "1. delete alongside's reference-transaction", NO_NFT),
    ],
)
def test_a_dry_run_prints_plan_and_text_and_changes_nothing(
    dry: Repository, alongside: Installation, words: str, plan: str, nft: str
) -> None:
    done = alongside(*words.split(), "--dry-run", cwd=dry.path)
    assert any(line.startswith(plan) for line in done.stdout.splitlines()), done.stdout
    assert nft in done.stdout
    assert done.stderr.endswith("Nothing was changed; this is what would be done.\n")
    if nft != NO_NFT:
        text = done.stdout.partition("# nft -f -\n")[2]
        alongside.host.run(["nft", "--check", "--file", "-"], input=text)
    assert (dry.path / ".git" / "hooks" / "reference-transaction").is_file()


@pytest.fixture(scope="module")
def dry(repository: Repository) -> Repository:
    """web@0-none is released and has no instance, and the tag 0-unbuilt is not built."""
    repository.tag("0-none", "1")
    repository.git("-c", "core.hooksPath=/nonexistent", "tag", "0-unbuilt", "1")
    return repository


def test_a_dry_run_of_a_rollback(repository: Repository, dry: Repository) -> None:
    alongside = repository.alongside
    alongside("activate", "web@0-none")
    before = picture(alongside)
    said = alongside("rollback", "web", "--dry-run").stdout
    assert "route 80/tcp to web@1" in said
    assert 'comment "web@1 80/tcp"' in said
    assert picture(alongside) == before
    alongside("rollback", "web")
    alongside("rm", "web@0-none")
