"""`alongside gc`."""

from __future__ import annotations

import click

from alongside.cli.changing import change, changing
from alongside.cli.completing import services
from alongside.domain.duration import parse_duration


@click.command("gc", epilog="Example: alongside gc dns --keep 5 --dry-run")
@click.argument("service", required=False, shell_complete=services)
@click.option(
    "--keep", type=click.IntRange(0), metavar="N", help="Keep the newest N that came through."
)
@click.option("--keep-for", metavar="DURATION", help="Keep those younger than that: 30d.")
@click.option(
    "--volumes",
    is_flag=True,
    help="Their own volumes as well, and what containers wrote into their files.",
)
@changing
@click.pass_context
def command(
    ctx: click.Context,
    service: str | None,
    keep: int | None,
    keep_for: str | None,
    volumes: bool,
    message: str,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Remove releases that are too many: container, network, image, tree and archive.

    How many stay is said by `x-alongside.keep` and `keep_for` of the version that has the ports,
    or here: the newest that came through a trial or were given the ports by hand. What has ports,
    runs, is on standby, is where a rollback goes, or is the newest stays always, and so does what
    a container mounts or has written. Where both are said, a release goes that is neither among
    the newest nor young.
    """
    change(
        ctx,
        "gc",
        as_json,
        service=service,
        keep=keep,
        keep_for=None if keep_for is None else parse_duration(keep_for),
        volumes=volumes,
        message=message,
        dry_run=dry_run,
    )
