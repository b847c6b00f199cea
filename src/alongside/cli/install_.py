"""`alongside daemon install` and `alongside daemon uninstall`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from alongside.domain.errors import Conflict, InvalidInput, StepFailed

if TYPE_CHECKING:
    from alongside.install.machine import Machine
    from alongside.install.settings import Settings
    from alongside.install.steps import Plan


@click.command("install", epilog="Example: sudo alongside daemon install")
@click.option("--dry-run", is_flag=True, help="Print what would be done, and the unit.")
@click.pass_context
def install(ctx: click.Context, dry_run: bool) -> None:
    """Have systemd run the daemon, now and whenever the host starts.

    Makes the unit alongside.service, the group alongside, whose members need no root, the state
    folder, and completion for bash, zsh and fish. Said again, it brings that up to date, and does
    nothing where all is as it should be. Options of the daemon's stand before: alongside daemon
    --pool 10.214.0.0/16 install. Those of an earlier installation are kept.
    """
    import alongside
    from alongside.install.carry_out import carry_out, untrusted
    from alongside.install.look import docker_home, look
    from alongside.install.plan_install import plan_install
    from alongside.install.requirements import check_host
    from alongside.install.settings import COMPLETIONS
    from alongside.install.unit import unit_text
    from alongside.shell import completion

    settings = _wanted(ctx)
    check_host(settings.engine["DOCKER_HOST"])
    machine = look(settings)
    completions = {path: completion(shell) for shell, path in COMPLETIONS.items()}
    plan = plan_install(settings, machine, completions, docker_home())
    if dry_run:
        _show(plan, "All is as it should be: there is nothing to do.")
        click.echo(f"\n# {_unit_file()}\n{unit_text(settings)}", nl=False)
    elif not plan.steps:
        click.echo(f"All is as it should be: the daemon runs, and listens on {settings.socket}.")
    else:
        carry_out(plan, settings.engine, _say)
        click.echo(f"The daemon runs, and listens on {settings.socket}. Its log: "
                   "journalctl -u alongside")  # fmt: skip
    writable = untrusted(settings.command[0]) or untrusted(alongside.__file__)
    if writable is not None:
        click.echo(
            f"alongside: root runs {settings.command[0]}, and {writable} can be written to by "
            "others: whoever may do that is root. pipx installs it where only root may: see "
            "docs/install.md.",
            err=True,
        )
    _greet(dry_run)


@click.command("uninstall", epilog="Example: sudo alongside daemon uninstall --purge --dry-run")
@click.option("--purge", is_flag=True, help="Routes, containers, images, state, group as well.")
@click.option("--volumes", is_flag=True, help="With --purge: volumes too, and the data in them.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Print what would be done, and what is left.")
@click.pass_context
def uninstall(ctx: click.Context, purge: bool, volumes: bool, yes: bool, dry_run: bool) -> None:
    """Take the service away, and say what goes on without it.

    Containers go on running, and ports go on reaching them until the host is restarted. --purge
    ends and removes all that is alongside's: routes, containers, networks, images, hooks, the
    state folder with the history, the group. Volumes hold data, and so do files that containers
    have written into the state folder: they go with --volumes alone. What a container of others
    mounts is kept.
    """
    from alongside.install.carry_out import carry_out
    from alongside.install.look import installed_settings, look, remains
    from alongside.install.plan_install import must_be_ours
    from alongside.install.plan_uninstall import STOP, plan_purge, plan_uninstall
    from alongside.install.requirements import refuse, service_missing

    if volumes and not purge:
        raise InvalidInput("--volumes goes with --purge: without it no volume is touched.")
    refuse(service_missing(), "Uninstalling needs")
    settings = installed_settings() or _wanted(ctx)

    def planned() -> tuple[Machine, Plan]:
        machine = look(settings)
        must_be_ours(machine)
        if machine.answers and not machine.active:
            raise Conflict(
                f"A daemon answers on {settings.socket} that systemd did not start.",
                hint="End it where it runs, and say this again.",
            )
        found = remains(settings, engine=purge)
        if purge:
            return machine, plan_purge(settings, machine, found, volumes=volumes)
        return machine, plan_uninstall(settings, machine, found)

    machine, plan = planned()
    short_of = 0
    if dry_run or not plan.steps:
        _show(plan, "Nothing is installed: there is nothing to do.")
    else:
        if purge and not yes:
            _confirm(plan)
        if purge and machine.active:
            # What it was about to make is there, or is not, once it has ended.
            carry_out(STOP, settings.engine, _say)
            _, plan = planned()
        short_of = carry_out(plan, settings.engine, _say)
    for note in plan.notes:
        click.echo(note, err=dry_run)
    if short_of:
        raise StepFailed(
            "Not all of it could be done.",
            hint="What was not is said above, with what stood in the way.",
        )


def _wanted(ctx: click.Context) -> Settings:
    """What was said, over what is installed, over the defaults."""
    import os

    from click.core import ParameterSource

    from alongside.client import DEFAULT_SOCKET
    from alongside.install.look import installed_settings
    from alongside.install.settings import Settings

    daemon = ctx.parent
    assert daemon is not None  # noqa: S101 - these are its subcommands
    given = daemon.params
    installed = installed_settings()

    def said(name: str) -> bool:
        return daemon.get_parameter_source(name) is ParameterSource.COMMANDLINE

    def choose(name: str, before: object, default: object) -> str:
        return str(given[name] if said(name) else before if installed else default)

    root = daemon.find_root().params.get("socket")
    socket = Path(root or choose("socket", installed and installed.socket, DEFAULT_SOCKET))
    state = Path(choose("state_dir", installed and installed.state_dir, given["state_dir"]))
    environment = dict(installed.environment) if installed else {}
    if os.environ.get("DOCKER_HOST"):
        environment["DOCKER_HOST"] = os.environ["DOCKER_HOST"]
    return Settings(
        command=_command(),
        state_dir=state.absolute(),
        socket=socket.absolute(),
        pool=choose("pool", installed and installed.pool, given["pool"]),
        local_ports=choose(
            "local_ports", installed and installed.local_ports, given["local_ports"]
        ),
        environment=environment,
    )


def _command() -> tuple[str, ...]:
    """This very installation, by the path that stays when it is upgraded."""
    from alongside.program import command

    script = Path(sys.executable).with_name("alongside")
    return (str(script),) if script.exists() else command()


def _unit_file() -> Path:
    from alongside.install.settings import UNIT_FILE

    return UNIT_FILE


def _show(plan: Plan, nothing: str) -> None:
    from alongside.install.steps import lines

    for line in lines(plan) or [nothing]:
        click.echo(line)


def _confirm(plan: Plan) -> None:
    from alongside.install.steps import lines

    if not sys.stdin.isatty():
        raise InvalidInput(
            "--purge removes what cannot be brought back, and nobody can be asked here.",
            hint="See it with --dry-run, and say --yes.",
        )
    for line in (*lines(plan), *plan.notes):
        click.echo(line)
    if not click.confirm("Do all of this?"):
        raise InvalidInput("Nothing was done.")


def _say(sentence: str) -> None:
    click.echo(sentence, err=True)


def _greet(dry_run: bool) -> None:
    """Who may speak to the daemon."""
    import grp
    import os

    from alongside.install.settings import GROUP

    user = os.environ.get("SUDO_USER", "")
    try:
        members: Sequence[str] = grp.getgrnam(GROUP).gr_mem
    except KeyError:
        members = ()
    if not dry_run and not members:
        click.echo(
            f"Who is in the group {GROUP} needs no sudo, and may do what the group docker may: "
            f"usermod -aG {GROUP} {user or 'NAME'}, and log in again."
        )
