"""`alongside hold`."""

from __future__ import annotations

import click

from alongside.cli.changing import change, changing
from alongside.cli.completing import services


@click.command("hold", epilog="Example: alongside hold dns")
@click.argument("service", shell_complete=services)
@changing
@click.pass_context
def command(ctx: click.Context, service: str, message: str, dry_run: bool, as_json: bool) -> None:
    """Deploy no new release of a service by itself, until `alongside resume`.

    Releases are built and listed as ever, and any verb works as ever; only `x-alongside.follow`
    rests. What it passes over meanwhile is in the history.
    """
    change(ctx, "hold", as_json, service=service, message=message, dry_run=dry_run)
