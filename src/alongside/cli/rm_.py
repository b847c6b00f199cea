"""`alongside rm`."""

from __future__ import annotations

import click

from alongside.cli.changing import change, changing
from alongside.cli.completing import references


@click.command("rm", epilog="Example: alongside rm dns@1.1.0")
@click.argument(
    "reference", metavar="SERVICE@VERSION", shell_complete=references(with_instance=True)
)
@click.option("--force", is_flag=True, help="Also the version that a rollback would go to.")
@click.option("--volumes", is_flag=True, help="Its own volumes as well, with what is in them.")
@changing
@click.pass_context
def command(
    ctx: click.Context,
    reference: str,
    force: bool,
    volumes: bool,
    message: str,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Remove a version's instance: container, network, addresses. The release and image stay."""
    change(
        ctx,
        "rm",
        as_json,
        reference=reference,
        force=force,
        volumes=volumes,
        message=message,
        dry_run=dry_run,
    )
