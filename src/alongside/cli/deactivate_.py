"""`alongside deactivate`."""

from __future__ import annotations

import click

from alongside.cli.changing import change, changing
from alongside.cli.completing import references


@click.command("deactivate", epilog="Example: alongside deactivate dns")
@click.argument("reference", metavar="SERVICE[@VERSION]", shell_complete=references(bare=True))
@changing
@click.pass_context
def command(ctx: click.Context, reference: str, message: str, dry_run: bool, as_json: bool) -> None:
    """Take the ports from a service; with a version, only if that version has them."""
    change(ctx, "deactivate", as_json, reference=reference, message=message, dry_run=dry_run)
