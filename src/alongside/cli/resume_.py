"""`alongside resume`."""

from __future__ import annotations

import click

from alongside.cli.changing import change, changing
from alongside.cli.completing import services


@click.command("resume", epilog="Example: alongside resume dns")
@click.argument("service", shell_complete=services)
@changing
@click.pass_context
def command(ctx: click.Context, service: str, message: str, dry_run: bool, as_json: bool) -> None:
    """Deploy new releases of a service by themselves again.

    The newest that the service follows is deployed at once, if it is not the one that runs.
    """
    change(ctx, "resume", as_json, service=service, message=message, dry_run=dry_run)
