"""What the verbs that change something have in common: options, and following to the end."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import click

from alongside.client import Client

Json = dict[str, Any]
NO_NFT = "# nft: the table stays as it is"
Function = TypeVar("Function", bound=Callable[..., Any])


def changing(function: Function) -> Function:
    """--message, --dry-run and --json."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="One JSON object a step."),
        click.option("--dry-run", is_flag=True, help="Print the plan and the nft text."),
        click.option("-m", "--message", default="", metavar="WHY", help="Why, for the history."),
    ):
        function = option(function)
    return function


def change(ctx: click.Context, verb: str, as_json: bool, **body: Any) -> None:
    """Ask the daemon for a change and follow it."""
    follow(Client(ctx.obj).change(verb, body), as_json=as_json)


def follow(events: Iterator[Json], *, as_json: bool = False) -> None:
    """Print the events of an operation as they come: progress to standard error, what is so now
    to standard output."""
    for event in events:
        if as_json:
            click.echo(json.dumps(event))
        elif event["event"] == "log":
            click.echo(click.style(event["text"], dim=True) if _tty() else event["text"], err=True)
        elif event["event"] == "probe" and event["heard"]:
            click.echo(f"probe failed: {event['heard']}", err=True)
        elif event["event"] == "step" and event["state"] == "done":
            mark = click.style("✓", fg="green") if _tty() else "done:"
            seconds = event.get("seconds")
            took = f" ({seconds:.2f} s)" if seconds and seconds >= 0.1 else ""
            click.echo(f"{mark} {event['text']}{took}", err=True)
        elif event["event"] == "result":
            _result(event["result"])


def _result(result: Json) -> None:
    if result["dry_run"]:
        for line in result["plan"] or ["There is nothing to do."]:
            click.echo(line)
        say_nft(result.get("nft", ""))
    for sentence in result["summary"]:
        click.echo(sentence, err=result["dry_run"])


def say_nft(text: str) -> None:
    """The text that would run; that there is none is said as well."""
    click.echo(f"\n# nft -f -\n{text}" if text else f"\n{NO_NFT}\n", nl=False)


def _tty() -> bool:
    return sys.stderr.isatty() and "utf" in (sys.stderr.encoding or "").lower()
