"""`alongside rollback`."""

from __future__ import annotations

import click

from alongside.cli.changing import change, changing
from alongside.cli.completing import services


@click.command("rollback", epilog="Example: alongside rollback dns -m 'wrong answers'")
@click.argument("service", shell_complete=services)
@changing
@click.pass_context
def command(ctx: click.Context, service: str, message: str, dry_run: bool, as_json: bool) -> None:
    """Give the ports back to the last known good version; a second one goes one further back."""
    change(ctx, "rollback", as_json, service=service, message=message, dry_run=dry_run)
