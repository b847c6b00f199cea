"""`alongside stop`."""

from __future__ import annotations

import click

from alongside.cli.changing import change, changing
from alongside.cli.completing import references


@click.command("stop", epilog="Example: alongside stop dns@1.3.0")
@click.argument(
    "reference", metavar="SERVICE@VERSION", shell_complete=references(with_instance=True)
)
@changing
@click.pass_context
def command(ctx: click.Context, reference: str, message: str, dry_run: bool, as_json: bool) -> None:
    """Stop a version that has no ports.

    Its addresses and local ports are kept for the next time it is up.
    """
    change(ctx, "stop", as_json, reference=reference, message=message, dry_run=dry_run)
