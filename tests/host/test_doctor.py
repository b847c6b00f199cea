"""The doctor on a real host: well, and then ill in each of many ways, with remedies that work."""

from __future__ import annotations

import json
import os
import shlex
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from alongside.daemon.api import documents
from support import ask
from support.host import Host
from support.installation import Installation, Repository, load_images, web_files

pytestmark = pytest.mark.host

NOTHING_ANSWERS = (ConnectionRefusedError, TimeoutError)


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
def alongside(repository: Repository) -> Installation:
    return repository.alongside


def examined(alongside: Installation, cwd: Path | None = None) -> Any:
    """What it says as JSON. Its exit code is 1 where it finds a problem, and else 0."""
    done = alongside("doctor", "--json", check=False, cwd=cwd)
    found = json.loads(done.stdout)
    severities = [one["severity"] for one in found["findings"]]
    assert done.returncode == int("problem" in severities), done.stdout + done.stderr
    assert found["healthy"] is (done.returncode == 0)
    return found


def found_by(alongside: Installation, check: str, cwd: Path | None = None) -> list[dict[str, Any]]:
    if cwd is None:  # by the daemon itself, which is quicker
        (checked,) = [one for one in alongside.api("/v1/doctor")["checks"] if one["id"] == check]
        return [*checked["findings"]]
    return [one for one in examined(alongside, cwd)["findings"] if one["id"] == check]


def follow(host: Host, finding: dict[str, Any], *beginnings: str) -> None:
    """Paste those of its commands that begin so; each is there."""
    for beginning in beginnings:
        commands = [one for one in finding["commands"] if one.startswith(beginning)]
        assert commands, finding
        for command in commands:
            words = shlex.split(command, comments=True)
            # sysctl and kill are of a package that small machines lack.
            if words[:2] == ["sysctl", "-w"]:
                name, _, value = words[2].partition("=")
                host.sysctl(name, int(value))
            elif words[0] == "kill":
                os.kill(int(words[1]), signal.SIGTERM)
            else:
                host.run(words)


def answers(host: Host, version: int = 4) -> str:
    """Who answers another machine on port 80."""
    address = host.address4 if version == 4 else host.address6
    return ask.http_get(host.client, address, timeout=1).body.split()[0]


def eventually(question: Callable[[], bool], timeout: float = 30) -> None:
    deadline = time.monotonic() + timeout
    while not question():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def reached(host: Host, version: int = 4) -> bool:
    """By web@1, soon: the machine may be busy."""
    return ask.patiently(lambda: answers(host, version)) == "1"


@contextmanager
def table(host: Host, text: str) -> Iterator[None]:
    """Somebody else's table `test`."""
    host.nft(text)
    try:
        yield
    finally:
        host.nft("delete table inet test\n")


def test_a_healthy_host(alongside: Installation, repository: Repository) -> None:
    found = examined(alongside, repository.path)
    assert found["findings"] == []
    assert {one["outcome"] for one in found["checks"]} == {"ok"}
    done = alongside("doctor", cwd=repository.path)
    assert done.stdout.endswith("\nNo problem.\n")
    for line in ("ok  engine ", "ok  table ", "ok  hooks "):
        assert f"\n{line}" in done.stdout
    documents.Doctor.model_validate(alongside.api("/v1/doctor"), extra="forbid")


def test_a_program_on_a_public_port(alongside: Installation) -> None:
    host = alongside.host
    text = "import socket; s = socket.create_server(('', 80)); print(1, flush=True); s.accept()"
    program = host.popen(["python3", "-c", text])
    assert program.stdout is not None
    assert program.stdout.readline() == "1\n"
    (finding,) = found_by(alongside, "listeners")
    assert finding["severity"] == "warning"
    assert f"python3 (pid {program.pid}) listens on 0.0.0.0:80/tcp" in finding["what"]
    assert "80/tcp goes to web@1" in finding["what"]
    follow(host, finding, "kill ")
    program.wait(10)
    assert found_by(alongside, "listeners") == []


def test_a_container_that_publishes_a_public_port(alongside: Installation) -> None:
    host = alongside.host
    run = "run -d --rm --stop-timeout 0 --name foreign -e PORTS=80 -p 80:80"
    host.docker([*run.split(), "alongside-test/responder:latest"])
    try:
        (finding,) = found_by(alongside, "published")
        assert "foreign publishes 80/tcp, which goes to web@1" in finding["what"]
        follow(host, finding, "docker stop")
        assert found_by(alongside, "published") == []
    finally:
        host.docker(["rm", "--force", "foreign"], check=False)


@pytest.mark.parametrize(
    ("check", "setting", "version"),
    [
        ("ip-forward", "net.ipv4.ip_forward", 4),
        ("ipv6-forward", "net.ipv6.conf.all.forwarding", 6),
    ],
)
def test_forwarding_that_is_off(
    alongside: Installation, check: str, setting: str, version: int
) -> None:
    host = alongside.host
    host.sysctl("net.ipv6.conf.eth0.accept_ra", 1)
    host.sysctl(setting, 0)
    try:
        with pytest.raises(NOTHING_ANSWERS):
            answers(host, version)
        (finding,) = found_by(alongside, check)
        follow(host, finding, "sysctl -w ")
        assert reached(host, version)
        assert found_by(alongside, check) == []
        with host.inside():
            taken = Path("/proc/sys/net/ipv6/conf/eth0/accept_ra").read_text().strip()
        assert taken == ("2" if version == 6 else "1"), "what forwards drops router advertisements"
    finally:
        host.sysctl(setting, 1)
        host.sysctl("net.ipv6.conf.eth0.accept_ra", 0)


@pytest.mark.parametrize(
    "rule",
    [
        "type nat hook prerouting priority -150; tcp dport { 79, 80 } redirect to :81",
        "type filter hook prerouting priority -300; tcp dport 80 drop",
        "type filter hook prerouting priority -300; tcp dport 80 notrack",
    ],
)
def test_a_rule_that_has_the_packets_first(alongside: Installation, rule: str) -> None:
    host = alongside.host
    hook, _, rest = rule.partition("; ")
    with table(host, f"table inet test {{\nchain early {{\n{hook};\n{rest}\n}}\n}}\n"):
        with pytest.raises(NOTHING_ANSWERS):
            answers(host)
        (finding,) = found_by(alongside, "foreign-nat")
        assert "80/tcp is taken by" in finding["what"]
        assert "chain early of table inet test" in finding["what"]
        follow(host, finding, "nft delete rule")
        assert reached(host)
        assert found_by(alongside, "foreign-nat") == []


@pytest.mark.parametrize("answers_pass", [True, False])
def test_a_firewall_that_drops_what_is_forwarded(
    alongside: Installation, answers_pass: bool
) -> None:
    host = alongside.host
    known = "ct state established accept\n" if answers_pass else ""
    text = f"type filter hook forward priority 5; policy drop;\n{known}tcp dport 22 accept\n"
    with table(host, f"table inet test {{\nchain wall {{\n{text}}}\n}}\n"):
        for version in (4, 6):
            with pytest.raises(NOTHING_ANSWERS):
                answers(host, version)
        findings = found_by(alongside, "foreign-forward")
        assert [one["severity"] for one in findings] == ["problem", "problem"]
        for version, finding in zip((4, 6), findings, strict=True):
            assert f"over IPv{version}" in finding["what"]
            assert "policy drop of chain wall of table inet test" in finding["what"]
            follow(host, finding, "nft insert rule")
            assert reached(host, version)
        assert found_by(alongside, "foreign-forward") == []


@pytest.mark.parametrize("command", ["iptables", "ip6tables"])
def test_iptables_that_drop_what_is_forwarded(alongside: Installation, command: str) -> None:
    host = alongside.host
    version = 6 if command == "ip6tables" else 4
    chain = "DOCKER-USER" if command == "iptables" else "FORWARD"
    rule = "-p tcp -m multiport --dports 22,80 -m conntrack --ctstate NEW -j DROP"
    host.run([command, "-I", chain, *rule.split()])
    try:
        with pytest.raises(NOTHING_ANSWERS):
            answers(host, version)
        (finding,) = found_by(alongside, "foreign-forward")
        assert f"{command}' chain FORWARD" in finding["what"]
        follow(host, finding, f"{command} -I FORWARD")
        assert reached(host, version)
        assert found_by(alongside, "foreign-forward") == []
        host.run(shlex.split(finding["commands"][0].replace(" -I ", " -D ")))
    finally:
        host.run([command, "-D", chain, *rule.split()])


def test_a_firewall_that_drops_what_containers_send(alongside: Installation) -> None:
    host = alongside.host
    program = (
        "import socket; s = socket.create_connection(('198.51.100.1', 7), 1); s.sendall(b'x\\n'); "
        "print(s.recv(99).decode(), end='')"
    )

    def asked() -> str:
        exec_ = ["exec", "web-1", "python3", "-S", "-c", program]
        return host.docker(exec_, check=False).stdout

    text = (
        "type filter hook input priority 0; policy drop;\niif lo accept\nicmpv6 type 135 accept\n"
    )
    with table(
        host, f"table inet test {{\nchain wall {{\n{text}ct state established accept\n}}\n}}\n"
    ):
        assert asked() == ""
        assert reached(host), "other machines are not affected"
        findings = found_by(alongside, "foreign-input")
        assert len(findings) == 2
        follow(host, findings[0], "nft insert rule")
        eventually(lambda: asked().startswith("1 "))
        follow(host, findings[1], "nft insert rule")
        assert found_by(alongside, "foreign-input") == []
    eventually(lambda: asked().startswith("1 "))


def test_hooks_that_somebody_took_over(alongside: Installation, repository: Repository) -> None:
    elsewhere = repository.path / "tools"
    repository.git("config", "core.hooksPath", str(elsewhere))
    repository.tag("2-silent")
    assert "web@2-silent" not in alongside("releases").stdout, "no release was made"
    (finding,) = found_by(alongside, "hooks", repository.path)
    assert str(elsewhere) in finding["what"]
    assert ".git/config" in finding["what"]
    assert finding["commands"] == ["alongside init"]
    alongside(*finding["commands"][0].split()[1:], cwd=repository.path)
    assert found_by(alongside, "hooks", repository.path) == []
    assert "web@2 is released" in repository.tag("2").stderr


def test_hooks_that_cannot_run_or_are_of_another_version(
    alongside: Installation, repository: Repository
) -> None:
    asked = ("rev-parse", "--path-format=absolute", "--git-path", "hooks")
    folder = Path(repository.git(*asked).stdout.strip())
    hook = folder / "reference-transaction"
    hook.write_text(hook.read_text() + "# more\n")
    hook.chmod(0o644)
    findings = found_by(alongside, "hooks", repository.path)
    assert [one["severity"] for one in findings] == ["problem", "warning"]
    follow(alongside.host, findings[0], "chmod ")
    assert os.access(hook, os.X_OK)
    alongside(*findings[1]["commands"][0].split()[1:], cwd=repository.path)
    assert found_by(alongside, "hooks", repository.path) == []


def test_an_instance_that_ended(alongside: Installation) -> None:
    host = alongside.host
    host.docker(["stop", "--time", "0", "web-1"])
    (finding,) = found_by(alongside, "instances")
    assert finding["what"] == "web-1 is to run, and is exited."
    assert finding["severity"] == "problem"
    for command in finding["commands"]:
        alongside(*shlex.split(command)[1:])
    assert found_by(alongside, "instances") == []
    assert reached(host)


def test_an_image_that_is_another(alongside: Installation) -> None:
    host = alongside.host
    host.docker(["tag", "alongside-test/responder:latest", "repo/web:1"])
    (finding,) = found_by(alongside, "images")
    assert "repo/web:1 is not the image that was released as web@1" in finding["what"]
    command = finding["remedy"].partition(": ")[2]
    host.run(shlex.split(command))
    assert found_by(alongside, "images") == []


def test_the_daemon_is_down(alongside: Installation, repository: Repository) -> None:
    """What the kernel and the engine show is looked at all the same."""
    host = alongside.host
    alongside.stop()
    try:
        with table(
            host,
            "table inet test {\nchain early {\ntype nat hook prerouting priority -150;\n"
            "tcp dport 80 redirect to :81\n}\n}\n",
        ):
            found = examined(alongside, repository.path)
        assert [one["id"] for one in found["findings"]] == ["daemon", "foreign-nat"]
        assert "alongside daemon" in found["findings"][0]["commands"][0]
        outcomes = {one["id"]: one["outcome"] for one in found["checks"]}
        for check in ("hooks", "engine", "userland-proxy", "ipv6-forward", "listeners", "pool"):
            assert outcomes[check] == "ok"
        for check in ("table", "images"):
            assert outcomes[check] == "unseen"
    finally:
        alongside.start()


def test_the_engine_is_down_and_comes_back_without_its_proxy(
    alongside: Installation, repository: Repository
) -> None:
    """Last: the engine's restart is long, so it serves for both."""
    host = alongside.host
    host.engine.stop()
    findings = examined(alongside)["findings"]
    assert [one["id"] for one in findings] == ["engine"]
    assert "does not answer" in findings[0]["what"]
    assert "systemctl start docker" in findings[0]["commands"]
    host.engine.start("--userland-proxy=false")
    eventually(lambda: found_by(alongside, "instances") == [])
    (finding,) = examined(alongside)["findings"]
    assert finding["id"] == "userland-proxy"
    assert reached(host), "other machines are served"
    for address in ("127.0.0.1", "::1"):
        with pytest.raises(NOTHING_ANSWERS):
            ask.http_get(host, address, timeout=1)
    assert "127.0.0.1 and [::1]" in finding["means"]
    assert "restart the engine" in finding["remedy"]
    host.engine.restart()
    eventually(lambda: found_by(alongside, "instances") == [])
    assert found_by(alongside, "userland-proxy") == []
    ask.patiently(lambda: ask.http_get(host, "127.0.0.1", timeout=1))
