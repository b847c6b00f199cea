"""`alongside deploy`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import click

from alongside.cli.changing import changing, follow
from alongside.cli.completing import references
from alongside.client import Client
from alongside.domain.errors import AlongsideError

Json = dict[str, Any]


@click.command("deploy", epilog="Example: alongside deploy dns@1.4.0 --watch 2m")
@click.argument("reference", metavar="SERVICE@VERSION", shell_complete=references())
@click.option("--watch", metavar="DURATION", help="How long to watch it; else as it says itself.")
@click.option("--take", is_flag=True, help="Take ports that another program listens on.")
@click.option("--force", is_flag=True, help="Also a version that is marked bad.")
@changing
@click.pass_context
def command(
    ctx: click.Context,
    reference: str,
    watch: str | None,
    take: bool,
    force: bool,
    message: str,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Bring a version through the gates to the ports, and back where it fails.

    It is started and asked until it is ready; what is to run before it has the ports runs; it is
    given them, atomically; and it is watched: where its probes fail, or its container ends, is
    restarted or killed, the version that had the ports before has them again by itself. One that
    comes through is good. Interrupted, the old version has the ports.
    """
    client = Client(ctx.obj)
    body = {
        "reference": reference,
        "watch": None if watch is None else _seconds(watch),
        "take": take,
        "force": force,
        "message": message,
        "dry_run": dry_run,
    }
    events = client.change("deploy", body)
    number: list[int] = []
    try:
        # The live view is drawn with characters that other encodings do not have.
        live = sys.stdout.isatty() and "utf" in sys.stdout.encoding.lower()
        if as_json or dry_run or not live:
            follow(_noting(events, number), as_json=as_json)
        else:
            from alongside.cli.deploying import show

            show(reference, _noting(events, number))
    except KeyboardInterrupt:
        if number:
            click.echo("\nGiving it up …", err=True)
            _give_up(client, number[0])
        else:
            click.echo("\nalongside: given up before it had begun.", err=True)
        ctx.exit(130)


def _noting(events: Iterator[Json], number: list[int]) -> Iterator[Json]:
    """The same events; the operation's number is kept."""
    for event in events:
        if event["event"] == "operation":
            number.append(event["id"])
        yield event


def _give_up(client: Client, number: int) -> None:
    """To its end, so that what is said then is true."""
    try:
        with suppress(KeyboardInterrupt):
            for _ in client.abort(number):
                pass
    except AlongsideError as error:
        click.echo(f"alongside: {error.message}", err=True)


def _seconds(text: str) -> float:
    from alongside.domain.duration import parse_duration

    return parse_duration(text)
