"""`alongside activate`."""

from __future__ import annotations

import click

from alongside.cli.changing import change, changing
from alongside.cli.completing import references


@click.command("activate", epilog="Example: alongside activate dns@1.3.0 -m 'new resolver'")
@click.argument("reference", metavar="SERVICE@VERSION", shell_complete=references())
@click.option("--take", is_flag=True, help="Take ports that another program listens on.")
@click.option("--force", is_flag=True, help="Also a version that is marked bad.")
@changing
@click.pass_context
def command(
    ctx: click.Context,
    reference: str,
    take: bool,
    force: bool,
    message: str,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Give the service's ports to a version, atomically.

    A version that does not run is started first, and only a version that is ready gets the
    ports. New connections reach it from the commit on; established TCP connections stay where
    they are, UDP flows move.
    """
    change(
        ctx,
        "activate",
        as_json,
        reference=reference,
        take=take,
        force=force,
        message=message,
        dry_run=dry_run,
    )
