"""`alongside mark`."""

from __future__ import annotations

import click

from alongside.cli.changing import change, changing
from alongside.cli.completing import references


@click.command("mark", epilog="Example: alongside mark bad dns@1.3.0 -m 'answers SERVFAIL'")
@click.argument("mark", metavar="good|bad", type=click.Choice(["good", "bad"]))
@click.argument("reference", metavar="SERVICE@VERSION", shell_complete=references())
@changing
@click.pass_context
def command(
    ctx: click.Context, mark: str, reference: str, message: str, dry_run: bool, as_json: bool
) -> None:
    """Say that a release is good, or bad.

    A rollback never goes to a bad one, and it gets the ports with --force alone. A version that
    is watched is through its trial when it is good, and loses the ports again when it is bad.
    """
    change(
        ctx,
        "mark",
        as_json,
        **{"as": mark},
        reference=reference,
        message=message,
        dry_run=dry_run,
    )
