"""Installed by pipx on a machine that boots, run by its systemd, and taken away again."""

from __future__ import annotations

import os
import re
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import ask
from support.load import Load
from support.machine import Machine

pytestmark = [pytest.mark.host, pytest.mark.timeout(1200)]

COMPOSE = """\
services:
  web:
    image: app/web:${tag:-latest}
    build: {context: ., args: {VERSION: "${tag}"}}
    ports: ["80:80", "7/udp", "7/tcp"]
    volumes: ["data:/data"]
    restart: unless-stopped
volumes:
  data:
    x-alongside: {shared: true}
"""
DOCKERFILE = """\
FROM alongside-test/responder:latest
ARG VERSION
ENV VERSION=$VERSION PORTS="80 7"
"""
PIPX = (
    "PIP_NO_INDEX=1 PIP_FIND_LINKS=/root/wheels PIPX_HOME=/opt/pipx PIPX_BIN_DIR=/usr/local/bin"
    " pipx install /root/alongside"
)
GIT = {
    "GIT_AUTHOR_NAME": "alice",
    "GIT_AUTHOR_EMAIL": "alice@example.test",
    "GIT_COMMITTER_NAME": "alice",
    "GIT_COMMITTER_EMAIL": "alice@example.test",
}


class UNIT:
    path = "/etc/systemd/system/alongside.service"

    @classmethod
    def read(cls, machine: Machine) -> str:
        return machine.where(cls.path).read_text()

    @classmethod
    def write(cls, machine: Machine, text: str) -> None:
        machine.where(cls.path).write_text(text)


@pytest.fixture
def machine() -> Iterator[Machine]:
    """With alongside installed by pipx and not as a service, and a repository of alice's."""
    with Machine() as machine:
        machine.boot()
        machine.bring_project()
        machine.load_image("responder")
        machine.sh(PIPX)
        machine.sh("useradd --create-home alice; useradd --create-home bob")
        app = machine.where("/home/alice/app")
        app.mkdir()
        (app / "compose.yaml").write_text(COMPOSE)
        (app / "Dockerfile").write_text(DOCKERFILE)
        for name in ("select.py", "alongside/__init__.py"):  # no module for hooks, or for a purge
            (app / name).parent.mkdir(exist_ok=True)
            (app / name).write_text("raise SystemExit('a module of the work tree was run')\n")
        machine.sh("chown -R alice: /home/alice/app")
        script = "git init --quiet; git add --all; git commit --quiet -m first"
        machine.sh(script, user="alice", cwd="/home/alice/app", env=GIT)
        yield machine


def test_from_pipx_to_purge(machine: Machine) -> None:
    untouched = picture(machine)
    install(machine, untouched)
    only_members_may(machine)
    the_sandbox_lets_through_what_is_needed(machine)
    # All the while, a connection every few milliseconds.
    client, address = machine.client, machine.address4
    with Load(client, "tcp", address, 80, dialect="http", seconds=3600, pause=0.01) as load:
        load.wait_for(100, timeout=120)
        the_service_comes_and_goes(machine)
        load.wait_for(100, timeout=120)
        uninstall_and_install(machine)
        load.wait_for(100, timeout=120)
    assert not load.stop().failures
    purge(machine)
    assert difference(untouched, picture(machine)) == []
    nothing = machine.sh("alongside daemon uninstall --purge --yes").stdout
    assert nothing == "Nothing is installed: there is nothing to do.\n"


def install(machine: Machine, before: dict[str, str]) -> None:
    shown = machine.sh("alongside daemon install --dry-run").stdout
    assert "1. make the group alongside\n" in shown
    assert "ExecStart=/opt/pipx/venvs/alongside/bin/alongside daemon" in shown
    assert difference(before, picture(machine)) == [], "a dry run does nothing"
    done = machine.sh("alongside daemon install")
    assert "The daemon runs, and listens on /run/alongside/alongside.sock." in done.stdout
    assert "whoever may do that is root" not in done.stderr
    assert "usermod -aG alongside" in done.stdout
    assert UNIT.read(machine) in shown
    again = machine.sh("alongside daemon install")
    assert again.stdout.startswith("All is as it should be: the daemon runs")
    assert again.stderr == ""
    machine.sh("systemctl is-enabled alongside && systemd-analyze verify alongside.service")
    odd = '--state-dir "/srv/100% mine" --socket /srv/sockets/a.sock'
    machine.sh(
        f"alongside daemon {odd} install --dry-run | sed '1,/^$/d' >/tmp/alongside.service;"
        "grep -q sockets /tmp/alongside.service; systemd-analyze verify /tmp/alongside.service"
    )
    assert exposure(machine) <= 3.3, "docs/install.md has the figure"


def only_members_may(machine: Machine) -> None:
    machine.sh("usermod -aG alongside alice")
    alice(machine, "alongside init")
    refused = machine.sh("alongside status", user="bob", check=False)
    assert refused.returncode == 1
    assert "is for root and the group alongside" in refused.stderr


def the_sandbox_lets_through_what_is_needed(machine: Machine) -> None:
    """Build, start, probe, switch, conntrack, other programs' names, containers' networks."""
    client = machine.client
    tagged = alice(machine, "git tag 1.0.0")
    assert "web@1.0.0 is released" in tagged, machine.sh("journalctl -u alongside -o cat").stdout
    assert "now reach web@1.0.0" in alice(machine, "alongside activate web@1.0.0")
    alice(machine, "git tag 1.1.0; alongside up web@1.1.0")
    assert machine.sh("alongside complete -- up web@").stdout.splitlines() == [
        "web@1.1.0\thas a container",
        "web@1.0.0\thas the ports",
    ]
    assert ask.line(client, machine.address4, 7).startswith("1.0.0 198.51.100.2")
    assert ask.line(client, machine.address6, 7).startswith("1.0.0 2001:db8:")
    # Some two seconds of it after the switch: flows are looked at once more after one.
    with Load(client, "udp", machine.address4, 7, source_port=30000, pause=0.01) as load:
        load.wait_for(50)
        alice(machine, "alongside activate web@1.1.0")
        load.wait_for(400, timeout=120)
    assert load.stop().answers[-1].version == "1.1.0", "a flow that never rests has moved"

    other = "import socket, time; s = socket.create_server(('', 8080)); time.sleep(1000)"
    run = "systemd-run --quiet --unit=other --property=User=nobody --"
    machine.sh(f'{run} python3 -c "{other}"')
    ask.patiently(lambda: machine.call(socket.create_connection, ("127.0.0.1", 8080)).close())
    taken = machine.sh("alongside port assign 8080:7/tcp", check=False)
    assert re.search(r"python3 \(pid \d+\)", taken.stderr), "whose the port is, is seen"
    machine.sh("systemctl stop other")
    cut_in_sandbox(machine)


def the_service_comes_and_goes(machine: Machine) -> None:
    machine.sh("systemctl restart alongside")
    pid = main_pid(machine)
    machine.sh("systemctl kill --signal=KILL alongside")
    machine.sh("until alongside status; do sleep 0.1; done", timeout=60)
    assert main_pid(machine) != pid, "systemd has started another"
    the_watchdog_bites(machine)
    UNIT.write(machine, UNIT.read(machine) + "# changed\n")
    brought = machine.sh("alongside daemon install").stderr
    assert "done: bring up to date /etc/systemd/system/alongside.service" in brought
    assert "done: start it anew" in brought


def the_watchdog_bites(machine: Machine) -> None:
    """A daemon that stands is ended and started again, and traffic flows on."""
    drop_in = machine.where(f"{UNIT.path}.d/quick.conf")
    drop_in.parent.mkdir()
    drop_in.write_text("[Service]\nWatchdogSec=2\nRestartSec=0\n")
    machine.sh("systemctl daemon-reload; systemctl restart alongside")
    pid = main_pid(machine)
    shown = "systemctl show --property NRestarts --value alongside"
    before = machine.sh(shown).stdout
    machine.sh("sleep 4")  # twice as long as it may be silent
    assert (main_pid(machine), machine.sh(shown).stdout) == (pid, before), "it is heard"
    machine.sh(f"kill -STOP {pid}")
    wait = f"until [ $(systemctl show --property MainPID --value alongside) -ne {pid} ]"
    machine.sh(f"{wait}; do sleep 0.1; done; until alongside status; do sleep 0.1; done")
    assert "watchdog" in machine.sh("journalctl --unit alongside --no-pager -o cat").stdout.lower()
    drop_in.unlink()
    drop_in.parent.rmdir()
    # So many starts within ten seconds are too many for systemd.
    again = "systemctl daemon-reload; systemctl reset-failed alongside; systemctl restart alongside"
    machine.sh(again)


def uninstall_and_install(machine: Machine) -> None:
    said = machine.sh("alongside daemon uninstall").stdout
    assert "These containers go on running: web-1.0.0, web-1.1.0." in said
    assert "7/tcp, 7/udp, 80/tcp go on reaching what they reach" in said
    assert "The hooks stay in /home/alice/app" in said
    assert "/var/lib/alongside" in said
    assert not machine.where(UNIT.path).exists()
    assert not machine.where("/usr/local/share/zsh").exists()
    assert machine.sh("systemctl is-active alongside", check=False).stdout == "inactive\n"
    machine.sh("alongside daemon install")
    (row,) = [one for one in alice(machine, "alongside status").splitlines() if "1.1.0" in one]
    assert "80/tcp" in row, "it goes on where it ended"


def purge(machine: Machine) -> None:
    refused = machine.sh("alongside daemon uninstall --purge", check=False)
    assert "nobody can be asked here" in refused.stderr
    at_a_terminal = "script --quiet --command 'alongside daemon uninstall --purge' /dev/null"
    asked = machine.sh(f"printf 'n\\n' | {at_a_terminal}", check=False).stdout
    assert "remove the group alongside" in asked
    assert "These volumes are kept" in asked
    assert "Do all of this? [y/N]" in asked
    assert "Nothing was done." in asked
    plan = machine.sh("alongside daemon uninstall --purge --dry-run").stdout
    assert "remove the containers web-1.0.0, web-1.1.0\n" in plan
    for version in ("1.0.0", "1.1.0"):
        for name in (f"app/web:{version}", f"alongside.invalid/web:{version}"):
            assert re.search(rf"remove the images .*{re.escape(name)}", plan)
    assert ask.line(machine.client, machine.address4, 7).startswith("1.1.0 ")
    trees = "/var/lib/alongside/trees"
    machine.sh(f"docker create --name foreign -v {trees}/app:/x alongside-test/responder:latest")
    done = machine.sh("alongside daemon uninstall --purge --yes", check=False)
    assert done.returncode == 1
    assert "not done" not in done.stderr
    assert f"kept: {trees}/app, which is mounted by the container foreign: " in done.stderr
    assert "These volumes are kept, since they hold data: app_data." in done.stdout
    assert machine.sh(f"find /var/lib/alongside | grep -v ^{trees}/app/").stdout.split() == [
        "/var/lib/alongside",
        trees,
        f"{trees}/app",
    ]
    assert machine.sh(f"ls {trees}/app").stdout
    machine.sh("docker rm foreign")
    machine.sh("alongside daemon uninstall --purge --yes")
    assert machine.sh("docker volume ls --quiet").stdout == "app_data\n"
    machine.sh("docker volume rm app_data")


def alice(machine: Machine, script: str) -> str:
    """In her repository; what it said, on either stream."""
    done = machine.sh(script, user="alice", cwd="/home/alice/app", env=GIT)
    return done.stdout + done.stderr


def main_pid(machine: Machine) -> int:
    return int(machine.sh("systemctl show --property MainPID --value alongside").stdout)


def exposure(machine: Machine) -> float:
    said = machine.sh("systemd-analyze security --no-pager alongside").stdout
    found = re.search(r"Overall exposure level for alongside.service: ([\d.]+)", said)
    assert found, said
    return float(found[1])


def cut_in_sandbox(machine: Machine) -> None:
    """Under the unit's own restrictions a connection is cut in its container's network, which is
    how a drain ends."""
    unit = UNIT.read(machine)
    keys = "CapabilityBoundingSet|NoNewPrivileges|Restrict|SystemCall|Memory|Lock|Remove|Private"
    restrictions = re.findall(rf"^((?:{keys}|Protect)\w*=.*)$", unit, re.MULTILINE)
    assert len(restrictions) > 15
    pid = machine.sh("docker inspect --format '{{.State.Pid}}' web-1.1.0").stdout.strip()
    options = " ".join(f"--property='{one}'" for one in restrictions)
    with ask.connect(machine.client, machine.address4, 7) as connection:
        assert connection.ask("hello").startswith("1.1.0 ")
        machine.sh(
            f"systemd-run --quiet --pipe --wait {options} -- "
            f"nsenter --net=/proc/{pid}/ns/net ss --kill --tcp sport = 7"
        )
        with pytest.raises(ConnectionResetError):
            connection.ask("still there?")


# -- before and after ------------------------------------------------------------------------

# What changes by itself, or is the engine's, systemd's or the journal's own.
_NOT_OURS = re.compile(
    r"/var/(log|cache|tmp|lib/(docker|containerd|systemd))/"
    r"|/run/(docker|containerd|systemd|log|runc|user|dbus|lock|credentials)(/|$)"
    r"|/root/|.*/__pycache__|/opt/pipx/logs"
    # git's own: alice has two more tags. Its configuration and hooks are looked at.
    r"|/home/alice/app/\.git/(refs|objects|logs|index|COMMIT_EDITMSG|packed-refs|ORIG_HEAD)"
    # The former text that shadow's programs keep beside theirs, and their counters of UIDs.
    r"|/etc/(group|gshadow|passwd|shadow|subuid|subgid)-$|/etc/\.pwd\.lock"
)
_TOLD = {
    "units": "systemctl list-unit-files --no-legend --no-pager | awk '{print $1, $2}'",
    "failed": "systemctl --failed --no-legend --no-pager",
    "groups": "getent group",
    "lo": "ip -oneline address show dev lo | awk '{print $3, $4}'",
    "interfaces": "ls /sys/class/net",
    "nftables": "nft --stateless list ruleset",
    "containers": "docker container ls --all --format '{{.Names}}'",
    "networks": "docker network ls --format '{{.Name}}'",
    "volumes": "docker volume ls --quiet",
    "images": "docker image ls --all --format '{{.Repository}}:{{.Tag}} {{.ID}}'",
    "processes": "ps -eo args= | grep -E '[a]longside|[c]ontainerd-shim|[d]ocker-proxy'",
}


def picture(machine: Machine) -> dict[str, str]:
    """The machine, a line a thing: its files with owner, size and time, and what its programs say
    of it."""
    found = {name: machine.sh(script, check=False).stdout for name, script in _TOLD.items()}
    # / as the machine has it: what is mounted there is seen from within.
    outside = Path(f"/proc/{machine.first}/root")
    for top in ("etc", "usr", "var", "run", "home", "opt", "srv", "root"):
        for folder, folders, files in os.walk(outside / top):
            inside = "/" + str(Path(folder).relative_to(outside))
            kept = [name for name in folders if not _NOT_OURS.match(f"{inside}/{name}/")]
            folders[:] = kept
            for name in (*kept, *files):
                path = f"{inside}/{name}"
                if not _NOT_OURS.match(path):
                    found[path] = _of(Path(folder, name))
    return found


def _of(path: Path) -> str:
    try:
        status = path.lstat()
        owner = f"{stat.filemode(status.st_mode)} {status.st_uid} {status.st_gid}"
        if stat.S_ISLNK(status.st_mode):
            return f"{owner} -> {path.readlink()}"
        if stat.S_ISREG(status.st_mode):
            # groupadd and git write a file anew, and the same.
            often = {"etc", "home"} & set(path.parts[:5])
            written = path.read_bytes() if often else status.st_mtime_ns
            return f"{owner} {status.st_size} {written!r}"
    except FileNotFoundError:
        return "gone while it was looked at"
    return owner


def difference(before: dict[str, str], after: dict[str, str]) -> list[str]:
    return [
        f"{name}: {before.get(name, 'not there')!r} became {after.get(name, 'not there')!r}"
        for name in sorted(before | after)
        if before.get(name) != after.get(name)
    ]
