"""`alongside port assign`, `port unassign` and `port list`."""

from __future__ import annotations

import click

from alongside.cli.changing import change, changing
from alongside.cli.completing import assigned
from alongside.cli.reading import print_json, reading, table
from alongside.client import Client


@click.group("port", epilog="Example: alongside port assign 80:50080/tcp")
def command() -> None:
    """Give a public port to anything that listens on this host, container or not."""


@command.command("assign", epilog="Example: alongside port assign 192.0.2.7:53:5353/udp")
@click.argument(
    "assignments", nargs=-1, required=True, metavar="[ADDRESS:]PUBLIC:[ADDRESS:]LISTENS[/PROTOCOL]…"
)
@click.option("--take", is_flag=True, help="Take a port that another program listens on.")
@changing
@click.pass_context
def assign(
    ctx: click.Context,
    assignments: tuple[str, ...],
    take: bool,
    message: str,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Send what comes for a public port to what listens on another.

    A port that is assigned already is switched like a version's; several are switched in one
    transaction. Both sides may be ranges of the same length.
    """
    change(
        ctx,
        "assign",
        as_json,
        assignments=assignments,
        take=take,
        message=message,
        dry_run=dry_run,
    )


@command.command("unassign", epilog="Example: alongside port unassign 80/tcp")
@click.argument(
    "ports",
    nargs=-1,
    required=True,
    metavar="[ADDRESS:]PORT[/PROTOCOL]…",
    shell_complete=assigned,
)
@changing
@click.pass_context
def unassign(
    ctx: click.Context, ports: tuple[str, ...], message: str, dry_run: bool, as_json: bool
) -> None:
    """Take assigned ports back; those and no others."""
    change(ctx, "unassign", as_json, ports=ports, message=message, dry_run=dry_run)


@command.command("list", epilog="Example: alongside port list")
@reading
@click.pass_context
def listing(ctx: click.Context, as_json: bool) -> None:
    """Show the ports that are assigned. Those of services are in `alongside ports`."""
    found = {"assigned": Client(ctx.obj).get("/v1/ports")["assigned"]}
    if as_json:
        print_json(found)
        return
    table(
        ("port", "reaches"),
        [(one["port"], one["target"]) for one in found["assigned"]],
        "No port is assigned: alongside port assign PUBLIC:LISTENS/PROTOCOL.",
    )
