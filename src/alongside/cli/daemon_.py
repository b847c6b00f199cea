"""`alongside daemon`."""

from __future__ import annotations

import gc
from pathlib import Path

import click

from alongside.cli.install_ import install, uninstall
from alongside.client import DEFAULT_SOCKET


@click.group(
    "daemon",
    invoke_without_command=True,
    epilog="Example: alongside daemon --state-dir /srv/alongside --socket /run/a.sock",
)
@click.option(
    "--state-dir",
    type=click.Path(path_type=Path),
    default=Path("/var/lib/alongside"),
    show_default=True,
    help="Where releases, addresses and the history are kept.",
)
@click.option(
    "--socket",
    type=click.Path(path_type=Path),
    help=f"Where it listens.  [default: {DEFAULT_SOCKET}]",
)
@click.option(
    "--pool",
    default="10.213.0.0/16",
    show_default=True,
    help="IPv4 addresses for instances; a /28 is given to each.",
)
@click.option(
    "--local-ports", default="20000-29999", show_default=True, help="Numbers for local ports."
)
@click.pass_context
def command(
    ctx: click.Context, state_dir: Path, socket: Path | None, pool: str, local_ports: str
) -> None:
    """Run the daemon in the foreground, as root. DOCKER_HOST names the engine.

    Stopping it stops no traffic: the kernel does the work, and the table stays. `install` has
    systemd run it, with the options that stand before: `alongside daemon --pool 10.214.0.0/16
    install`.
    """
    if ctx.invoked_subcommand is not None:
        return
    # Until it serves: all that is made at the start stays, and a look through it for garbage
    # again and again takes a third of the time.
    gc.disable()
    from alongside.client import Client
    from alongside.daemon.serve import run

    run(state_dir, socket or Path(Client(ctx.obj).path), pool, local_ports)


command.add_command(install)
command.add_command(uninstall)
