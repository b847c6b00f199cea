"""`alongside logs`."""

from __future__ import annotations

import click

from alongside.client import Client


@click.command("logs", epilog="Example: alongside logs dns@1.3.0 --follow")
@click.argument("reference", metavar="SERVICE@VERSION")
@click.option("-f", "--follow", is_flag=True, help="Go on as it writes.")
@click.option("-n", "--tail", default=100, show_default=True, metavar="LINES")
@click.pass_context
def command(ctx: click.Context, reference: str, follow: bool, tail: int) -> None:
    """Show what a version's container writes."""
    lines = Client(ctx.obj).lines("/v1/logs", reference=reference, tail=tail, follow=follow)
    for line in lines:
        click.echo(line)
