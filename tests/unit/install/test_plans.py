"""What installing and uninstalling would do, of every kind of host."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from alongside import __version__
from alongside.domain.errors import Conflict
from alongside.install.machine import Machine, Remains
from alongside.install.plan_install import plan_install
from alongside.install.plan_uninstall import plan_purge, plan_uninstall
from alongside.install.settings import COMPLETIONS, UNIT_FILE, Settings
from alongside.install.steps import Plan, RemoveFolder, lines
from alongside.install.unit import unit_text

SETTINGS = Settings(("/opt/alongside",))
TEXTS = {path: f"for {shell}" for shell, path in COMPLETIONS.items()}
HOME = Path("/root/.docker")
STATE = SETTINGS.state_dir
LINKS = {SETTINGS.docker_config / name: HOME / name for name in ("config.json", "cli-plugins")}

FOLDERS = ("/", "/etc", "/etc/systemd/system", "/run", "/usr", "/usr/local", "/usr/local/share")
BARE = Machine(paths=frozenset(map(Path, (*FOLDERS, "/var", "/var/lib"))))
MADE = (
    *(STATE, STATE / "docker"),
    *(Path("/usr/local/share", name) for name in ("zsh", "zsh/site-functions")),
)
INSTALLED = Machine(
    unit=unit_text(SETTINGS),
    enabled=True,
    active=True,
    answers=__version__,
    group=True,
    paths=BARE.paths
    | {*MADE, UNIT_FILE, *TEXTS, *LINKS, SETTINGS.record, SETTINGS.socket.parent}
    | {folder for path in TEXTS for folder in path.parents},
    texts={UNIT_FILE: unit_text(SETTINGS), **TEXTS},
    links=LINKS,
    made_folders=MADE,
    made_group=True,
)
REMAINS = Remains(
    running=("dns-1.1.0",),
    containers=("dns-1.0.0", "dns-1.1.0"),
    networks=("0-dns-1-0-0-00000000",),
    volumes=("app_data",),
    images=("repo/dns:1.0.0",),
    ports=("53/tcp", "53/udp"),
    table=True,
    address="fd00::ffff:0:0:0:1",
    hooked=(Path("/srv/app"),),
    elsewhere=("https://example.test/app.git",),
)


def install(machine: Machine, settings: Settings = SETTINGS) -> list[str]:
    return lines(plan_install(settings, machine, TEXTS, HOME))


def test_a_bare_host_gets_all_of_it_and_starts_last() -> None:
    done = install(BARE)
    assert done[0] == "1. make the group alongside"
    assert "make the folder /var/lib/alongside (0700)" in done[1]
    assert any(line.endswith("write /etc/systemd/system/alongside.service") for line in done)
    assert [line.partition("systemctl ")[2].rstrip(")") for line in done[-3:]] == [
        "daemon-reload",
        "enable --quiet alongside.service",
        "start alongside.service",
    ]


def test_an_installed_host_has_nothing_to_do() -> None:
    assert install(INSTALLED) == []


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        (
            replace(INSTALLED, texts={**INSTALLED.texts, UNIT_FILE: "older"}),
            [
                "1. bring up to date /etc/systemd/system/alongside.service",
                "2. have systemd read its units (systemctl daemon-reload)",
                "3. start it anew (systemctl restart alongside.service)",
            ],
        ),
        (
            replace(INSTALLED, answers="0.0.1"),
            ["1. start it anew (systemctl restart alongside.service)"],
        ),
        (
            replace(INSTALLED, active=False, answers=""),
            ["1. start it (systemctl start alongside.service)"],
        ),
        (
            replace(INSTALLED, texts={**INSTALLED.texts, COMPLETIONS["zsh"]: "older"}),
            ["1. bring up to date /usr/local/share/zsh/site-functions/_alongside"],
        ),
        (
            replace(INSTALLED, enabled=False),
            ["1. start it with the host (systemctl enable --quiet alongside.service)"],
        ),
    ],
    ids=["unit", "version", "stopped", "completion", "disabled"],
)
def test_what_is_not_as_it_should_be_is_brought_up_to_date(
    machine: Machine, expected: list[str]
) -> None:
    assert install(machine) == expected


def test_a_group_that_was_there_is_not_ours_to_remove() -> None:
    machine = replace(BARE, group=True)
    record = next(one for one in plan_install(SETTINGS, machine, TEXTS, HOME).steps
                  if type(one).__name__ == "Record")  # fmt: skip
    assert not record.group  # type: ignore[union-attr]
    plan = plan_purge(SETTINGS, replace(INSTALLED, made_group=False), REMAINS, volumes=False)
    assert not any("the group" in line for line in lines(plan))
    assert any("was there before" in note for note in plan.notes)


def test_a_daemon_that_somebody_started_by_hand_stands_in_the_way() -> None:
    with pytest.raises(Conflict, match="systemd did not start it"):
        install(replace(BARE, answers=__version__))


def test_somebody_elses_unit_of_that_name_is_not_touched() -> None:
    with pytest.raises(Conflict, match="was not written by alongside"):
        install(replace(BARE, unit="[Service]\nExecStart=/bin/true\n"))


def test_a_socket_elsewhere_is_reachable_for_the_group() -> None:
    elsewhere = replace(SETTINGS, socket=Path("/srv/sockets/a.sock"))
    (folder,) = (
        one
        for one in plan_install(elsewhere, BARE, TEXTS, HOME).steps
        if getattr(one, "path", None) == Path("/srv/sockets")
    )
    assert (folder.mode, folder.group) == (0o750, "alongside")  # type: ignore[union-attr]


def test_uninstalling_takes_the_service_and_says_what_goes_on() -> None:
    plan = plan_uninstall(SETTINGS, INSTALLED, REMAINS)
    assert lines(plan) == [
        "1. stop it, and start it with the host no more "
        "(systemctl disable --now --quiet alongside.service)",
        "2. remove /etc/systemd/system/alongside.service",
        *(f"{n}. remove {path}" for n, path in enumerate(COMPLETIONS.values(), 3)),
        "6. remove /usr/local/share/zsh/site-functions, which is empty then",
        "7. remove /usr/local/share/zsh, which is empty then",
        "8. have systemd read its units (systemctl daemon-reload)",
    ]
    said = "\n".join(plan.notes)
    assert "These containers go on running: dns-1.1.0." in said
    assert "53/tcp, 53/udp go on reaching" in said
    assert "The hooks stay in /srv/app" in said
    assert "the images repo/dns:1.0.0; the volumes app_data" in said


def purge(volumes: bool = False, machine: Machine = INSTALLED) -> Plan:
    return plan_purge(SETTINGS, machine, REMAINS, volumes=volumes)


def test_purging_takes_what_is_used_after_what_uses_it() -> None:
    done = [line.partition(". ")[2] for line in lines(purge())]
    order = [
        "take the hooks out of /srv/app",
        "remove /etc/systemd/system/alongside.service",
        "delete the table inet alongside: no port is routed any more",
        "remove the containers dns-1.0.0, dns-1.1.0",
        "remove the network 0-dns-1-0-0-00000000",
        "remove the image repo/dns:1.0.0",
        "take fd00::ffff:0:0:0:1 off lo",
        "remove /var/lib/alongside and all that is in it",
        "remove the group alongside",
    ]
    assert [line for line in done if line in order] == order


def test_volumes_hold_data_and_go_only_when_that_is_said() -> None:
    assert not any("app_data" in line for line in lines(purge()))
    assert any("app_data" in note for note in purge().notes)
    assert any(line.endswith("remove the volume app_data") for line in lines(purge(volumes=True)))
    assert not any("app_data" in note for note in purge(volumes=True).notes)


def test_a_state_folder_that_was_there_before_keeps_what_is_not_ours() -> None:
    state = Path("/srv")
    settings = replace(SETTINGS, state_dir=state)
    machine = replace(
        INSTALLED,
        paths=INSTALLED.paths | {state, state / "state.db", state / "trees"},
        made_folders=(state / "docker",),
    )
    done = lines(plan_purge(settings, machine, REMAINS, volumes=False))
    assert not any(line.endswith("remove /srv and all that is in it") for line in done)
    assert any(line.endswith("remove /srv/state.db") for line in done)
    assert any(line.endswith("remove /srv/trees and all that is in it") for line in done)


def test_what_containers_of_others_mount_stays_and_so_does_data() -> None:
    mounted = ((STATE / "trees/app/x", "the container foreign"),)
    remains = replace(REMAINS, mounted=mounted, data=(STATE / "services/app/files/pgdata",))

    def planned(volumes: bool) -> list[str]:
        done = lines(plan_purge(SETTINGS, INSTALLED, remains, volumes=volumes))
        return [line.partition(". ")[2] for line in done]

    assert (
        "remove /var/lib/alongside and all that is in it, but for "
        "/var/lib/alongside/services/app/files/pgdata, /var/lib/alongside/trees/app/x"
    ) in planned(False)
    assert "leave /var/lib/alongside/trees/app/x, which is mounted by the container foreign" in (
        planned(True)
    )
    assert (
        "remove /var/lib/alongside and all that is in it, but for /var/lib/alongside/trees/app/x"
    ) in planned(True)
    notes = "\n".join(plan_purge(SETTINGS, INSTALLED, remains, volumes=False).notes)
    assert "since containers have written there: /var/lib/alongside/services/app/files" in notes


def test_a_state_folder_that_is_mounted_whole_stays_whole() -> None:
    remains = replace(REMAINS, mounted=((STATE, "the container backup"),))
    plan = plan_purge(SETTINGS, INSTALLED, remains, volumes=True)
    assert RemoveFolder(STATE, but=(STATE,)) in plan.steps


def test_nothing_installed_is_nothing_to_do() -> None:
    assert lines(plan_uninstall(SETTINGS, BARE, Remains())) == []
    assert lines(plan_purge(SETTINGS, BARE, Remains(), volumes=True)) == []
