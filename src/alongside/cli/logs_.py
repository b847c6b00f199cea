"""`alongside logs`."""

from __future__ import annotations

import json

import click

from alongside.cli.completing import references
from alongside.cli.reading import reading
from alongside.client import Client


@click.command("logs", epilog="Example: alongside logs dns@1.3.0 --follow")
@click.argument(
    "reference", metavar="SERVICE@VERSION", shell_complete=references(with_instance=True)
)
@click.option("-f", "--follow", is_flag=True, help="Go on as it writes.")
@click.option("-n", "--tail", default=100, show_default=True, metavar="LINES")
@reading
@click.pass_context
def command(ctx: click.Context, reference: str, follow: bool, tail: int, as_json: bool) -> None:
    """Show what a version's container writes; with --json one object a line."""
    lines = Client(ctx.obj).lines("/v1/logs", reference=reference, tail=tail, follow=follow)
    for line in lines:
        click.echo(json.dumps({"line": line}) if as_json else line)
