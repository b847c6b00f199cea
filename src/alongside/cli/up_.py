"""`alongside up`."""

from __future__ import annotations

import click

from alongside.cli.changing import change, changing
from alongside.cli.completing import references


@click.command("up", epilog="Example: alongside up dns@1.3.0")
@click.argument("reference", metavar="SERVICE@VERSION", shell_complete=references())
@changing
@click.pass_context
def command(ctx: click.Context, reference: str, message: str, dry_run: bool, as_json: bool) -> None:
    """Run a version beside the others, and wait until it is ready.

    It is reachable on local ports of its own, on 127.0.0.1 and [::1]; no public port moves. A
    range (dns@^1.2) or dns@latest names the highest release that matches.
    """
    change(ctx, "up", as_json, reference=reference, message=message, dry_run=dry_run)
